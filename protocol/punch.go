package protocol

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// Punch arranges hole punching through the supernode. From an edge it has the
// handle alone: arrange a punch with that peer. The supernode then sends each of
// the two the other's handle, the address that it sees the other at, and a delay
// such that both start at the same moment.
type Punch struct {
	// Handle is the peer.
	Handle uint32
	// Seen is the peer's address, the zero value in an edge's request.
	Seen netip.AddrPort
	// Delay is how long after arrival to start, at most 65 535 ms, in whole
	// milliseconds.
	Delay time.Duration
}

// Append appends the message with its type and length: in the short form if
// Seen is the zero value.
func (m *Punch) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgPunch)
	dst = binary.BigEndian.AppendUint32(dst, m.Handle)
	if m.Seen.IsValid() {
		dst = appendMilliseconds(appendAddr(dst, m.Seen), m.Delay)
	}
	return endTLV(dst, at)
}

// ParsePunch reads the value of a PUNCH in either form. It fails with
// ErrShort, ErrLength or ErrValue.
func ParsePunch(value []byte) (Punch, error) {
	r := reader{b: value}
	m := Punch{Handle: r.u32()}
	if len(r.b) > 0 {
		m.Seen = r.addr()
		m.Delay = r.milliseconds()
	}
	if m.Handle == 0 || m.Handle == HandleAll {
		r.fail(ErrValue)
	}
	return m, r.done()
}
