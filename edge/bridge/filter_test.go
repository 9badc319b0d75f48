package bridge

import (
	"testing"

	"hedgerow/protocol"
)

func TestReserved(t *testing.T) {
	var plain, eapol = Filter{}, Filter{EAPOL: true}
	for last := range 256 {
		a := protocol.MAC{0x01, 0x80, 0xc2, 0, 0, byte(last)}
		want := last == 1 || last == 2
		if got := eapol.Reserved(a); got != want {
			t.Errorf("%v with EAPOL: %v", a, got)
		}
		if got := plain.Reserved(a); got != (want || last == 3) {
			t.Errorf("%v: %v", a, got)
		}
		for i := range 5 {
			other := a
			other[i] ^= 0x10
			if plain.Reserved(other) {
				t.Errorf("%v is reserved", other)
			}
		}
	}
}

func TestCarries(t *testing.T) {
	var all, none Filter
	none.VLANs = new(VLANs)
	some := Filter{VLANs: new(VLANs)}
	for _, id := range []uint16{0, 10, 4094} {
		some.VLANs.Add(id)
	}
	for id := range uint16(4096) {
		if !all.Carries(id) || none.Carries(id) || some.Carries(id) != (id == 0 || id == 10 || id == 4094) {
			t.Errorf("VLAN %d: %v %v %v", id, all.Carries(id), none.Carries(id), some.Carries(id))
		}
	}
}
