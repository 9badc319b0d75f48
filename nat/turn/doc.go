// Package turn makes an edge without a usable path reachable through a relay:
// the client and the server of TURN (RFC 8656) over UDP and IPv4.
//
// pion.go is the only file that imports pion. It uses the good parts of pion v2:
// retransmissions and the matching of answers for the client, and the server's
// state machine. That major version is frozen, and this package guards against
// its faults:
//
//   - Malformed address attributes crash both sides. stun.Guard stands before
//     every decode: Client.Handle and gate.ReadFrom are the two entrances.
//   - pion's client ends its read loop at a stray datagram, mistakes a lost
//     allocation for a refreshed one, renews no permission that was not made by
//     sending, blocks a writer for a round trip, and cannot be joined. So Client
//     asks and renews by itself, with pion's transactions: see keep.go.
//   - pion's server has no quotas, admits every peer, and closes an allocation
//     at a time when a permission may be in the making. gate.go, allocations.go
//     and peer_rule.go bound who may ask for what, and how often.
//
// A server has a port of its own, apart from the supernode's, since its
// datagrams can be recognised by their source only.
package turn
