package crypto

import "encoding/binary"

// Rotation says that one static key of a supernode takes the place of another
// (PROTOCOL.md, section 8, ROTATE).
type Rotation struct {
	Old, New [32]byte // X25519 static keys
	Serial   uint64
}

// Prove returns what shows an edge that the owner of the new key says so:
//
//	BLAKE2s-128(KDF(X25519 of the two, "", "rotation"); P"rotation" | old | new | edge | serial)
//
// The owner of the new key makes it with peer the edge's static key, and the edge compares it
// with its own, where peer is the new one. Nobody else can. That the owner of the old key
// says so as well shows the session that it comes in. edge is the edge's static key. It costs
// as much as one agreement of a handshake, and fails if peer is of small order.
func (r *Rotation) Prove(id *Identity, peer, edge [32]byte) (proof [16]byte, err error) {
	a := newAgreement(id)
	shared, err := a.DH(id.static[:], peer[:])
	if err != nil {
		return proof, err
	}
	key := derive32(shared, nil, "rotation")
	said := append([]byte(labelPrefix), "rotation"...)
	said = append(append(append(said, r.Old[:]...), r.New[:]...), edge[:]...)
	return keyedHash(key[:], binary.BigEndian.AppendUint64(said, r.Serial)), nil
}

// Proven reports whether a proof is the one for this edge, whose identity is id, of a new key
// that can be used and is another one.
func (r *Rotation) Proven(id *Identity, proof [16]byte) bool {
	if !UsableStatic(r.New) || r.New == r.Old {
		return false
	}
	want, err := r.Prove(id, r.New, id.Static)
	return err == nil && equal(want, proof[:])
}
