package transport

import (
	"fmt"
	"iter"
	"net/netip"
)

// Datagram is one UDP payload, or a train of them, inside a buffer that belongs
// to the caller of ReadBatch or WriteBatch and is only borrowed until the call
// returns.
type Datagram struct {
	// Buf is the caller's. ReadBatch fills it up to its full length; a datagram
	// that is longer is cut.
	Buf []byte
	// N is how many bytes of Buf count: set by ReadBatch, read by WriteBatch.
	N int
	// Addr is where the datagram came from or goes to. An IPv4 address is never
	// in its IPv6-mapped form after ReadBatch; WriteBatch accepts either.
	Addr netip.AddrPort
	// Local is the address of this host that the datagram was sent to, or leaves from:
	// whoever answers puts it back, so that the answer comes from the address that was
	// asked. A link-local one has the zone of its interface. ReadBatch leaves it invalid
	// where the system does not tell (all but Linux), and for a datagram to a group. In
	// WriteBatch an invalid one, one of another family than Addr, and one that this host
	// does not have any more leave the choice to the system.
	Local netip.Addr
	// Seg is 0 for one datagram. Otherwise Buf[:N] holds datagrams of Seg bytes
	// each behind one another, of which the last may be shorter (UDP GRO and
	// GSO).
	Seg int
	// TTL is the time to live of this datagram alone, the hop limit in IPv6, 0 for the
	// socket's default. ReadBatch sets it to 0.
	TTL uint8
	// TOS is the octet of the IP header with the DSCP and the ECN field (RFC 2474, RFC
	// 3168), of each datagram of a train: as it came, and as it leaves. Where the system
	// does not tell it (all but Linux) ReadBatch sets 0, and WriteBatch sends with 0.
	TOS uint8
}

// Payload returns the bytes that count. It panics when N does not lie inside
// Buf, which is a fault of the caller.
func (d *Datagram) Payload() []byte { return d.Buf[:d.N] }

// WriteError says that the network refused datagrams of a batch: no route, no
// listener, too big, a firewall of this host. The rest of the batch was sent.
type WriteError struct {
	// Index is the first refused datagram's place in the batch.
	Index int
	// Err is why, and wraps the system's errno.
	Err error
	// Others are the further refused ones in the order of the batch.
	Others []WriteError
}

// Error names the first refused datagram and says how many others there are.
func (e *WriteError) Error() string {
	if len(e.Others) == 0 {
		return fmt.Sprintf("datagram %d of the batch: %v", e.Index, e.Err)
	}
	return fmt.Sprintf("datagram %d of the batch and %d more: %v", e.Index, len(e.Others), e.Err)
}

// Unwrap returns the reason of the first refused datagram.
func (e *WriteError) Unwrap() error { return e.Err }

// All returns the place in the batch of each refused datagram, and why it was, in their
// order.
func (e *WriteError) All() iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		if !yield(e.Index, e.Err) {
			return
		}
		for _, o := range e.Others {
			if !yield(o.Index, o.Err) {
				return
			}
		}
	}
}

// add records one more refused datagram and returns the error of the batch.
func (e *WriteError) add(index int, err error) *WriteError {
	if e == nil {
		return &WriteError{Index: index, Err: err}
	}
	e.Others = append(e.Others, WriteError{Index: index, Err: err})
	return e
}
