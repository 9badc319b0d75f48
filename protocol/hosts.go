package protocol

import "encoding/binary"

// MaxHosts is how many hosts one message may name.
const MaxHosts = 200

// Host is a station on the far side of an edge that bridges.
type Host struct {
	// VLAN is the VLAN identifier, 0 for untagged frames.
	VLAN uint16
	// MAC is the station's hardware address.
	MAC MAC
}

// Hosts names stations behind its sender, so that frames for them need not be
// flooded.
type Hosts struct {
	// Seq rises with every message of the sender's session; older ones are
	// ignored.
	Seq uint32
	// Complete says that the list replaces all that the sender named before;
	// otherwise the list adds to it.
	Complete bool
	// List has at most MaxHosts entries; Append leaves further ones out.
	List []Host
}

const hostsComplete = 1

// Append appends the message with its type and length.
func (m *Hosts) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgHosts)
	dst = binary.BigEndian.AppendUint32(dst, m.Seq)
	var flags byte
	if m.Complete {
		flags = hostsComplete
	}
	dst = append(dst, flags)
	for _, h := range m.List[:min(len(m.List), MaxHosts)] {
		dst = binary.BigEndian.AppendUint16(dst, h.VLAN)
		dst = append(dst, h.MAC[:]...)
	}
	return endTLV(dst, at)
}

// ParseHosts reads the value of a HOSTS. It fails with ErrShort, ErrTooMany,
// or ErrValue for an unknown flag, a VLAN over 4094 or a group address.
func ParseHosts(value []byte) (Hosts, error) {
	r := reader{b: value}
	m := Hosts{Seq: r.u32()}
	flags := r.u8()
	m.Complete = flags == hostsComplete
	if flags > hostsComplete {
		r.fail(ErrValue)
	}
	for len(r.b) > 0 {
		if len(m.List) == MaxHosts {
			r.fail(ErrTooMany)
			break
		}
		h := Host{VLAN: r.u16()}
		r.copyTo(h.MAC[:])
		if h.VLAN > 4094 || h.MAC.IsGroup() {
			r.fail(ErrValue)
		}
		m.List = append(m.List, h)
	}
	return m, r.done()
}
