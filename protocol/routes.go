package protocol

import (
	"encoding/binary"
	"net/netip"
)

// MaxRoutes is how many networks one ROUTES names: the message goes in one packet.
const MaxRoutes = 32

// Routes is which networks an edge forwards packets to, for whoever asks it in a
// session. Whether anybody sends it packets for them is up to the receiver.
type Routes struct {
	// Serial rises with every change, over restarts too; one that is lower than an
	// earlier one is ignored.
	Serial uint64
	// Ask asks for the receiver's own ROUTES.
	Ask bool
	// List has at most MaxRoutes networks; Append leaves further ones out.
	List []netip.Prefix
}

const routesAsk = 1

// Append appends the message with its type and length.
func (m *Routes) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgRoutes)
	dst = binary.BigEndian.AppendUint64(dst, m.Serial)
	var flags byte
	if m.Ask {
		flags |= routesAsk
	}
	dst = append(dst, flags)
	for _, p := range m.List[:min(len(m.List), MaxRoutes)] {
		dst = appendPrefix(dst, p)
	}
	return endTLV(dst, at)
}

// ParseRoutes reads the value of a ROUTES. Unknown flags are ignored. It fails with
// ErrShort, with ErrTooMany, and with ErrValue for what is no prefix or has bits behind
// its length.
func ParseRoutes(value []byte) (Routes, error) {
	r := reader{b: value}
	m := Routes{Serial: r.u64(), Ask: r.u8()&routesAsk != 0}
	for len(r.b) > 0 {
		if len(m.List) == MaxRoutes {
			r.fail(ErrTooMany)
			break
		}
		p := r.prefix()
		if p != p.Masked() {
			r.fail(ErrValue)
		}
		m.List = append(m.List, p)
	}
	return m, r.done()
}
