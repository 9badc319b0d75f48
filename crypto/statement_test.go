package crypto

import (
	"bytes"
	"crypto/ed25519"
	"testing"
)

// kStatement returns an identity and a statement of it.
func kStatement() (*Identity, Statement, []byte) {
	id := NewIdentity([32]byte(kRange(1, 32)))
	cid := [16]byte(kRange(0x60, 16))
	s := Statement{CID: cid, MAC: id.MAC(cid), Seq: 1<<63 + 5, Expiry: 1800000000}
	b := id.SignStatement(s)
	s.ID, s.Static = [32]byte(id.ID), id.Static
	return id, s, b
}

func TestStatement(t *testing.T) {
	_, want, b := kStatement()
	if len(b) != StatementLen || StatementLen != 166 {
		t.Fatalf("a statement has %d bytes, the constant says %d, want 166", len(b), StatementLen)
	}
	got, err := VerifyStatement(b)
	if err != nil || got != want {
		t.Fatalf("VerifyStatement = %+v, %v; want %+v", got, err, want)
	}
	for i := range b {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		if s, err := VerifyStatement(bad); err != ErrStatement || s != (Statement{}) {
			t.Errorf("byte %d changed: %+v, %v", i, s, err)
		}
	}
	for _, n := range []int{0, 1, 102, 165} {
		if _, err := VerifyStatement(b[:n]); err != ErrStatement {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := VerifyStatement(append(bytes.Clone(b), 0)); err != ErrStatement {
		t.Errorf("167 bytes: %v", err)
	}
}

// TestStatementNamesItsSigner holds that an identity cannot sign for another.
func TestStatementNamesItsSigner(t *testing.T) {
	id, s, _ := kStatement()
	s.ID, s.Static = [32]byte{1}, [32]byte{2}
	got, err := VerifyStatement(id.SignStatement(s))
	if err != nil || got.ID != [32]byte(id.ID) || got.Static != id.Static {
		t.Errorf("signed for somebody else: %+v, %v", got, err)
	}
}

func TestMembership(t *testing.T) {
	c := Community{Name: "mynetwork", Secret: [32]byte(kRange(9, 32))}
	rsk := c.Rendezvous()
	rpk := rsk.Public().(ed25519.PublicKey)
	hash, cid, mac, xpk := [32]byte{1}, c.ID(), [6]byte{2}, [32]byte{3}
	sig := SignMembership(rsk, hash, cid, mac, xpk)
	if !VerifyMembership(rpk, hash, cid, mac, xpk, sig) {
		t.Fatal("a good proof is refused")
	}
	other, otherSig := bytes.Clone(rpk), sig
	other[0] ^= 1
	otherSig[63] ^= 1
	tests := []struct {
		what string
		ok   bool
	}{
		{"key", VerifyMembership(other, hash, cid, mac, xpk, sig)},
		{"short key", VerifyMembership(rpk[:31], hash, cid, mac, xpk, sig)},
		{"no key", VerifyMembership(nil, hash, cid, mac, xpk, sig)},
		{"handshake hash", VerifyMembership(rpk, [32]byte{9}, cid, mac, xpk, sig)},
		{"community", VerifyMembership(rpk, hash, [16]byte{9}, mac, xpk, sig)},
		{"hardware address", VerifyMembership(rpk, hash, cid, [6]byte{9}, xpk, sig)},
		{"static key", VerifyMembership(rpk, hash, cid, mac, [32]byte{9}, sig)},
		{"signature", VerifyMembership(rpk, hash, cid, mac, xpk, otherSig)},
	}
	for _, tt := range tests {
		if tt.ok {
			t.Errorf("a proof with another %s is accepted", tt.what)
		}
	}
}

// FuzzVerifyStatement holds that what verifies is exactly what its parts sign.
// Inputs are tried as they are and, to get past the signature, as the body of a
// statement that is signed properly.
func FuzzVerifyStatement(f *testing.F) {
	id, _, b := kStatement()
	f.Add(b)
	f.Add(b[:101])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := VerifyStatement(b); err == nil && !bytes.Equal(b[:32], s.ID[:]) {
			t.Error("the signer is not the one of the bytes")
		}
		if len(b) < 38 {
			return
		}
		s := Statement{CID: [16]byte(b), MAC: [6]byte(b[16:]), Seq: uint64(b[22]) << 56, Expiry: uint64(b[30])}
		got, err := VerifyStatement(id.SignStatement(s))
		if s.ID, s.Static = [32]byte(id.ID), id.Static; err != nil || got != s {
			t.Errorf("%+v came back as %+v, %v", s, got, err)
		}
	})
}
