package crypto

// Scratch is the working room of one goroutine: an argument to a cipher through
// an interface escapes to the heap, so nonces and blocks live here and sealing
// or opening a packet allocates nothing. It holds no state between two calls and
// must not be used by two goroutines at once.
type Scratch struct {
	nonce [12]byte // 0000 || CTR; the first four bytes are never written
	ad    [34]byte // associated data of a hop tag: hdr16, u16 length, last 16 bytes
	in    [16]byte // mask: the block that is encrypted
	out   [16]byte // mask: the key stream made of it
}

// NewScratch returns a Scratch for the use of one goroutine.
func NewScratch() *Scratch { return new(Scratch) }

// counterNonce returns the AEAD nonce of a packet, 0000 || CTR, with CTR from
// the packet's header. It is valid until the next call.
func (sc *Scratch) counterNonce(hdr []byte) []byte {
	copy(sc.nonce[4:], hdr[offCTR:headerLen])
	return sc.nonce[:]
}
