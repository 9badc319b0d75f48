// Package edge is one member of a community: it carries Ethernet frames
// between a TAP device and the other edges.
//
// The frames themselves are carried by package dataplane, on one goroutine for
// each queue; its package comment lists the ten names that a frame passes. The
// control loop (loop.go) is another goroutine and the only owner of registration,
// handshakes, peers, paths and staged frames. Whatever the queues cannot decide
// reaches it as an event through a bounded channel, and what it decides it
// publishes: an immutable table behind one atomic pointer.
package edge
