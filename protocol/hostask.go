package protocol

import (
	"encoding/binary"
	"time"
)

// MaxHostAsk is how many hosts one question or answer may name: it goes in one packet
// then.
const MaxHostAsk = 64

// AskedHost is a station that somebody asks about.
type AskedHost struct {
	// VLAN is the VLAN identifier, 0 for untagged frames, at most 4094.
	VLAN uint16
	// MAC is the station's hardware address.
	MAC MAC
	// Since is how long ago the station was first heard elsewhere, in whole
	// milliseconds.
	Since time.Duration
}

// HostAsk asks the edge that stations are behind whether it still hears them, because
// they were heard elsewhere, or because they have been silent.
type HostAsk struct {
	// Seq rises with every question of the sender; the answer repeats it.
	Seq uint32
	// List has at most MaxHostAsk entries; Append leaves further ones out.
	List []AskedHost
}

// HostAnswer is what an edge says about a station.
type HostAnswer struct {
	// VLAN and MAC are those of the question.
	VLAN uint16
	MAC  MAC
	// Known says that the edge has heard the station on its own side within 300 s.
	Known bool
	// Since says that it has heard it since it was heard elsewhere.
	Since bool
	// Polled says that it has asked for the station on its LAN, waited for the answer,
	// and heard nothing.
	Polled bool
	// Ago is when it heard the station last, in whole milliseconds; 0 if it does not
	// know it.
	Ago time.Duration
}

// HostIs answers a HostAsk.
type HostIs struct {
	// Seq is that of the question.
	Seq uint32
	// List has at most MaxHostAsk entries; Append leaves further ones out.
	List []HostAnswer
}

// Flags of an answer; the others are ignored.
const (
	hostKnown  = 1
	hostSince  = 2
	hostPolled = 4
)

// Append appends the message with its type and length.
func (m *HostAsk) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgHostAsk)
	dst = binary.BigEndian.AppendUint32(dst, m.Seq)
	for _, h := range m.List[:min(len(m.List), MaxHostAsk)] {
		dst = binary.BigEndian.AppendUint16(dst, h.VLAN&vlanMask)
		dst = append(dst, h.MAC[:]...)
		dst = binary.BigEndian.AppendUint32(dst, milliseconds(h.Since))
	}
	return endTLV(dst, at)
}

// Append appends the message with its type and length.
func (m *HostIs) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgHostIs)
	dst = binary.BigEndian.AppendUint32(dst, m.Seq)
	for _, h := range m.List[:min(len(m.List), MaxHostAsk)] {
		var flags byte
		for i, set := range []bool{h.Known, h.Since, h.Polled} {
			if set {
				flags |= 1 << i
			}
		}
		dst = binary.BigEndian.AppendUint16(dst, h.VLAN&vlanMask)
		dst = append(dst, h.MAC[:]...)
		dst = binary.BigEndian.AppendUint32(append(dst, flags), milliseconds(h.Ago))
	}
	return endTLV(dst, at)
}

// milliseconds returns a time as it is on the wire.
func milliseconds(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), 1<<32-1))
}

// ParseHostAsk reads the value of a HOSTASK. It fails with ErrShort, ErrTooMany, or
// ErrValue for a VLAN above 4094 or a group address.
func ParseHostAsk(value []byte) (HostAsk, error) {
	r := reader{b: value}
	m := HostAsk{Seq: r.u32()}
	for len(r.b) > 0 && len(m.List) <= MaxHostAsk {
		var h AskedHost
		h.VLAN, h.MAC = r.station()
		h.Since = time.Duration(r.u32()) * time.Millisecond
		m.List = append(m.List, h)
	}
	if len(m.List) > MaxHostAsk {
		r.fail(ErrTooMany)
	}
	return m, r.done()
}

// ParseHostIs reads the value of a HOSTIS. Unknown flags are ignored. It fails with
// ErrShort, ErrTooMany, or ErrValue for a VLAN above 4094 or a group address.
func ParseHostIs(value []byte) (HostIs, error) {
	r := reader{b: value}
	m := HostIs{Seq: r.u32()}
	for len(r.b) > 0 && len(m.List) <= MaxHostAsk {
		var h HostAnswer
		h.VLAN, h.MAC = r.station()
		flags := r.u8()
		h.Known, h.Since, h.Polled = flags&hostKnown != 0, flags&hostSince != 0, flags&hostPolled != 0
		h.Ago = time.Duration(r.u32()) * time.Millisecond
		m.List = append(m.List, h)
	}
	if len(m.List) > MaxHostAsk {
		r.fail(ErrTooMany)
	}
	return m, r.done()
}

// station reads a VLAN and the hardware address of a station.
func (r *reader) station() (vlan uint16, mac MAC) {
	vlan = r.u16()
	r.copyTo(mac[:])
	if vlan >= vlanMask || mac.IsGroup() {
		r.fail(ErrValue)
	}
	return vlan, mac
}
