// Package supernode is the meeting point of communities: it registers edges,
// leases them addresses, tells them of each other and relays their packets
// while they have no direct path. It holds no key of any community and never
// parses a relayed packet.
//
// A datagram passes these names, in this order:
//
//	readDatagrams   takes a batch from the socket (train.go)
//	handleTrain     takes the datagrams of one buffer in turn (train.go)
//	handleDatagram  tells what a datagram is: one switch (datagram.go)
//	answerInit      makes a session with an edge (handshake.go)
//	handleControl   registers, answers and arranges (control.go)
//	relay           re-heads a packet for another edge (relay.go)
//	outbox.forward  masks and queues what stays where it was read (outbox.go)
//	outbox.send     the same for what we made (outbox.go)
//
// One goroutine reads datagrams, on a thread of its own, and one runs what is
// due by time. Both change the registry under one mutex, which is held for one
// train at most (the datagrams that the kernel joined into one buffer: 64 KiB
// of one source) and never across I/O; a third goroutine writes registrations
// to disk.
//
// Where it is asked to, the supernode is a TURN server as well (turn.go), on a
// port of its own, for the edges that are registered here.
//
// Edges that cannot use UDP come by streams over TCP (streams.go), which are side
// ways of the socket: the names above are theirs too.
//
// A relayed packet is never copied, unless it goes to many: it is checked and
// re-headed in the buffer that it was read into, and those that lie behind one
// another and go to the same edge leave as the train that they came as.
//
// What a stranger can cause is bounded everywhere: every table has a ceiling,
// every answer to an address that has not proved itself is at most as long as
// what came from it, and every costly step comes after a cheaper one that a
// flood fails (PROTOCOL.md, sections 6, 8 and 10). The one exception is STUN,
// whose answers the standard makes longer; they are limited by rate.
package supernode
