package protocol

import "encoding/binary"

// Unregister removes the edge from the supernode's table. Its lease is kept for
// it.
type Unregister struct{}

// Append appends the message with its type and length.
func (m *Unregister) Append(dst []byte) []byte {
	return append(dst, byte(MsgUnregister), 0, 0)
}

// ParseUnregister reads the value of an UNREGISTER. It fails with ErrLength.
func ParseUnregister(value []byte) (Unregister, error) {
	r := reader{b: value}
	return Unregister{}, r.done()
}

// Load tells an edge how busy the supernode is. From an edge, with both zero,
// it asks for that.
type Load struct {
	// Edges is how many edges are registered, in all communities.
	Edges uint32
	// Percent is how much of the relay's budget is in use; it may be over 100.
	Percent uint32
}

// Append appends the message with its type and length.
func (m *Load) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgLoad)
	dst = binary.BigEndian.AppendUint32(dst, m.Edges)
	return endTLV(binary.BigEndian.AppendUint32(dst, m.Percent), at)
}

// ParseLoad reads the value of a LOAD. It fails with ErrShort or ErrLength.
func ParseLoad(value []byte) (Load, error) {
	r := reader{b: value}
	m := Load{Edges: r.u32(), Percent: r.u32()}
	return m, r.done()
}
