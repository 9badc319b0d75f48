// Package lan finds others on the same link: it sends small packets by
// multicast on every broadcast interface, and hears those of others (the
// candidates named "lan" in NAT.md, section 1.1).
//
// What is in a packet is the caller's, who seals it and believes nothing that
// does not open: anybody on the link can send to the group. Nor is a packet
// answered here. That it comes from the link is checked: it must have come by
// multicast to a group of link-local scope, which no router forwards, on an
// interface that was joined, with the hop limit with which it is sent. Windows
// does not let Go see any of that.
//
// Membership is not joined once but at every announcement. An interface that
// came later is joined then, and a switch that listens to reports of membership
// on a link where nobody queries for them is told before it forgets (RFC 4541,
// section 2.1): discovery that joins once stops after some minutes there.
package lan
