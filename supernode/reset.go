package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
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

// resetRate is how many packets a second, over all sources, are answered with RESET.
const resetRate = 100

// resetter tells edges that their session is gone.
type resetter struct {
	seed    [32]byte // of our identity
	answers bucket.Bucket
	refused *refusals
}

// send tells the edge with an index that its session is gone. The token proves that
// we are the supernode that gave it the index.
func (r *resetter) send(out *outbox, t resetTarget) {
	token := crypto.ResetToken(r.seed, t.index)
	out.send(protocol.AppendReset(out.buffer(), t.index, token), t.addr)
}

// answer answers a packet of size bytes for an index of another boot with RESET,
// which is never longer. The caller does not ask for an index of this boot: we have
// given it to nobody or its session has ended, and the token of a live session must
// not be given away.
func (r *resetter) answer(now time.Time, out *outbox, size int, from netip.AddrPort, index uint32) {
	if size <= protocol.ResetLen {
		return
	}
	if !r.answers.Take(now, 1, resetRate, resetRate) {
		r.refused.about(dropResetRate, false, out.origin(from), nil)
		return
	}
	r.send(out, resetTarget{index: index, addr: from})
}
