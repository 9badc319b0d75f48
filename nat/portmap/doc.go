// Package portmap asks the home router to let in what others send to our UDP
// data port (the candidates named "mapped" in NAT.md, section 1.1). A router
// that does is the best NAT there is: everybody reaches us without punching.
//
// Three protocols do that, and a router speaks some of them: PCP (RFC 6887), its
// forerunner NAT-PMP (RFC 6886), and UPnP (the Internet Gateway Device). They
// are asked at the same time whether they are there, which leaves nothing
// behind, and the best of those that answer then maps: two mappings of one port
// are one to many routers, so that to take one away takes away both. Whoever
// refuses is followed by the next.
//
// Only the default gateway is talked to, but for the search of UPnP, which many
// routers hear by multicast only. What comes from anybody else is not looked at,
// and a UPnP description that leads elsewhere is not followed.
//
// It is about IPv4. There is nothing to map in IPv6, where a router's firewall
// is opened by what we send.
package portmap
