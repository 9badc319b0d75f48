package protocol

// AppendReset appends a RESET, unmasked: 32 bytes that tell an edge that the
// supernode does not know the session index. The token proves that it is the
// supernode that gave it out in its ACK.
func AppendReset(dst []byte, index uint32, token [16]byte) []byte {
	dst = Header{Type: TypeReset, XF: XFHop, KI: KINone, RX: index}.append(dst)
	return append(dst, token[:]...)
}

// ParseReset reads an unmasked RESET. The token is to be compared in constant
// time. It fails as ParseHello does.
func ParseReset(b []byte) (index uint32, token [16]byte, err error) {
	h, err := parseFixed(b, TypeReset, ResetLen)
	if err != nil {
		return 0, token, err
	}
	return h.RX, [16]byte(b[HeaderLen:]), nil
}
