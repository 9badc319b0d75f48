package crypto

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
)

// StatementLen is the length of a signed statement in bytes.
const StatementLen = statementBody + ed25519.SignatureSize

// statementBody is the length of the signed part, without label and signature:
// id 32, static 32, community 16, MAC 6, seq 8, expiry 8.
const statementBody = 32 + 32 + 16 + 6 + 8 + 8

// ErrStatement says that bytes are no statement, or that its signature is not by
// the identity named in it.
var ErrStatement = errors.New("crypto: statement is not authentic")

// Statement describes an edge, signed by its identity, so that a supernode that
// passes it on cannot invent or alter a peer.
type Statement struct {
	ID     [32]byte // Ed25519 identity, the signer
	Static [32]byte // X25519 static key of its handshakes
	CID    [16]byte // community
	MAC    [6]byte  // its hardware address in the community
	Seq    uint64   // higher at every start of the edge
	Expiry uint64   // Unix seconds; never a reason to drop traffic
}

// SignStatement returns the StatementLen bytes of s, signed. ID and Static are
// always those of id, whatever s has there.
func (id *Identity) SignStatement(s Statement) []byte {
	s.ID, s.Static = [32]byte(id.ID), id.Static
	b := make([]byte, 0, StatementLen)
	b = append(b, s.ID[:]...)
	b = append(b, s.Static[:]...)
	b = append(b, s.CID[:]...)
	b = append(b, s.MAC[:]...)
	b = binary.BigEndian.AppendUint64(b, s.Seq)
	b = binary.BigEndian.AppendUint64(b, s.Expiry)
	return append(b, id.Sign(s.signed())...)
}

// VerifyStatement parses a statement and checks its signature, and that neither key in
// it is of small order. What it proves is that the identity says so: that the static
// key is the identity's only its holder can say, inside a session (PROTOCOL.md, message
// 0e). Whether the community, the static key and seq are the ones expected is the
// caller's question. Every failure is ErrStatement.
func VerifyStatement(b []byte) (Statement, error) {
	s, err := ParseStatement(b)
	if err != nil || !UsableID(s.ID) || !UsableStatic(s.Static) || !ed25519.Verify(s.ID[:], s.signed(), b[statementBody:]) {
		return Statement{}, ErrStatement
	}
	return s, nil
}

// ParseStatement reads a statement that VerifyStatement has verified before, and checks its
// length only.
func ParseStatement(b []byte) (Statement, error) {
	if len(b) != StatementLen {
		return Statement{}, ErrStatement
	}
	return Statement{
		ID:     [32]byte(b[0:32]),
		Static: [32]byte(b[32:64]),
		CID:    [16]byte(b[64:80]),
		MAC:    [6]byte(b[80:86]),
		Seq:    binary.BigEndian.Uint64(b[86:94]),
		Expiry: binary.BigEndian.Uint64(b[94:102]),
	}, nil
}

// signed returns the bytes under the signature. The community comes first,
// unlike on the wire (PROTOCOL.md, section 1).
func (s Statement) signed() []byte {
	b := append([]byte(labelPrefix), "statement"...)
	b = append(b, s.CID[:]...)
	b = append(b, s.ID[:]...)
	b = append(b, s.Static[:]...)
	b = append(b, s.MAC[:]...)
	b = binary.BigEndian.AppendUint64(b, s.Seq)
	return binary.BigEndian.AppendUint64(b, s.Expiry)
}

// SignMembership proves membership to a supernode: rsk is the community's
// Rendezvous key, hash the Noise handshake hash of the hop session (so that the
// proof is worth nothing in any other session), cid, mac and xpk the
// community, hardware address and static key that the edge registers.
func SignMembership(rsk ed25519.PrivateKey, hash [32]byte, cid [16]byte, mac [6]byte, xpk [32]byte) [64]byte {
	return [64]byte(ed25519.Sign(rsk, membershipSigned(hash, cid, mac, xpk)))
}

// VerifyMembership reports whether sig is the result of SignMembership for the
// private half of rpk and the same values. It returns false for a key of the
// wrong length or of small order.
func VerifyMembership(rpk []byte, hash [32]byte, cid [16]byte, mac [6]byte, xpk [32]byte, sig [64]byte) bool {
	if len(rpk) != ed25519.PublicKeySize || !UsableID([32]byte(rpk)) {
		return false
	}
	return ed25519.Verify(rpk, membershipSigned(hash, cid, mac, xpk), sig[:])
}

// membershipSigned returns the bytes under a proof of membership.
func membershipSigned(hash [32]byte, cid [16]byte, mac [6]byte, xpk [32]byte) []byte {
	b := append([]byte(labelPrefix), "register"...)
	b = append(b, hash[:]...)
	b = append(b, cid[:]...)
	b = append(b, mac[:]...)
	return append(b, xpk[:]...)
}
