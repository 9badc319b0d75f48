// Package edge is one member of a community: it carries Ethernet frames
// between a TAP device and the other edges.
//
// A frame passes ten names, in this order. Out (outbound.go):
//
//	readTAP        takes frames and super-frames from the device
//	sendFrame      validates a frame and asks the forwarding database
//	fdb.lookup     finds the edge behind a hardware address
//	sealTo         chooses header and path, and cuts a super-frame
//	Session.Seal   numbers and seals, into the train that the packet leaves in
//
// and then the wire, perhaps through a supernode (supernode.relay). In
// (inbound.go):
//
//	readUDP        takes a batch of datagrams, and trains of them, from the socket
//	handleDatagram tells what a datagram is: one switch
//	Session.Open   authenticates, then asks the replay window
//	deliverFrame   filters, learns, and joins what is one flow
//	Device.Write   hands the frame to the host
//
// One goroutine for each queue runs these, both directions in turn (queue.go;
// docs/architecture.md draws it). It owns its buffers and reads what the control
// loop publishes: an immutable table behind one atomic pointer. The control loop
// (loop.go) is another goroutine and the only owner of registration, handshakes,
// peers, paths and staged frames; whatever the queues cannot decide reaches it
// through a bounded channel.
package edge
