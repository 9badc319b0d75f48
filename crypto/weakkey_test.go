package crypto

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"math/big"
	"slices"
	"testing"
)

// kPrime is the field of both curves, 2^255 - 19.
func kPrime() *big.Int {
	p := new(big.Int).Lsh(big.NewInt(1), 255)
	return p.Sub(p, big.NewInt(19))
}

// kLittle returns a number of 32 bytes, the least significant first.
func kLittle(n *big.Int) (key [32]byte) {
	n.FillBytes(key[:])
	slices.Reverse(key[:])
	return key
}

// kNumber is the reverse of kLittle.
func kNumber(key [32]byte) *big.Int {
	slices.Reverse(key[:])
	return new(big.Int).SetBytes(key[:])
}

// The table of X25519 keys has those for which an agreement ends in zeros, and no
// other: neither neighbours nor keys of edges.
func TestUsableStatic(t *testing.T) {
	ours, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	agrees := func(key [32]byte) bool {
		point, err := ecdh.X25519().NewPublicKey(key[:])
		if err != nil {
			t.Fatal(err)
		}
		_, err = ours.ECDH(point)
		return err == nil
	}
	keys := [][32]byte{NewIdentity([32]byte{1}).Static, {2}, {3}, {255}, kLittle(new(big.Int).Lsh(big.NewInt(1), 254))}
	for key := range smallOrderStatics {
		for _, by := range []int64{-2, -1, 0, 1, 2} {
			n := new(big.Int).Add(kNumber(key), big.NewInt(by))
			if n.Sign() >= 0 {
				keys = append(keys, kLittle(n))
			}
		}
	}
	refused := 0
	for _, key := range keys {
		for range 2 {
			if UsableStatic(key) != agrees(key) {
				t.Errorf("%x: usable %v, an agreement says %v", key, UsableStatic(key), agrees(key))
			}
			if !UsableStatic(key) {
				refused++
			}
			key[31] ^= 0x80
		}
	}
	if refused < 2*len(smallOrderStatics) {
		t.Errorf("%d of %d weak keys were refused", refused, 2*len(smallOrderStatics))
	}
}

// The table of identities are the points that the birational map of RFC 7748, section
// 4.1, takes to one of the other table: u = (1+y) / (1-y).
func TestUsableID(t *testing.T) {
	p := kPrime()
	for id := range smallOrderIDs {
		y := new(big.Int).Mod(kNumber(id), p)
		below := new(big.Int).Sub(big.NewInt(1), y)
		u := new(big.Int).Add(big.NewInt(1), y)
		if inverse := new(big.Int).ModInverse(below.Mod(below, p), p); inverse != nil {
			u.Mod(u.Mul(u, inverse), p)
		} else {
			u.SetInt64(0) // the neutral element has no image
		}
		if !smallOrderStatics[kLittle(u)] {
			t.Errorf("%x is not of small order: u is %v", id, u)
		}
		for range 2 {
			if UsableID(id) {
				t.Errorf("%x is taken", id)
			}
			id[31] ^= 0x80
		}
	}
	if id := NewIdentity([32]byte{1}); !UsableID([32]byte(id.ID)) {
		t.Error("an identity is refused")
	}
}

// kForge returns bytes as a statement that verifies under an identity of small order,
// without a private key: S = 0 and R the neutral element, if the hash is a multiple of
// eight.
func kForge(t *testing.T, s Statement) []byte {
	t.Helper()
	neutral := [32]byte{1}
	for s.Seq = 0; s.Seq < 1000; s.Seq++ {
		b := append([]byte(nil), s.ID[:]...)
		b = append(append(append(b, s.Static[:]...), s.CID[:]...), s.MAC[:]...)
		b = append(b, make([]byte, 16)...)
		b[93], b[92] = byte(s.Seq), byte(s.Seq>>8)
		b = append(append(b, neutral[:]...), make([]byte, 32)...)
		if ed25519.Verify(s.ID[:], s.signed(), b[statementBody:]) {
			return b
		}
	}
	t.Fatalf("%x could not be signed for: is it of small order?", s.ID)
	return nil
}

// Anybody can sign for an identity of small order. No such statement verifies, nor
// does a proof of membership, nor a statement that names a weak static key.
func TestForgedStatement(t *testing.T) {
	victim := NewIdentity([32]byte{2})
	for _, id := range [][32]byte{{1}, {}} {
		b := kForge(t, Statement{ID: id, Static: victim.Static, MAC: [6]byte{2}})
		if st, err := VerifyStatement(b); err != ErrStatement || st != (Statement{}) {
			t.Errorf("%x has signed: %v", id, err)
		}
		sig := [64]byte{1}
		if VerifyMembership(id[:], [32]byte{}, [16]byte{}, [6]byte{}, [32]byte{}, sig) {
			t.Errorf("%x is a member", id)
		}
	}
	thief := *NewIdentity([32]byte{3})
	for weak := range smallOrderStatics {
		thief.Static = weak
		if _, err := VerifyStatement(thief.SignStatement(Statement{})); err != ErrStatement {
			t.Errorf("a statement with the static key %x: %v", weak, err)
		}
	}
}
