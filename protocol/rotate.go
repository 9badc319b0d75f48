package protocol

import "encoding/binary"

// Rotate tells an edge of the static key that takes the place of the one of the session
// that it comes in. From an edge it has the serial alone: it has noted that one.
type Rotate struct {
	// Serial rises with each rotation of a supernode: unix milliseconds, or one more than
	// the last.
	Serial uint64
	// Key is the X25519 static key to come, zeros in an edge's answer.
	Key [32]byte
	// Proof is what only this edge and the owner of Key can make (crypto.Rotation).
	Proof [16]byte
}

// Append appends the message with its type and length: in the short form if Key is the zero
// value.
func (m *Rotate) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgRotate)
	dst = binary.BigEndian.AppendUint64(dst, m.Serial)
	if m.Key != ([32]byte{}) {
		dst = append(append(dst, m.Key[:]...), m.Proof[:]...)
	}
	return endTLV(dst, at)
}

// ParseRotate reads the value of a ROTATE in either form. It fails with ErrShort, ErrLength
// or ErrValue.
func ParseRotate(value []byte) (Rotate, error) {
	r := reader{b: value}
	m := Rotate{Serial: r.u64()}
	if len(r.b) > 0 {
		r.copyTo(m.Key[:])
		r.copyTo(m.Proof[:])
		if m.Key == ([32]byte{}) {
			r.fail(ErrValue)
		}
	}
	return m, r.done()
}
