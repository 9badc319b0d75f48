package crypto

import (
	"crypto/subtle"

	"golang.org/x/crypto/blake2s"
)

// staticKey returns BLAKE2s(label, static): a key that only holders of a static
// public key have. A MAC under it keeps strangers from making the responder
// work.
func staticKey(label string, static [32]byte) [32]byte {
	return blake2s.Sum256(append([]byte(labelPrefix+label), static[:]...))
}

// keyedHash returns BLAKE2s-128 of the parts, one after the other, under key of
// 16 or 32 bytes.
func keyedHash(key []byte, parts ...[]byte) (sum [16]byte) {
	h, err := blake2s.New128(key)
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// equal compares two tags in constant time.
func equal(a [16]byte, b []byte) bool { return subtle.ConstantTimeCompare(a[:], b) == 1 }

// mac1Valid reports whether the sender of a handshake packet, INIT or RESP, knew
// the responder's static key.
func mac1Valid(key [32]byte, pkt []byte) bool {
	at := len(pkt) - 32
	return equal(keyedHash(key[:], pkt[:at]), pkt[at:at+16])
}

// appendMACs ends a handshake packet: mac1, then mac2, which is mac2 bytes of
// noise unless there is a cookie to prove our address with.
func appendMACs(pkt []byte, mac1Key [32]byte, cookie *[16]byte, noise [16]byte) []byte {
	mac1 := keyedHash(mac1Key[:], pkt)
	pkt = append(pkt, mac1[:]...)
	if cookie != nil {
		noise = keyedHash(cookie[:], pkt)
	}
	return append(pkt, noise[:]...)
}

// NoticeMAC returns the tag of a NOTICE: b is its header and body (32 bytes),
// key is Community.NoticeKey, mac1 is that of the INIT it answers.
func NoticeMAC(key [32]byte, b []byte, mac1 [16]byte) [16]byte {
	return keyedHash(key[:], b, mac1[:])
}
