package crypto

import "testing"

// TestRotationProof: who has the new key can show an edge that it takes the place of the old
// one, and neither that of another edge, nor another rotation, nor the owner of another key,
// nor the edge's answer to a key of small order counts.
func TestRotationProof(t *testing.T) {
	id := func(b byte) *Identity { return NewIdentity([32]byte{b}) }
	old, next, edge, other := id(1), id(2), id(3), id(4)
	r := Rotation{Old: old.Static, New: next.Static, Serial: 7}
	proof, err := r.Prove(next, edge.Static, edge.Static)
	if err != nil || !r.Proven(edge, proof) {
		t.Fatalf("%v: it is not believed", err)
	}
	if r.Proven(other, proof) {
		t.Error("another edge believes it")
	}
	for what, not := range map[string]Rotation{
		"of another old key": {other.Static, next.Static, 7}, "of another new key": {old.Static, other.Static, 7},
		"with another serial": {old.Static, next.Static, 8},
	} {
		if not.Proven(edge, proof) {
			t.Errorf("a rotation %s is believed", what)
		}
	}
	for what, by := range map[string]*Identity{"the old key": old, "another key": other} {
		if forged, err := r.Prove(by, edge.Static, edge.Static); err != nil || r.Proven(edge, forged) {
			t.Errorf("made by the owner of %s it is believed (%v)", what, err)
		}
	}
	same := Rotation{Old: next.Static, New: next.Static, Serial: 7}
	if proof, err = same.Prove(next, edge.Static, edge.Static); err != nil || same.Proven(edge, proof) {
		t.Errorf("a key takes its own place (%v)", err)
	}
	weak := Rotation{Old: old.Static, New: [32]byte{1}, Serial: 7}
	if _, err := weak.Prove(edge, weak.New, edge.Static); err == nil || weak.Proven(edge, [16]byte{}) {
		t.Errorf("a key of small order: %v", err)
	}
}
