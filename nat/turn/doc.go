// Package turn lets an edge that no other way leads to be reached through a
// relay: the client and the server of TURN (RFC 8656) over UDP and IPv4.
//
// pion.go is the only file that imports pion. What pion v2 does well stays with
// it: retransmissions and the matching of answers for the client, and the
// server's state machine. That major version is frozen, and what is wrong in it
// is kept away from here:
//
//   - Malformed address attributes crash both sides. stun.Guard stands before
//     every decode: Client.Handle and gate.ReadFrom are the two doors.
//   - pion's client ends its read loop at a stray datagram, takes a lost
//     allocation for a refreshed one, renews no permission that was not made by
//     sending, blocks a writer for a round trip, and cannot be joined. So Client
//     asks and renews by itself, with pion's transactions; keep.go is how.
//   - pion's server has no quotas, admits every peer, and closes an allocation
//     in a way that can hit a permission in the making. gate.go, allocations.go
//     and peerrule.go bound who may ask for what, and how often.
//
// A server stands on a port of its own, apart from the supernode's, since its
// datagrams are told from others by their source only.
package turn
