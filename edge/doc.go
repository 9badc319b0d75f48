// Package edge is one member of a community: it carries Ethernet frames
// between a TAP device and the other edges.
//
// Frames are carried by package dataplane, one goroutine for each queue. This
// package is the control loop (loop.go): one more goroutine, which owns all other
// state and decides who is known, by which sessions and on which paths. What the
// queues cannot decide reaches it as an event (events.go), through a bounded
// channel; what it decides, they read from a table that it publishes.
//
// Edge is the composition (edge.go, compose.go) of owners. Each has its own state, its
// own tick and deadline if time matters to it, and knows only those below it:
//
//	registrar     the registrations: REGISTER, keepalive, DIRECT sets, leases
//	connector     how supernodes are reached: addresses, hop handshakes, streams
//	furtherSockets another local port, where the data socket gets no answer
//	duplicates    who else has our address, and whether we give it up
//	directory     what supernodes are asked and tell about other members
//	sessions      pair sessions: handshakes, renewal, frames that wait
//	routing       how peers are reached: paths, the relayed path, which of the two
//	punching      agreements on when both ends open their NATs
//	links         devices of single peers, their carriers and costs
//	introducers   peers that are reached through a third edge
//	peers         the book of peers: identities, hardware addresses, pins
//	stations      questions about stations that two edges say are behind them
//	keyring       the community's epochs and salts
//	finder        members that are not known, of those that we want: hubs, peers of links
//	keptSessions  sessions that are made although nothing passes
//	listeners     hosts are asked for the multicast groups that they have joined
//	guard         what others may send here, and whose overlay addresses are
//	segment       the election of the bridge that forwards on our LAN
//	subnets       IP networks behind peers, and the routes to them
//	successions   what other bridges say of theirs, and where their hosts are
//	underlay      the network below (package underlay): candidates, LAN, TURN, NATs
//
// Nothing is done twice and nothing has to be remembered: an owner changes its
// state and marks the peer that it concerns; when the event is over the loop
// settles all that is marked, once and in one order (settle.go). Timers are
// registered with the queue of their owner (package timer), so that no deadline is
// collected by hand. What was forgotten all the same is found by Edge.Verify, which
// tests call.
//
// Three stories, each read from top to bottom. What a name like s.hop or p.reach
// holds is declared in supernode.go and reachability.go. Packets come in through
// events.go, which calls the handler named after the message.
//
//   - Registering. connector.begin has resolve look the supernode up (whereabouts.go);
//     restart sends a HELLO or an INIT, and finished has the session (hophandshake.go).
//     When that event is settled registrar.settle finds the session fresh and sends
//     REGISTER; handleAck is the end (registrar.go). Where UDP is blocked the INIT goes
//     over a stream (stream.go), and keepalive.go notices when the supernode is lost. Where
//     its name comes to stand for another one it is followed by moved.go.
//   - Punching. The path of a peer wants a PUNCH (pollPath in routing.go); ask sends the
//     request to a supernode and CALL to the peer; handlePunch, or handleGo and agree,
//     give the path the moment to begin (punching.go). What is sent then is package
//     path: punch.go, attempt.go and plan.go, for hard NATs hardnat.go.
//   - A path dies. The pings get no answer (heartbeat.go in package path), and Poll gives
//     the path up (machine.go, giveUp in selection.go). It was called by pollPath, from
//     routing.settle, which has route publish that frames go through a supernode from
//     now on (compute in route.go). Who settles a peer, and when, is settle.go.
//
// docs/debugging.md ends with a table of questions and of the functions that decide.
package edge
