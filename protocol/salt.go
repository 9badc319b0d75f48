package protocol

// Salt vouches for the salt of the sender's GROUP packets: packets with it are
// from the peer of the session that the message came in. It is the first
// message of every pair session, and is sent again with each new salt.
type Salt struct {
	// XF is the transform of the GROUP packets, KI the index of their epoch.
	XF Transform
	KI uint8
	// Salt is its creation in u32 unix seconds, then 12 random bytes.
	Salt [SaltLen]byte
}

// Append appends the message with its type and length.
func (m *Salt) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgSalt)
	dst = append(dst, byte(m.XF), m.KI)
	return endTLV(append(dst, m.Salt[:]...), at)
}

// ParseSalt reads the value of a SALT. It fails with ErrShort or ErrLength.
func ParseSalt(value []byte) (Salt, error) {
	r := reader{b: value}
	m := Salt{XF: Transform(r.u8()), KI: r.u8()}
	r.copyTo(m.Salt[:])
	return m, r.done()
}
