// Package edge is one member of a community: it carries Ethernet frames
// between a TAP device and the other edges.
//
// A frame passes ten names, in this order. Out (outbound.go):
//
//	readTAP        takes a batch of frames from the device
//	sendFrame      validates a frame and asks the forwarding database
//	fdb.lookup     finds the edge behind a hardware address
//	sealTo         chooses header and path
//	Session.Seal   numbers and seals in place
//
// and then the wire, perhaps through a supernode (supernode.relay). In
// (inbound.go):
//
//	readUDP        takes a batch of datagrams from the socket
//	handleDatagram tells what a datagram is: one switch
//	Session.Open   authenticates, then asks the replay window
//	deliverFrame   filters and learns
//	Device.Write   hands the frame to the host
//
// Two goroutines run these, one a direction. They own their buffers and
// read what the control loop publishes: an immutable table behind one atomic
// pointer. The control loop (loop.go) is a third goroutine and the only
// owner of registration, handshakes, peers, paths and staged frames; whatever
// the data goroutines cannot decide reaches it through a bounded channel.
package edge
