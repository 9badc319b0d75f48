package protocol

import "encoding/binary"

// MaxRedirectHost bounds the host in a REDIRECT, in bytes: the longest name (RFC 1035,
// section 2.3.4).
const MaxRedirectHost = 253

// Redirect tells an edge where, and under which static key, a supernode is found from now
// on. From an edge it has the serial alone: it has noted that one.
type Redirect struct {
	// Serial rises with each redirect of a supernode: unix milliseconds, or one more than
	// the last.
	Serial uint64
	// Key is its X25519 static key, zeros in an edge's answer.
	Key [32]byte
	// Port is its UDP port; 0: that one and Host are as they are known.
	Port uint16
	// Host is its name or IP address, of MaxRedirectHost bytes at most. Nobody has looked
	// at what it says.
	Host string
}

// Append appends the message with its type and length: in the short form if Key is the zero
// value.
func (m *Redirect) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgRedirect)
	dst = binary.BigEndian.AppendUint64(dst, m.Serial)
	if m.Key != ([32]byte{}) {
		dst = binary.BigEndian.AppendUint16(append(dst, m.Key[:]...), m.Port)
		dst = append(dst, m.Host[:min(len(m.Host), MaxRedirectHost)]...)
	}
	return endTLV(dst, at)
}

// ParseRedirect reads the value of a REDIRECT in either form. It fails with ErrShort,
// ErrLength or ErrValue.
func ParseRedirect(value []byte) (Redirect, error) {
	r := reader{b: value}
	m := Redirect{Serial: r.u64()}
	if len(r.b) > 0 {
		r.copyTo(m.Key[:])
		m.Port = r.u16()
		m.Host = string(r.next(len(r.b)))
		if m.Key == ([32]byte{}) || len(m.Host) > MaxRedirectHost || (m.Port == 0) != (m.Host == "") {
			r.fail(ErrValue)
		}
	}
	return m, r.done()
}
