package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// resetAgain is after which time every RESET of the start is sent once more: one may
// be lost, and an edge would notice our restart only by its own timeout.
const resetAgain = 300 * time.Millisecond

// resets are the RESETs of the start: one for every session that was live when
// the predecessor of this process ended, in two rounds.
type resets struct {
	list  []resetTarget
	next  int // in list
	round int
	start time.Time // of the first round
}

// resetTarget is a session of the predecessor.
type resetTarget struct {
	index uint32
	addr  netip.AddrPort
	back  func() bool // reports whether its edge is here again, which needs none then
}

// due returns when the next RESET may be sent; ok is false when none is left.
func (q *resets) due() (at time.Time, ok bool) {
	if len(q.list) == 0 {
		return time.Time{}, false
	}
	if q.round == 1 {
		return q.start.Add(resetAgain), true
	}
	return q.start, true
}

// pop returns the next target.
func (q *resets) pop() resetTarget {
	t := q.list[q.next]
	if q.next++; q.next == len(q.list) {
		q.next = 0
		if q.round++; q.round == 2 {
			q.list = nil
		}
	}
	return t
}

// Packets of one IPv4 address or IPv6 /64 that are answered with RESET: an office
// comes back after a restart, each edge with a few packets.
const (
	resetRate  = 20 // a second
	resetBurst = 200
)

// resetter tells edges that their session is gone.
type resetter struct {
	keys    *resetKeys
	known   *serverKeys // by which edges know us
	boot    uint8       // top byte of every index that we give
	answers answers
	cover   *cover
	refused *refusals
}

func newResetter(keys *resetKeys, known *serverKeys, boot uint8, hidden *cover, refused *refusals) *resetter {
	return &resetter{keys: keys, known: known, boot: boot, answers: newAnswers(), cover: hidden, refused: refused}
}

// send tells the edge with an index that its session is gone. The token proves that
// we are the supernode that gave it the index.
func (r *resetter) send(out *outbox, t resetTarget) {
	token, ok := r.keys.token(t.index)
	if !ok {
		return
	}
	for _, key := range r.known.all() { // we do not know by which of ours the edge knew us
		out.send(r.lengthen(protocol.AppendReset(out.buffer(), t.index, token), protocol.MaxDatagram), ends{addr: t.addr, us: us{key: key}})
	}
}

// answer answers a packet of size bytes for an index of another boot, whose key is
// known, with RESET, which is never longer. An index of this boot we have given to
// nobody, or its session has ended; the token of a live session must not be given away.
// A boot to come draws another key.
func (r *resetter) answer(now time.Time, out *outbox, size int, from netip.AddrPort, index uint32) {
	if size <= protocol.ResetLen || uint8(index>>24) == r.boot {
		return
	}
	token, ok := r.keys.token(index)
	if !ok {
		return
	}
	if reason := r.answers.take(now, out.source, resetRate, resetBurst, dropResetRate, dropResetTotal); reason != answered {
		r.refused.about(reason, false, out.origin(from), nil)
		return
	}
	out.answer(r.lengthen(protocol.AppendReset(out.buffer(), index, token), size), from)
}

// lengthen makes a RESET longer, to most bytes at most, where there is an obfuscation key.
func (r *resetter) lengthen(pkt []byte, most int) []byte {
	if r.cover == nil {
		return pkt
	}
	return crypto.Lengthen(pkt, most)
}
