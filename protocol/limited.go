package protocol

import "encoding/binary"

// What a supernode limits, as Limited.What says.
const (
	// LimitedBytes is what it relays in bytes a second for one edge,
	// LimitedCommunityBytes for one community.
	LimitedBytes          = 1
	LimitedCommunityBytes = 2
	// LimitedCopies is how many copies of floods leave in a second for one edge,
	// LimitedNetworkCopies for all at one source address, LimitedCommunityCopies for
	// one community.
	LimitedCopies          = 3
	LimitedNetworkCopies   = 4
	LimitedCommunityCopies = 5
	// LimitedLine is an equal part of all bytes that it relays in a second: its line is
	// full. LimitedLoad is an equal part of its processor's time, which has no rate.
	LimitedLine = 6
	LimitedLoad = 7
	// LimitedMonth is how many bytes it relays in a calendar month (UTC) in all,
	// LimitedCommunityMonth for one community, LimitedEdgeMonth for one identity and
	// LimitedNetworkMonth for all at one source address.
	LimitedMonth          = 8
	LimitedCommunityMonth = 9
	LimitedEdgeMonth      = 10
	LimitedNetworkMonth   = 11
)

// Limited tells an edge that a supernode has not relayed all that it sent.
type Limited struct {
	// Dropped is how many packets were dropped since the last LIMITED, a flood being
	// one.
	Dropped uint32
	// What is the limit that was met last, one of the Limited constants; others are
	// limits of later versions.
	What uint8
	// Rate is that limit, in bytes or copies a second, or in millions of bytes a month; the
	// largest number stands for all that are larger, 0 for none.
	Rate uint32
}

// Append appends the message with its type and length.
func (m *Limited) Append(dst []byte) []byte {
	dst, at := beginTLV(dst, MsgLimited)
	dst = append(binary.BigEndian.AppendUint32(dst, m.Dropped), m.What)
	return endTLV(binary.BigEndian.AppendUint32(dst, m.Rate), at)
}

// ParseLimited reads the value of a LIMITED. It fails with ErrShort or ErrLength.
func ParseLimited(value []byte) (Limited, error) {
	r := reader{b: value}
	m := Limited{Dropped: r.u32(), What: r.u8(), Rate: r.u32()}
	return m, r.done()
}
