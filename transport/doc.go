// Package transport is how datagrams travel: UDP over IPv4 and IPv6, moved in
// batches. What a datagram means is not its business.
//
// Its connections share four methods, which the packages that use them name as
// an interface of their own:
//
//	ReadBatch(ds []Datagram) (n int, err error)
//	WriteBatch(ds []Datagram) (n int, err error)
//	LocalAddr() netip.AddrPort
//	Close() error
//
// ReadBatch blocks for at least one datagram and returns net.ErrClosed once
// Close was called, also when it was blocked then. WriteBatch sends the whole
// batch whatever the network says of single datagrams, and reports those as a
// *WriteError afterwards.
//
// UDP is the implementation over the standard library and serves every system.
package transport
