package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// cmac is AES-128-CMAC (RFC 4493), which allocates nothing for a sum. It must not be used by
// two goroutines at once.
type cmac struct {
	block      cipher.Block
	whole, cut [aes.BlockSize]byte // K1 and K2: for a last block that is full, and that is not
	state      [aes.BlockSize]byte
}

// newCMAC returns the CMAC under a key.
func newCMAC(key [16]byte) *cmac {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	c := &cmac{block: block}
	block.Encrypt(c.state[:], c.state[:])
	c.whole = double(c.state)
	c.cut = double(c.whole)
	return c
}

// double multiplies by x in the field of RFC 4493, section 2.3.
func double(b [aes.BlockSize]byte) (d [aes.BlockSize]byte) {
	carry := b[0] >> 7
	for i := range d {
		d[i] = b[i] << 1
		if i+1 < len(b) {
			d[i] |= b[i+1] >> 7
		}
	}
	d[len(d)-1] ^= carry * 0x87
	return d
}

// sum returns the CMAC of b.
func (c *cmac) sum(b []byte) [aes.BlockSize]byte {
	s := c.state[:]
	clear(s)
	for len(b) > aes.BlockSize {
		subtle.XORBytes(s, s, b[:aes.BlockSize])
		c.block.Encrypt(s, s)
		b = b[aes.BlockSize:]
	}
	last := &c.whole
	if len(b) < aes.BlockSize {
		last = &c.cut
		s[len(b)] ^= 0x80
	}
	subtle.XORBytes(s, s, b)
	subtle.XORBytes(s, s, last[:])
	c.block.Encrypt(s, s)
	return c.state
}
