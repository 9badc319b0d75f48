package protocol

import "encoding/binary"

// MaxDirect is how many handles a Direct may name: as many as fit into a
// datagram beside its headers.
const MaxDirect = 400

// Direct tells the supernode which peers its sender has a direct path to, so
// that it leaves them out of a flood with FlagExceptDirect. It replaces the
// list before.
type Direct struct {
	// Handles are the peers, at most MaxDirect. Append leaves further ones out:
	// those peers get each flood over their path and through the relay, and
	// their replay window drops one copy.
	Handles []uint32
}

// Append appends the message with its type and length.
func (m *Direct) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgDirect)
	for _, h := range m.Handles[:min(len(m.Handles), MaxDirect)] {
		dst = binary.BigEndian.AppendUint32(dst, h)
	}
	return endTLV(dst, at)
}

// ParseDirect reads the value of a DIRECT. It fails with ErrShort or
// ErrTooMany.
func ParseDirect(value []byte) (Direct, error) {
	r := reader{b: value}
	if len(value)/4 > MaxDirect {
		return Direct{}, ErrTooMany
	}
	var m Direct
	for len(r.b) > 0 {
		m.Handles = append(m.Handles, r.u32())
	}
	return m, r.done()
}
