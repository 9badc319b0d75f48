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

type resetTarget struct {
	index uint32
	addr  netip.AddrPort
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
	seed    [32]byte // of our identity
	boot    uint8    // top byte of every index that we give
	counted bool     // boots are counted, one after the other
	answers answers
	refused *refusals
}

func newResetter(seed [32]byte, boot uint8, counted bool, refused *refusals) *resetter {
	return &resetter{seed: seed, boot: boot, counted: counted, answers: newAnswers(), refused: refused}
}

// past reports whether an index is of a boot before this one. Of the other 255 that
// its first byte may name, 128 are; the rest are still to come, and whoever had a
// token of one of those could end sessions that we shall make. Where boots are not
// counted there is no order, and every other boot counts as past.
func (r *resetter) past(index uint32) bool {
	before := r.boot - uint8(index>>24)
	return before != 0 && (!r.counted || before <= 128)
}

// send tells the edge with an index that its session is gone. The token proves that
// we are the supernode that gave it the index.
func (r *resetter) send(out *outbox, t resetTarget) {
	token := crypto.ResetToken(r.seed, t.index)
	out.send(protocol.AppendReset(out.buffer(), t.index, token), t.addr)
}

// answer answers a packet of size bytes for an index of a past boot with RESET, which
// is never longer. An index of this boot we have given to nobody, or its session has
// ended; the token of a live session must not be given away.
func (r *resetter) answer(now time.Time, out *outbox, size int, from netip.AddrPort, index uint32) {
	if size <= protocol.ResetLen || !r.past(index) {
		return
	}
	if reason := r.answers.take(now, out.source, resetRate, resetBurst, dropResetRate, dropResetTotal); reason != answered {
		r.refused.about(reason, false, out.origin(from), nil)
		return
	}
	token := crypto.ResetToken(r.seed, index)
	out.answer(protocol.AppendReset(out.buffer(), index, token), from)
}
