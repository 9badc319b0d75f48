package dataplane

import (
	"testing"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// inVLAN returns a frame with a tag, or without one for VLAN 0.
func inVLAN(dst, src protocol.MAC, vlan uint16) []byte {
	if vlan == 0 {
		return ethernet(dst, src, protocol.EtherTypeIPv4, 60)
	}
	f := ethernet(dst, src, protocol.EtherTypeVLAN, 0)
	return append(append(f, byte(vlan>>8)|5<<5, byte(vlan), 8, 0), make([]byte, 60)...)
}

// A list of VLANs is kept in both directions, whoever is at the other end.
func TestVLANList(t *testing.T) {
	for vlan, carried := range map[uint16]bool{0: false, 9: false, 10: true, 20: true, 4095: false} {
		for _, sender := range []bool{true, false} { // who has the list
			r, a, b := pair(t)
			list := new(bridge.VLANs)
			list.Add(10)
			list.Add(20)
			one := b
			if sender {
				one = a
			}
			one.guard.filter = bridge.Filter{VLANs: list}
			frame := inVLAN(b.self, a.self, vlan)
			if carried {
				r.arrives(t, "a frame of the list", frame, a, b)
				continue
			}
			a.send(r.now, frame)
			r.carry()
			one.dropped(t, DropVLAN)
			if got := b.device.take(); len(got) != 0 {
				t.Errorf("VLAN %d, the list is the sender's %v: delivered", vlan, sender)
			}
		}
	}
}

// Frames between the ends of a cable do not leave by an edge, but for authentication if
// the user wants that.
func TestReservedLeavesNot(t *testing.T) {
	for last, carried := range map[byte]bool{0: true, 1: false, 2: false, 3: false, 0x0e: true} {
		for _, eapol := range []bool{false, true} {
			r, a, b := pair(t)
			a.guard.filter.EAPOL, b.guard.filter.EAPOL = eapol, eapol
			frame := ethernet(protocol.MAC{1, 0x80, 0xc2, 0, 0, last}, a.self, 0x88cc, 60)
			if carried || eapol && last == 3 {
				r.arrives(t, "a frame to a group", frame, a, b)
				continue
			}
			a.send(r.now, frame)
			a.dropped(t, DropReserved)
			if got := b.device.take(); len(got) != 0 {
				t.Errorf("%d: delivered", last)
			}
		}
	}
}
