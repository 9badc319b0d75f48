// Package dataplane carries Ethernet frames between a TAP device and the other
// edges: everything of an edge that runs on the goroutines of its queues.
//
// A frame passes ten names, in this order. Out (outbound.go):
//
//	readTAP        takes frames and super-frames from the device
//	sendFrame      validates a frame and asks the forwarding database
//	FDB.Lookup     finds the edge behind a hardware address
//	sealTo         chooses header and path, and cuts a super-frame
//	Session.Seal   numbers and seals, into the train that the packet leaves in
//
// and then the wire, perhaps through a supernode (relayer.relay in package supernode). In
// (inbound.go):
//
//	readUDP        takes a batch of datagrams, and trains of them, from the socket
//	handleDatagram tells what a datagram is: one switch
//	Session.Open   authenticates, then asks the replay window
//	deliverFrame   filters, learns, and joins what is one flow
//	Device.Write   hands the frame to the host
//
// A link (link.go) is a device for one peer. Its frames pass readLink and sendOnLink on a
// goroutine of the link's, and takeLink instead of the second half of deliverFrame.
//
// One goroutine for each queue runs these, both directions in turn (queue.go;
// docs/architecture.md draws it). It owns its buffers and reads what the control
// loop, which is package edge, publishes.
//
// This package cannot see the control loop. What crosses the line between them
// is this:
//
//   - Plane is what the queues and the control loop share. New makes it of what
//     never changes.
//   - Table is what the queues know of peers, sessions, supernodes and keys. It
//     never changes; the control loop changes a Draft of the next one, and
//     Plane.Publish puts that in its place behind one atomic pointer.
//   - Peer, Session, Supernode, HopSession and Source are what a table holds. What
//     changes more often than the table hangs behind atomics of theirs: the Route
//     of a peer, the HopRoute of a supernode, the counters.
//   - Event is what a queue tells the control loop, through two bounded channels
//     (events.go). Its Origin says where a packet came from.
//   - Sender seals and sends the control loop's packets, as the queues do theirs.
package dataplane
