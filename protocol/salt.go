package protocol

import "encoding/binary"

// Salt vouches for the salt of the sender's GROUP packets: packets with it are
// from the peer of the session that the message came in. It is the first
// message of every pair session, and is sent again with each new salt.
type Salt struct {
	// XF is the transform of the GROUP packets, KI the index of their epoch.
	XF Transform
	KI uint8
	// Salt is its creation in u32 unix seconds, 4 random bytes, and the sender
	// tag in 8. One that names another sender counts for nothing.
	Salt [SaltLen]byte
	// Lowest is the lowest counter that is vouched for: what has a lower one was
	// sealed before, and is refused.
	Lowest uint64
	// Serial rises with each salt that a sender draws, over restarts too. The two
	// salts with the highest count.
	Serial uint64
}

// Append appends the message with its type and length.
func (m *Salt) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgSalt)
	dst = append(dst, byte(m.XF), m.KI)
	dst = append(dst, m.Salt[:]...)
	dst = binary.BigEndian.AppendUint64(dst, m.Lowest)
	return endTLV(binary.BigEndian.AppendUint64(dst, m.Serial), at)
}

// ParseSalt reads the value of a SALT. It fails with ErrShort or ErrLength.
func ParseSalt(value []byte) (Salt, error) {
	r := reader{b: value}
	m := Salt{XF: Transform(r.u8()), KI: r.u8()}
	r.copyTo(m.Salt[:])
	m.Lowest, m.Serial = r.u64(), r.u64()
	return m, r.done()
}
