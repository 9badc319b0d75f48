package crypto

import (
	"crypto/ecdh"
	"crypto/subtle"
	"hash"
	"io"

	"github.com/flynn/noise"
)

// agreement is X25519 for one handshake. The generic implementation prepares a
// private key anew for every agreement, which costs as much as the agreement
// itself; this one prepares the ephemeral key once, and has the static one from its identity.
type agreement struct {
	keys   [2]preparedKey // static and ephemeral, in the order of their use
	used   int
	failed bool // a point of low order was seen
	hashes hashRing
}

// preparedKey is a private key, as bytes and ready for use.
type preparedKey struct {
	bytes []byte
	key   *ecdh.PrivateKey
}

// newAgreement returns the X25519 of one handshake of an identity.
func newAgreement(id *Identity) *agreement {
	return &agreement{keys: [2]preparedKey{{id.static[:], id.agrees}}, used: 1}
}

// suite returns the cipher suite of all our handshakes around a.
func (a *agreement) suite() noise.CipherSuite {
	return noise.NewCipherSuite(a, noise.CipherChaChaPoly, &a.hashes)
}

// prepare returns the key that belongs to private.
func (a *agreement) prepare(private []byte) (*ecdh.PrivateKey, error) {
	for i := range a.used {
		if subtle.ConstantTimeCompare(a.keys[i].bytes, private) == 1 {
			return a.keys[i].key, nil
		}
	}
	key, err := ecdh.X25519().NewPrivateKey(private)
	if err == nil && a.used < len(a.keys) {
		a.keys[a.used] = preparedKey{private, key}
		a.used++
	}
	return key, err
}

// GenerateKeypair implements noise.DHFunc.
func (a *agreement) GenerateKeypair(random io.Reader) (noise.DHKey, error) {
	private := make([]byte, 32)
	if _, err := io.ReadFull(random, private); err != nil {
		return noise.DHKey{}, err
	}
	key, err := a.prepare(private)
	if err != nil {
		return noise.DHKey{}, err
	}
	return noise.DHKey{Private: private, Public: key.PublicKey().Bytes()}, nil
}

// DH implements noise.DHFunc. A point of low order is an error, so that no key
// ever follows from public values alone.
func (a *agreement) DH(private, public []byte) ([]byte, error) {
	key, err := a.prepare(private)
	if err != nil {
		return nil, err
	}
	point, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	shared, err := key.ECDH(point)
	a.failed = a.failed || err != nil
	return shared, err
}

// DHLen implements noise.DHFunc.
func (a *agreement) DHLen() int { return 32 }

// DHName implements noise.DHFunc.
func (a *agreement) DHName() string { return "25519" }

// hashRing is BLAKE2s for one handshake, which makes some seventy hashes, two at a time: HMAC
// has an inner and an outer one. Their objects were a third of all garbage of a supernode that
// edges come to.
type hashRing struct {
	made [4]hash.Hash
	next int
}

// Hash implements noise.HashFunc. What it returns is good until the fourth call from then on.
func (r *hashRing) Hash() hash.Hash {
	h := &r.made[r.next]
	r.next = (r.next + 1) % len(r.made)
	if *h == nil {
		*h = noise.HashBLAKE2s.Hash()
	} else {
		(*h).Reset()
	}
	return *h
}

// HashName implements noise.HashFunc.
func (r *hashRing) HashName() string { return noise.HashBLAKE2s.HashName() }
