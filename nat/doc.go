// Package nat decides by which way two edges talk: it gathers candidates,
// learns how the NATs in front of an edge behave, and brings up, watches and
// gives up the direct path to each peer.
//
// It holds state machines only. They own no socket, no goroutine and no clock:
// every call takes the time, and what is to be sent comes back as a list.
//
//   - Gather, HostAddresses and Policy say which addresses an edge offers and
//     which it may send to.
//   - Reflexive collects what servers saw as our address, and classifies the
//     mapping behaviour of the NATs in between (RFC 4787, section 4.1).
//   - Budget bounds what goes to addresses that never answered, over all peers
//     of an edge, so that no peer can aim an edge at a stranger.
//   - Path is the machine of one peer. Its states and times are written down in
//     docs/NAT.md.
//
// Nothing here authenticates anything. A caller hands in only what a session
// has opened; the machine adds that an address is used for traffic only after a
// PONG came from that very address.
package nat
