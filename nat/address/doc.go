// Package address says at which addresses an edge can be reached, and to which it
// may send.
//
//   - Gather makes the list of candidates, from Sources: addresses of interfaces
//     (OfInterfaces), of routers, of TURN servers, and those that servers see.
//   - Bindings asks STUN servers for the last sort, Reflexive collects the addresses
//     that all servers saw and classifies the mapping behaviour of the NATs in
//     between (RFC 4787, section 4.1), and a Pattern says how those choose ports.
//   - Policy says which addresses may be probed on a peer's word, and Budget how
//     much goes to those that never answered, over all peers of an edge, so that no
//     peer can aim an edge at a stranger.
//
// Nothing here owns a socket, a goroutine or a clock.
package address
