package bridge

import "hedgerow/protocol"

// VLANs is a set of VLAN identifiers (IEEE 802.1Q, section 9.6), 0 for frames without a
// tag and those with a priority only.
type VLANs [4096 / 64]uint64

// Add adds an identifier, of which 12 bits count.
func (v *VLANs) Add(id uint16) { v[id&0xfff/64] |= 1 << (id % 64) }

// Has reports whether an identifier is in the set.
func (v *VLANs) Has(id uint16) bool { return v[id&0xfff/64]>>(id%64)&1 != 0 }

// A Filter says which frames an edge carries, out of its device and into it. The zero
// value carries what IEEE 802.1Q lets a bridge carry, BPDUs besides.
type Filter struct {
	// VLANs are those that are carried, by the outermost tag; nil: all.
	VLANs *VLANs
	// EAPOL carries 01:80:c2:00:00:03 too, to which hosts authenticate at their switch
	// (IEEE 802.1X): a bridge does not, since it is no matter of the next LAN's switch.
	EAPOL bool
}

// Addresses whose frames are between the two ends of a link (IEEE 802.1Q, table 8-1).
// The others of 01:80:c2:00:00:0x pass: BPDUs, LLDP (which mesh operators use to see who
// is where) and PROFINET's, and nobody but a link's far end would be asked to stop or
// to join an aggregate by them.
const (
	groupPause = 1 // IEEE 802.3, annex 31B
	groupSlow  = 2 // LACP, and what else IEEE 802.3, annex 57A has
	groupPAE   = 3 // IEEE 802.1X
)

// Reserved reports whether frames to a group address are none that are carried.
func (f *Filter) Reserved(group protocol.MAC) bool {
	if [5]byte(group[:5]) != [5]byte{0x01, 0x80, 0xc2, 0, 0} {
		return false
	}
	switch group[5] {
	case groupPause, groupSlow:
		return true
	case groupPAE:
		return !f.EAPOL
	}
	return false
}

// Carries reports whether frames of a VLAN are carried, 0 for those without a tag.
func (f *Filter) Carries(vlan uint16) bool { return f.VLANs == nil || f.VLANs.Has(vlan) }
