package protocol

import (
	"encoding/binary"
	"time"
)

// A probe is a frame that a bridge sends into its own segment (PROTOCOL.md, section
// 12). It never travels between edges.
const (
	// EtherTypeProbe is IEEE 802's Local Experimental EtherType 1: it is for protocols
	// that nobody registered, and no switch does anything with it. What begins behind it
	// with ProbeMagic is ours (IEEE 802-2014, section 9.2.3, asks for such a subtype).
	EtherTypeProbe = 0x88b5
	// ProbeVersion is the version of the layout.
	ProbeVersion = 1
	// ProbeLen is the length of a probe behind the Ethernet header.
	ProbeLen = probeMAC + 16
	// ProbeSigned and ProbeSealed are how many of its bytes are under the signature and
	// under the MAC, which covers the signature.
	ProbeSigned = 128
	ProbeSealed = probeMAC

	probeMagic = "hgpr"
	probeMAC   = ProbeSigned + 64
)

// ProbeGroup is where probes go: a locally administered group address. It is outside
// of 01-80-C2, which bridges keep to themselves, and of the groups that IGMP and MLD
// snooping prune, so that whatever floods a broadcast floods it, too.
var ProbeGroup = MAC{0x03, 'h', 'e', 'd', 'g', 'e'}

// ProbeState says what the sender of a probe does on its segment.
type ProbeState uint8

// The states.
const (
	// ProbeListening: it passes nothing yet and waits for others' probes.
	ProbeListening ProbeState = iota + 1
	// ProbeForwarding: it passes frames.
	ProbeForwarding
	// ProbeStandby: it passes nothing, since Forwarder does.
	ProbeStandby
	// ProbeClaiming: it passes nothing yet, and Forwarder shall leave that to it.
	ProbeClaiming
	// ProbeLeaving: this is its last probe.
	ProbeLeaving
)

// ProbeRank orders the bridges of a segment: the lowest forwards.
type ProbeRank struct {
	// Isolated says that the bridge reaches no other member: it is behind all that do.
	Isolated bool
	Priority uint16
	ID       [32]byte // Ed25519
}

// Probe is what a bridge says to the others on its segment.
type Probe struct {
	State ProbeState
	Tag   uint32 // of the community
	KI    uint8  // of the epoch whose key the MAC is under
	Boot  uint64 // the sequence number of the sender's statement: it rises at every start
	Seq   uint32 // rises with each probe of one boot
	Rank  ProbeRank
	// Static is the sender's X25519 static key.
	Static [32]byte
	// Forwarder is the rank of who forwards as far as the sender hears, zeros for
	// nobody, and Age how long ago it was heard, in milliseconds.
	Forwarder ProbeRank
	Age       uint16
	Signature [64]byte // Ed25519 by Rank.ID
	MAC       [16]byte // under a key of the epoch
}

const (
	probeIsolated          = 1
	probeForwarderIsolated = 2
)

// ProbeSource returns the source address of the probes of a bridge: another one than
// the device's own, which the kernel's bridge complains about when it comes in at a port.
func ProbeSource(device MAC) MAC {
	device[0] = device[0]&^1 ^ 0x40 | 2
	return device
}

// AppendFrame appends the probe as an Ethernet frame. Its last 80 bytes are Signature
// and MAC, which whoever signs it fills in.
func (p *Probe) AppendFrame(dst []byte, source MAC) []byte {
	dst = append(append(dst, ProbeGroup[:]...), source[:]...)
	dst = binary.BigEndian.AppendUint16(dst, EtherTypeProbe)
	dst = append(dst, probeMagic...)
	dst = append(dst, ProbeVersion, byte(p.State))
	var flags uint16
	if p.Rank.Isolated {
		flags |= probeIsolated
	}
	if p.Forwarder.Isolated {
		flags |= probeForwarderIsolated
	}
	dst = binary.BigEndian.AppendUint16(dst, flags)
	dst = binary.BigEndian.AppendUint32(dst, p.Tag)
	dst = binary.BigEndian.AppendUint64(dst, p.Boot)
	dst = binary.BigEndian.AppendUint32(dst, p.Seq)
	dst = append(dst, p.KI, 0)
	dst = binary.BigEndian.AppendUint16(dst, p.Rank.Priority)
	dst = binary.BigEndian.AppendUint16(dst, p.Forwarder.Priority)
	dst = binary.BigEndian.AppendUint16(dst, p.Age)
	dst = append(dst, p.Rank.ID[:]...)
	dst = append(dst, p.Static[:]...)
	dst = append(dst, p.Forwarder.ID[:]...)
	dst = append(dst, p.Signature[:]...)
	return append(dst, p.MAC[:]...)
}

// ParseProbe reads a probe from its frame. What stands behind its MAC is ignored: a
// later version's, or padding. It fails with ErrShort, ErrType for what is no probe of
// ours, ErrVersion, or ErrValue for an unknown state. Signature and MAC are the caller's to verify, over ProbeBody.
func ParseProbe(frame Frame) (Probe, error) {
	if !frame.IsProbe() {
		return Probe{}, ErrType
	}
	r := reader{b: frame[frame.probeAt():]}
	if string(r.next(len(probeMagic))) != probeMagic {
		r.fail(ErrType)
	}
	if r.u8() != ProbeVersion {
		r.fail(ErrVersion)
	}
	var p Probe
	p.State = ProbeState(r.u8())
	flags := r.u16()
	p.Rank.Isolated, p.Forwarder.Isolated = flags&probeIsolated != 0, flags&probeForwarderIsolated != 0
	p.Tag, p.Boot, p.Seq, p.KI = r.u32(), r.u64(), r.u32(), r.u8()
	r.u8()
	p.Rank.Priority, p.Forwarder.Priority, p.Age = r.u16(), r.u16(), r.u16()
	r.copyTo(p.Rank.ID[:])
	r.copyTo(p.Static[:])
	r.copyTo(p.Forwarder.ID[:])
	r.copyTo(p.Signature[:])
	r.copyTo(p.MAC[:])
	if r.err == nil && (p.State < ProbeListening || p.State > ProbeLeaving) {
		r.fail(ErrValue)
	}
	if r.err != nil {
		return Probe{}, r.err
	}
	return p, nil
}

// AppendTagged appends the frame of a probe with a VLAN tag of a type.
func AppendTagged(dst []byte, probe Frame, typ, vlan uint16) []byte {
	dst = append(dst, probe[:2*MACLen]...)
	dst = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(dst, typ), vlan)
	return append(dst, probe[2*MACLen:]...)
}

// ProbeBody returns the part of a probe's frame that begins behind the Ethernet header.
// AppendFrame made the frame, or ParseProbe has read it.
func ProbeBody(frame Frame) []byte { return frame[frame.probeAt():][:ProbeLen] }

// probeAt returns where a probe begins: behind the Ethernet header, with a tag or without.
func (f Frame) probeAt() int {
	if len(f) >= EthernetLen+VLANLen && IsTag(binary.BigEndian.Uint16(f[12:])) {
		return EthernetLen + VLANLen
	}
	return EthernetLen
}

// IsProbe reports whether a valid frame is a probe, with a VLAN tag or without. It is for
// this edge alone, and never for the overlay.
func (f Frame) IsProbe() bool {
	return f.Dst() == ProbeGroup && binary.BigEndian.Uint16(f[f.probeAt()-2:]) == EtherTypeProbe
}

// AgeOf returns a length of time as Probe.Age has it.
func AgeOf(d time.Duration) uint16 { return uint16(min(max(d.Milliseconds(), 0), 1<<16-1)) }
