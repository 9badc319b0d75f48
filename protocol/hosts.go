package protocol

import "encoding/binary"

// MaxHosts is how many hosts one message may name: it goes in one packet then, and a
// longer list in several messages.
const MaxHosts = 128

// Host is a station on the far side of an edge that bridges.
type Host struct {
	// VLAN is the VLAN identifier, 0 for untagged frames, at most 4094.
	VLAN uint16
	// Gone says that the station is not there any more.
	Gone bool
	// MAC is the station's hardware address.
	MAC MAC
	// Moves counts how often the station came to another edge, as far as the
	// sender knows: of two edges that name it the higher count is the newer.
	Moves uint16
}

// Hosts names stations behind its sender, so that frames for them need not be
// flooded.
type Hosts struct {
	// Seq rises with every message of the sender's session; older ones are
	// ignored.
	Seq uint32
	// First says that a complete list begins with this message, and Last that it
	// ends: what the sender named before the first, and in none of those up to the
	// last, is not there any more. A message outside such a list adds to what was
	// said, and takes away.
	First, Last bool
	// List has at most MaxHosts entries; Append leaves further ones out.
	List []Host
}

const (
	hostsFirst = 1
	hostsLast  = 2
	hostGone   = 0x8000 // in the VLAN of an entry; the three bits behind it are ignored
	vlanMask   = 0x0fff
)

// Append appends the message with its type and length.
func (m *Hosts) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgHosts)
	dst = binary.BigEndian.AppendUint32(dst, m.Seq)
	var flags byte
	if m.First {
		flags |= hostsFirst
	}
	if m.Last {
		flags |= hostsLast
	}
	dst = append(dst, flags)
	for _, h := range m.List[:min(len(m.List), MaxHosts)] {
		vlan := h.VLAN & vlanMask
		if h.Gone {
			vlan |= hostGone
		}
		dst = binary.BigEndian.AppendUint16(dst, vlan)
		dst = append(dst, h.MAC[:]...)
		dst = binary.BigEndian.AppendUint16(dst, h.Moves)
	}
	return endTLV(dst, at)
}

// ParseHosts reads the value of a HOSTS. Unknown flags are ignored. It fails with
// ErrShort, ErrTooMany, or ErrValue for the VLAN 4095 or a group address.
func ParseHosts(value []byte) (Hosts, error) {
	r := reader{b: value}
	m := Hosts{Seq: r.u32()}
	flags := r.u8()
	m.First, m.Last = flags&hostsFirst != 0, flags&hostsLast != 0
	for len(r.b) > 0 {
		if len(m.List) == MaxHosts {
			r.fail(ErrTooMany)
			break
		}
		vlan := r.u16()
		h := Host{VLAN: vlan & vlanMask, Gone: vlan&hostGone != 0}
		r.copyTo(h.MAC[:])
		h.Moves = r.u16()
		if h.VLAN == vlanMask || h.MAC.IsGroup() {
			r.fail(ErrValue)
		}
		m.List = append(m.List, h)
	}
	return m, r.done()
}
