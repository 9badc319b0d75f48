// Package lan finds members on the same link (RFC 4291): it sends small packets
// by multicast on every broadcast interface, and receives those of others (the
// candidates named "lan" in NAT.md, section 1.1).
//
// The content of a packet is the caller's, who has to authenticate it: any host
// on the link can send to the group. The package does not answer a packet. It
// checks that the packet comes from the link: it must have come by multicast to
// a group of link-local scope, which no router forwards, on an interface that
// was joined, with the hop limit with which it is sent. Windows does not let Go
// see any of that.
//
// Announce joins the groups anew each time, not once. An interface that came
// later is joined then, and a switch that snoops membership reports on a link
// without a querier gets one before it forgets the last (RFC 4541, section 2.1):
// discovery that joins once stops after some minutes there.
package lan
