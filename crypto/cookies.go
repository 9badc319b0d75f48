package crypto

import (
	"crypto/cipher"
	"encoding/binary"
	"io"
	"time"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"
)

// cookies are made and checked without allocations and without a look at the source of
// randomness for each: a flood of INITs from forged addresses has one made for each of them.
// A cookie is AES-128-CMAC of the source under the key of a generation: nobody but us computes
// one, and that is a tenth of the work of BLAKE2s.
type cookies struct {
	secret rotatingSecret
	hasher *hasher
	macs   [2]*cmac // by generation mod 2

	sealKey [32]byte
	random  io.Reader
	seal    cipher.AEAD // under the subkey of the nonce's first 16 bytes; nil: to be made
	nonce   struct {
		whole [chacha20poly1305.NonceSizeX]byte
		inner [chacha20poly1305.NonceSize]byte
		used  uint64 // with this subkey
	}
}

// turn brings the generation up to date.
func (c *cookies) turn(now time.Time) {
	ended := c.secret.turn(now)
	if ended == 0 {
		return
	}
	for gen := c.secret.gen - ended + 1; gen <= c.secret.gen; gen++ {
		c.macs[gen%2] = newCMAC(c.secret.key(gen))
	}
	c.seal = nil
}

// of returns the cookie of a source in a generation, the present one or that before.
func (c *cookies) of(gen uint64, src []byte) [16]byte { return c.macs[gen%2].sum(src) }

// shown reports whether an INIT has the mac2 of a source's cookie.
func (c *cookies) shown(now time.Time, init, src []byte) bool {
	c.turn(now)
	for _, gen := range [2]uint64{c.secret.gen, c.secret.gen - 1} {
		if equal(c.hasher.once(c.of(gen, src), init[:initLen-16]), init[initLen-16:]) {
			return true
		}
	}
	return false
}

// append is Guard.AppendCookie.
func (c *cookies) append(dst []byte, now time.Time, hdr [16]byte, init, src []byte) []byte {
	c.turn(now)
	if c.seal == nil && !c.renew() {
		return dst
	}
	n := &c.nonce
	binary.BigEndian.PutUint64(n.whole[16:], n.used)
	binary.BigEndian.PutUint64(n.inner[4:], n.used)
	n.used++
	dst = append(append(dst, hdr[:]...), n.whole[:]...)
	cookie := c.of(c.secret.gen, src)
	body := len(dst)
	dst = append(dst, cookie[:]...)
	return c.seal.Seal(dst[:body], n.inner[:], dst[body:], init[initLen-32:initLen-16])
}

// renew begins with nonces whose first 16 bytes are new. XChaCha20-Poly1305 makes a subkey of
// them and takes the rest for the nonce of ChaCha20-Poly1305: with a new count for each
// cookie in the rest, no nonce comes twice, and the subkey is made once.
func (c *cookies) renew() bool {
	n := &c.nonce
	if _, err := io.ReadFull(c.random, n.whole[:16]); err != nil {
		return false
	}
	key, err := chacha20.HChaCha20(c.sealKey[:], n.whole[:16])
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	if c.seal, err = chacha20poly1305.New(key); err != nil {
		panic("crypto: " + err.Error())
	}
	n.used = 0
	return true
}
