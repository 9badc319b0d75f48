package crypto

import (
	"crypto/hkdf"
	"crypto/sha256"
	"strings"
)

// labelPrefix opens every label of version 1 of the protocol, so that no key
// of this protocol is ever equal to a key of another one, or of a later one.
const labelPrefix = "hedgerow/1 "

// derive returns n bytes of HKDF-SHA256 (RFC 5869) over secret and salt. The
// info is the label prefix, the label and the parts, one after the other. Every
// part but the last has a fixed length at each place of use, so two different
// uses never give the same info.
//
// It allocates, so it has no place on the path of a frame.
func derive(n int, secret, salt []byte, label string, parts ...[]byte) []byte {
	return expand(n, extract(secret, salt), label, parts...)
}

// extract is the first half of derive, which has no part that differs where several keys are
// made of one secret.
func extract(secret, salt []byte) []byte {
	key, err := hkdf.Extract(sha256.New, secret, salt)
	if err != nil {
		panic("crypto: extract: " + err.Error()) // a wrong length: our own bug
	}
	return key
}

// expand is the second half of derive.
func expand(n int, extracted []byte, label string, parts ...[]byte) []byte {
	var info strings.Builder
	info.WriteString(labelPrefix)
	info.WriteString(label)
	for _, p := range parts {
		info.Write(p)
	}
	key, err := hkdf.Expand(sha256.New, extracted, info.String(), n)
	if err != nil {
		// Only a length over 255 blocks comes to this: the caller's bug.
		panic("crypto: derive: " + err.Error())
	}
	return key
}

// derive32 is derive for the commonest length, a whole key.
func derive32(secret, salt []byte, label string, parts ...[]byte) [32]byte {
	return [32]byte(derive(32, secret, salt, label, parts...))
}

// digest returns SHA-256 of the label prefix, the label and the parts. It is for
// public values; secrets go through derive.
func digest(label string, parts ...[]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(labelPrefix))
	h.Write([]byte(label))
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}
