// Package transport moves datagrams: UDP over IPv4 and IPv6, in batches. It does
// not know what a datagram means.
//
// Its connections share five methods. The packages that use them name these, or
// some of them, as an interface of their own:
//
//	ReadBatch(ds []Datagram) (n int, err error)
//	Wait() error
//	WriteBatch(ds []Datagram) (n int, err error)
//	LocalAddr() netip.AddrPort
//	Close() error
//
// ReadBatch never blocks: it returns 0 and no error when there is nothing to
// read. Waiting is separate. A loop that has only its connection calls Wait; a
// loop that has more sources gives the connection's Fd (on Linux) or Ready
// (elsewhere) to package waiter. Both return net.ErrClosed once Close was
// called, and a blocked Wait does so at once; Close may come at any time.
// WriteBatch sends the whole batch even if the network refuses single datagrams,
// and reports those as a *WriteError afterwards.
//
// On Linux, UDP is a raw descriptor outside of Go's network poller, read by
// recvmmsg(2) and written by sendmmsg(2), many messages a call. A message is one
// datagram or a train: datagrams of one size that the kernel cuts apart on
// sending (GSO, UDP_SEGMENT) and joins on receiving (GRO, UDP_GRO). Datagram.Seg
// tells which. Where the kernel refuses that, datagrams go one by one;
// Options.Log gets one line about it, and Counters show it. Elsewhere UDP is the
// standard library's, with a goroutine that reads ahead.
//
// A transport besides the UDP sockets (a stream, a TURN allocation) has a side
// address: see Sides.
//
// Nothing allocates per datagram. The message headers live in the UDP, one set
// for reading and one for writing, each under a lock of its own.
package transport
