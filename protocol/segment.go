package protocol

import "encoding/binary"

// MaxSegmentMembers is how many members one SEGMENT may name: more bridges than that
// on one segment are a mistake, and the message goes in one packet.
const MaxSegmentMembers = 16

// SegmentState says what a bridge does on its segment.
type SegmentState uint8

// The states of a bridge on its segment. One that a receiver does not know is as
// SegmentAway.
const (
	// SegmentNone: the sender is no bridge.
	SegmentNone SegmentState = iota
	// SegmentListening: it has just begun, and passes nothing yet.
	SegmentListening
	// SegmentForwarding: it passes frames.
	SegmentForwarding
	// SegmentStandby: another member forwards, and it passes nothing.
	SegmentStandby
	// SegmentAway: its device is on no segment.
	SegmentAway
)

// SegmentRole says what a member is to the sender of a SEGMENT.
type SegmentRole uint8

// The roles. A member with another one is passed over.
const (
	// RoleNeighbour: a member on the same segment that does not forward there.
	RoleNeighbour SegmentRole = iota + 1
	// RoleForwarder: the member that forwards on the segment instead of the sender.
	RoleForwarder
	// RoleSucceeded: the member forwarded until it fell silent, and the sender does
	// instead.
	RoleSucceeded
)

// SegmentMember is a member on the segment of a SEGMENT's sender.
type SegmentMember struct {
	Role   SegmentRole
	Static [32]byte // its X25519 static key
}

// Segment is what a bridge says of its segment, to everybody whenever that changes
// and at the start of every session.
type Segment struct {
	// Serial rises with every change that the sender tells of, over restarts too; one
	// that is lower than an earlier one is ignored.
	Serial uint64
	State  SegmentState
	// Forget says that hosts which were behind the sender may be elsewhere now.
	Forget bool
	// Ask asks for the receiver's own SEGMENT.
	Ask bool
	// Members has at most MaxSegmentMembers entries; Append leaves further ones out.
	Members []SegmentMember
}

const (
	segmentForget = 1
	segmentAsk    = 2
)

// Append appends the message with its type and length.
func (m *Segment) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgSegment)
	dst = binary.BigEndian.AppendUint64(dst, m.Serial)
	var flags byte
	if m.Forget {
		flags |= segmentForget
	}
	if m.Ask {
		flags |= segmentAsk
	}
	dst = append(dst, byte(m.State), flags)
	for _, n := range m.Members[:min(len(m.Members), MaxSegmentMembers)] {
		dst = append(dst, byte(n.Role))
		dst = append(dst, n.Static[:]...)
	}
	return endTLV(dst, at)
}

// ParseSegment reads the value of a SEGMENT. Unknown flags are ignored, unknown states
// and roles are left to the caller. It fails with ErrShort or ErrTooMany.
func ParseSegment(value []byte) (Segment, error) {
	r := reader{b: value}
	m := Segment{Serial: r.u64(), State: SegmentState(r.u8())}
	flags := r.u8()
	m.Forget, m.Ask = flags&segmentForget != 0, flags&segmentAsk != 0
	for len(r.b) > 0 {
		if len(m.Members) == MaxSegmentMembers {
			r.fail(ErrTooMany)
			break
		}
		n := SegmentMember{Role: SegmentRole(r.u8())}
		r.copyTo(n.Static[:])
		m.Members = append(m.Members, n)
	}
	return m, r.done()
}
