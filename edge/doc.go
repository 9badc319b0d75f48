// Package edge is one member of a community: it carries Ethernet frames
// between a TAP device and the other edges.
//
// Frames are carried by package dataplane, one goroutine for each queue. This
// package is the control loop (loop.go): one more goroutine, which owns all other
// state and decides who is known, by which sessions and on which paths. What the
// queues cannot decide reaches it as an event (events.go), through a bounded
// channel; what it decides, they read from a table that it publishes.
//
// Edge is the composition (edge.go, compose.go) of owners. Each has its own state,
// its own tick and deadline, and knows only those below it:
//
//	connector     how supernodes are reached: addresses, hop handshakes, streams
//	registrar     the registrations: REGISTER, keepalive, DIRECT sets, leases
//	directory     what supernodes are asked and tell about other members
//	sessions      pair sessions: handshakes, renewal, frames that wait
//	routing       how peers are reached: paths, the relayed path, which of the two
//	punching      agreements on when both ends open their NATs
//	introducers   peers that are reached through a third edge
//	peers         the book of peers: identities, hardware addresses, pins
//	keyring       the community's epochs and salts
//	underlay      the network below (package underlay): candidates, LAN, TURN, NATs
//
// Nothing is done twice and nothing has to be remembered: an owner changes its
// state and marks the peer that it concerns; when the event is over the loop
// settles all that is marked, once and in one order (settle.go). Timers are
// registered with the queue of their owner (package timer), so that no deadline is
// collected by hand. What was forgotten all the same is found by Edge.Verify, which
// tests call.
//
// Three stories, each read from top to bottom:
//
//	registering  whereabouts.go, hophandshake.go, registrar.go
//	punching     routing.go, punching.go, and package path
//	a path dies  package path, routing.go, route.go, and settle.go
package edge
