package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/base64"
	"sync"

	"golang.org/x/crypto/chacha20"
)

// maskMin is the length of the shortest packet: a header, and 16 bytes at the
// end that are pseudo-random.
const maskMin = headerLen + tagLen

// Mask makes packets look like noise from the first byte to the last. It keeps
// observers without the mask key from telling the protocol; it authenticates
// nothing. A nil Mask is the setting header_mask = off and does nothing. It is
// safe for concurrent use; each goroutine brings its own Scratch.
type Mask struct {
	key   [16]byte
	pads  func() []byte          // made when the first packet is veiled
	block cipher.Block           // AES-128 for headers and GROUP salts
	body  [chacha20.KeySize]byte // for the bodies of handshakes
}

// NewMask returns the mask of a mask key.
func NewMask(key [16]byte) *Mask {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	m := &Mask{key: key, block: block, body: derive32(key[:], nil, "mask body")}
	m.pads = sync.OnceValue(m.makePads)
	return m
}

// Hide masks a finished packet in place: bytes 0 to 15, the salt of GROUP, and
// the bodies of handshakes, whose curve points are recognisable. It is the last
// step before sending, after the seal and the hop tag. It does not change a
// packet under 32 bytes.
func (m *Mask) Hide(sc *Scratch, pkt []byte) {
	if m == nil || len(pkt) < maskMin {
		return
	}
	m.inside(sc, pkt, pkt[0])
	m.xorBlock(sc, pkt, 0, 0)
}

// Show undoes Hide in place. It is safe on any bytes; a packet that was not
// masked under this key becomes other noise. It returns false, and does nothing,
// when pkt is shorter than 32 bytes and so is no packet.
func (m *Mask) Show(sc *Scratch, pkt []byte) bool {
	if len(pkt) < maskMin {
		return false
	}
	if m != nil {
		m.xorBlock(sc, pkt, 0, 0)
		m.inside(sc, pkt, pkt[0])
	}
	return true
}

// inside masks or unmasks what follows the header; first is byte 0 in clear.
func (m *Mask) inside(sc *Scratch, pkt []byte, first byte) {
	switch first & 0x1f {
	case typeGroup:
		// A shorter GROUP is no packet, and its salt would reach into the bytes
		// that the mask is made of.
		if len(pkt) >= headerLen+saltLen+tagLen {
			m.xorBlock(sc, pkt, headerLen, 1)
		}
	case typeInit, typeResp, typeCookie, typeNotice, typeHello, typeWelcome:
		m.xorBody(pkt)
	}
}

// xorBlock XORs 16 bytes at off with AES-128(mask key, last 16 bytes of the
// packet XOR tweak).
func (m *Mask) xorBlock(sc *Scratch, pkt []byte, off int, tweak byte) {
	copy(sc.in[:], pkt[len(pkt)-tagLen:])
	sc.in[15] ^= tweak
	m.block.Encrypt(sc.out[:], sc.in[:])
	at := pkt[off : off+16]
	subtle.XORBytes(at, at, sc.out[:])
}

// xorBody XORs everything between the header and the last 16 bytes with
// ChaCha20; the nonce comes from those last bytes.
func (m *Mask) xorBody(pkt []byte) {
	end := len(pkt) - tagLen
	c, err := chacha20.NewUnauthenticatedCipher(m.body[:], pkt[end:end+chacha20.NonceSize])
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	c.XORKeyStream(pkt[headerLen:end], pkt[headerLen:end])
}

// MaxObfsKey is the length of the longest obfuscation key in bytes.
const MaxObfsKey = 128

// SupernodeMaskKey returns the key that masks packets between an edge and the
// supernode with that X25519 public key. obfs is the obfuscation key that both
// are configured with, or nil.
func SupernodeMaskKey(supernodePub [32]byte, obfs []byte) [16]byte {
	return [16]byte(derive(16, supernodePub[:], obfs, "mask supernode"))
}

// HelloMaskKey returns the key that masks HELLO and WELCOME. Without an obfuscation key
// (obfs) it is public: HELLO asks for a public key and WELCOME carries it.
func HelloMaskKey(obfs []byte) [16]byte { return [16]byte(derive(16, nil, obfs, "mask hello")) }

var helloMask = sync.OnceValue(func() *Mask { return NewMask(HelloMaskKey(nil)) })

// HelloMask returns the mask of HELLO and WELCOME. It is the same for everybody who is
// configured with the same obfuscation key, or with none.
func HelloMask(obfs []byte) *Mask {
	if len(obfs) == 0 {
		return helloMask()
	}
	return NewMask(HelloMaskKey(obfs))
}

// ObfsStreamPath returns the path of the URL by which streams come to a supernode with an
// obfuscation key, so that a web server is all that others find there.
func ObfsStreamPath(obfs []byte) string {
	return "/" + base64.RawURLEncoding.EncodeToString(derive(16, nil, obfs, "stream path"))
}
