package protocol

import "encoding/binary"

// KeyUpdate carries a new epoch to a member that is on the list. It counts
// only if the community has an authority key, the signature is that key's and
// the version is higher than the last.
type KeyUpdate struct {
	// Version is the version of the member list that the epoch goes with.
	Version uint64
	// KI is the index of the epoch, 0 to 254.
	KI uint8
	// XF is the transform of its GROUP packets, 0 to let each sender choose.
	XF Transform
	// From and Until bound the epoch in unix seconds, 0 for no bound.
	From, Until uint64
	// Key is the epoch key.
	Key [32]byte
	// Sig is the authority's Ed25519 signature over "hedgerow/1 key update",
	// CID and the value up to here.
	Sig [64]byte
}

// Append appends the message with its type and length.
func (m *KeyUpdate) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgKeyUpdate)
	dst = m.AppendSigned(dst)
	return endTLV(append(dst, m.Sig[:]...), at)
}

// AppendSigned appends the part of the value that the signature covers, 58
// bytes.
func (m *KeyUpdate) AppendSigned(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, m.Version)
	dst = append(dst, m.KI, byte(m.XF))
	dst = binary.BigEndian.AppendUint64(dst, m.From)
	dst = binary.BigEndian.AppendUint64(dst, m.Until)
	return append(dst, m.Key[:]...)
}

// ParseKeyUpdate reads the value of a KEYUPDATE. It does not check the
// signature. It fails with ErrShort, ErrLength or ErrValue.
func ParseKeyUpdate(value []byte) (KeyUpdate, error) {
	r := reader{b: value}
	m := KeyUpdate{Version: r.u64(), KI: r.u8(), XF: Transform(r.u8()), From: r.u64(), Until: r.u64()}
	r.copyTo(m.Key[:])
	r.copyTo(m.Sig[:])
	if m.KI == KINone {
		r.fail(ErrValue)
	}
	return m, r.done()
}
