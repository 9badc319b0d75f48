// Package supernode is the meeting point of communities: it registers edges,
// leases them addresses, tells them each other's addresses and relays their packets
// while they have no path between themselves. It holds no key of any community and
// never parses a relayed packet.
//
// A datagram passes these names, in this order:
//
//	readDatagrams       reads a batch from the socket (train.go)
//	handleTrain         handles the datagrams of one buffer in turn (train.go)
//	handleDatagram      finds out which packet a datagram is: one switch (datagram.go)
//	handshakes.screen   decides whether an INIT is opened, by package handshake (handshake.go)
//	answerer.answer     opens it and makes a session with an edge (answerer.go)
//	controls.handleData opens a control packet and hands each message on (control.go)
//	controls.prove      checks the signatures of a REGISTER, and hands its packet on (control.go)
//	relayer.relay       re-heads a packet for another edge (relay.go)
//	outbox.forward      masks and queues a packet that stays where it was read (outbox.go)
//	outbox.send         does the same with a packet that we made (outbox.go)
//
// Server is the composition (server.go, compose.go). Each concern has an owner with its
// own state, which knows those before it:
//
//	refusals    what went no further: counters and debug lines (refusals.go)
//	serverKeys  the keys that edges know us by (keys.go)
//	sockets     the sockets and the streams (sockets.go)
//	stateFiles  the identity and its copy (identity.go), the reset keys (resetkeys.go)
//	store       registrations on disk, by package journal (store.go), and answers that wait
//	            for it (acknowledge.go)
//	registry    communities, registrations and leases (registry.go), and which part of
//	            them each network may have (shares.go)
//	eventLog    what an operator reads without -v (eventlog.go)
//	front       a NAT or a proxy before us that hides where edges come from (front.go)
//	addresses   who gives an address up when the pool is full (yielding.go)
//	allowance   what static keys and sources may make us do (allowance.go)
//	controlSender, exchange
//	            control packets that we send, and one of an edge with its answer (exchange.go)
//	prober      addresses that prove themselves, round trips (probe.go)
//	resetter    edges that are told that their session is gone (reset.go, resetkeys.go)
//	sessions    sessions with edges, by index (sessions.go)
//	strangers   senders without a session: handshakes, greeter, binding (STUN)
//	relayer     packets and floods between members (relay.go, flood.go)
//	crowded     who is relayed where not all can be, by package fair (crowded.go)
//	turnServer  credentials and permissions of the TURN server (turnserver.go)
//	notices     RESETs after a restart, PEER_INFOs about restarted edges (notices.go)
//	rotation    edges that are told of another key of ours (rotation.go, rotate.go,
//	            rotationfile.go)
//	redirects   edges that are told where we are found from now on (redirects.go, rounds.go)
//	registrar   who is registered, as what, and until when (register.go, grant.go), of those
//	            whom package admission lets in
//	reviews     who is admitted no more after a change of the rules (reviews.go)
//	listings    whether an edge is in the list of members of its community, of package lists,
//	            and who brings that list (listings.go)
//	listReviews who is in it no more when there is a newer one (listreviews.go)
//	members     whom members ask for, punch with, and leave out (query.go, punch.go)
//	listing     documents about communities and edges, in steps (listing.go, walk.go)
//	health      what went wrong lately, and what status says of it (health.go)
//	controls    control packets, and whose each message is (control.go)
//
// One goroutine reads datagrams, on a thread of its own, one makes the handshakes, one
// checks the signatures of REGISTERs, and one runs the timers, which the owners set in one
// queue. All change the owners' tables
// under one mutex, which is held for one train at most (the datagrams that the kernel
// joined into one buffer: 64 KiB of one source) and never across I/O, a handshake or the
// check of a signature. What was found without the mutex is looked at again under it. One
// more sends what is for strangers, and one writes registrations to disk, and then sends
// the ACKs that promise them. Refusals, sockets and store need no mutex of the caller's.
// Whoever reads, sends or changes a table is in the gate meanwhile (gate.go), so that
// HandOver can stop all of it at once and give the state to another process.
//
// Where it is asked to, the supernode is a TURN server as well (turnserver.go), on a
// port of its own, for the edges that are registered here.
//
// Edges that cannot use UDP come by streams over TCP (streams.go). Each stream has a
// side address of the socket, so their packets pass the same names.
//
// A relayed packet is never copied, unless it is a flood: it is checked and
// re-headed in the buffer that it was read into, and packets that lie behind one
// another and go to the same edge leave as the train that they came as.
//
// Whatever a sender without a session can cause is bounded: every table has a
// ceiling, every answer to an address that has not proved itself is at most as long
// as the datagram that it answers, and every costly check comes after a cheaper one
// that a flood fails (PROTOCOL.md, section 4). Strangers compete for places by the
// networks that they come from (guests.go), cost no more than a part of one processor
// (effort.go), wait behind registered edges (queues.go), and never compete with registered edges, whose keys have places and
// whose addresses have lanes of their own (lanes.go). Their answers leave last, and neither
// these nor their handshakes keep a packet of an edge from being read (answerer.go,
// replies.go).
//
// What a sender with a session can cause is bounded as well. Tokens belong to static keys
// and to networks of sources (allowance.go), and are counted by what leaves; the tables
// have a share for each network (shares.go). A body of control messages is done whole or
// not at all (control.go), and a registration has a session that ends.
//
// Whatever is refused has a counter of its own (drops.go), and all but relayed
// packets a debug line that says which edge it was about (refusals.go).
package supernode
