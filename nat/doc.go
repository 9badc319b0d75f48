// Package nat has no code of its own. What decides how two edges reach each other
// is in the packages below it, which hold state machines without sockets,
// goroutines and clocks:
//
//   - nat/address: candidates, reflexive addresses and mapping behaviour, what may
//     be probed and how much.
//   - nat/path: the machine that finds, watches and gives up the direct path to one
//     peer.
//   - nat/pmtu: how large packets a path carries.
//
// Beside them, nat/stun is the STUN codec and its guard, nat/turn the TURN client
// and server, nat/portmap asks routers for mappings, and nat/nattest is an internet
// with NATs for tests. docs/NAT.md describes the whole.
package nat
