package protocol

// AppendHello appends a HELLO, unmasked: 96 bytes that ask a supernode for its
// public key. It is as long as the answer. The nonce is random and used once.
func AppendHello(dst []byte, nonce [16]byte) []byte {
	dst = Header{Type: TypeHello, XF: XFHop, KI: KINone, CTR: Revision}.append(dst)
	dst = appendZeros(dst, HelloLen-HeaderLen-len(nonce))
	return append(dst, nonce[:]...)
}

// ParseHello reads an unmasked HELLO. The zeros in it are ignored. It fails as
// ParseHeader does, and with ErrType or ErrLength.
func ParseHello(b []byte) (nonce [16]byte, err error) {
	if _, err := parseFixed(b, TypeHello, HelloLen); err != nil {
		return nonce, err
	}
	return [16]byte(b[HelloLen-len(nonce):]), nil
}

// AppendWelcome appends a WELCOME, unmasked: 96 bytes with the nonce of the
// HELLO, the supernode's X25519 public key, and random bytes, which the mask
// needs at a packet's end.
func AppendWelcome(dst []byte, nonce [16]byte, key [32]byte, random [32]byte) []byte {
	dst = Header{Type: TypeWelcome, XF: XFHop, KI: KINone, CTR: Revision}.append(dst)
	dst = append(dst, nonce[:]...)
	dst = append(dst, key[:]...)
	return append(dst, random[:]...)
}

// ParseWelcome reads an unmasked WELCOME. Nothing in it is authenticated. It
// fails as ParseHello does.
func ParseWelcome(b []byte) (nonce [16]byte, key [32]byte, err error) {
	if _, err := parseFixed(b, TypeWelcome, WelcomeLen); err != nil {
		return nonce, key, err
	}
	return [16]byte(b[HeaderLen:]), [32]byte(b[HeaderLen+len(nonce):]), nil
}
