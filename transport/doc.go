// Package transport is how datagrams travel: UDP over IPv4 and IPv6, moved in
// batches. What a datagram means is not its business.
//
// Its connections share five methods, which the packages that use them name as
// an interface of their own, or a part of them:
//
//	ReadBatch(ds []Datagram) (n int, err error)
//	Wait() error
//	WriteBatch(ds []Datagram) (n int, err error)
//	LocalAddr() netip.AddrPort
//	Close() error
//
// ReadBatch never blocks: 0 and no error say that nothing waits. Waiting is a
// thing of its own. A loop that has only its connection calls Wait; one that has
// more sources hands the connection's Fd (on Linux) or Ready (elsewhere) to
// package waiter. Both return net.ErrClosed once Close was called, and a blocked
// Wait does so at once; Close may come at any time. WriteBatch sends the whole
// batch whatever the network says of single datagrams, and reports those as a
// *WriteError afterwards.
//
// On Linux, UDP is a raw descriptor outside of Go's network poller, read by
// recvmmsg(2) and written by sendmmsg(2), many messages a call. A message is one
// datagram or a train of equal ones, which the kernel takes apart (UDP_SEGMENT)
// and joins (UDP_GRO) behind our back; Datagram.Seg tells which. Where the
// kernel refuses that, datagrams go one by one, which is said once in
// Options.Log and seen in Counters. Elsewhere UDP is the standard library's, with
// a goroutine that reads ahead.
//
// Nothing allocates per datagram. The message headers live in the UDP, one set
// for reading and one for writing, each under a lock of its own.
package transport
