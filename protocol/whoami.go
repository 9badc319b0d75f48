package protocol

import "net/netip"

// Whoami asks the supernode which address it sees. It is padded so that the
// answer is not longer.
type Whoami struct {
	// Nonce is echoed; random, used once.
	Nonce [8]byte
	// Pad is the number of zero bytes behind, at most MaxDatagram. SeenPad is
	// enough for every answer.
	Pad int
}

// SeenPad is the padding in bytes of a Whoami that is as long as the longest
// Seen: an IPv6 address with family and port.
const SeenPad = 1 + 16 + 2

// Append appends the message with its type and length.
func (m *Whoami) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgWhoami)
	dst = append(dst, m.Nonce[:]...)
	return endTLV(appendZeros(dst, min(m.Pad, MaxDatagram)), at)
}

// ParseWhoami reads the value of a WHOAMI. It fails with ErrShort or ErrValue.
func ParseWhoami(value []byte) (Whoami, error) {
	r := reader{b: value}
	var m Whoami
	r.copyTo(m.Nonce[:])
	m.Pad = r.pad(MaxDatagram)
	return m, r.done()
}

// Seen answers a Whoami with the address that it came from.
type Seen struct {
	// Nonce is the Whoami's.
	Nonce [8]byte
	// Addr is the address and port; it has to be valid.
	Addr netip.AddrPort
}

// Append appends the message with its type and length.
func (m *Seen) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgSeen)
	dst = append(dst, m.Nonce[:]...)
	return endTLV(appendAddr(dst, m.Addr), at)
}

// ParseSeen reads the value of a SEEN. It fails with ErrShort, ErrLength or
// ErrValue.
func ParseSeen(value []byte) (Seen, error) {
	r := reader{b: value}
	var m Seen
	r.copyTo(m.Nonce[:])
	m.Addr = r.addr()
	return m, r.done()
}
