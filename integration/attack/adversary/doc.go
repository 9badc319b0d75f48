// Package adversary speaks the protocol with choices of its own: a member, an
// ex-member, a supernode and an edge of somebody's that may say anything to
// anybody, at any time and in any order. What it says is sealed and masked as an
// honest end would, so that it gets past every gate that holds strangers.
//
// An end has no socket and no clock: it is handed what came, and returns what is to
// be sent. So the same ends run in the simulation and over real sockets, and honest
// members that are only scripts (integration/sim's Crowd) are played by them as well.
//
//	Member     one end of pair handshakes and sessions, and of floods
//	Supernode  the supernode's end of a hop session with one edge
//	Guest      an edge's end of a hop session with one supernode
//
// The values that they try are tables (values.go, pairmessages.go, hopmessages.go,
// edgemessages.go), and a Script is what a fuzzer makes of them.
package adversary
