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

// sendReset tells the edge with this index that its session is gone. The token
// proves that we are the supernode that gave it the index.
func (s *Server) sendReset(out *outbox, t resetTarget) {
	token := crypto.ResetToken(s.identity.Seed, t.index)
	out.send(protocol.AppendReset(out.buffer(), t.index, token), t.addr)
}

// answerUnknown answers a packet for an index of another boot with RESET, which
// is never longer. An index of this boot gets no answer: we have given it to nobody
// or its session has ended, and the token of a live session must not be given away.
func (s *Server) answerUnknown(now time.Time, out *outbox, size int, from netip.AddrPort, index uint32) {
	if size <= protocol.ResetLen || uint8(index>>24) == s.hops.boot {
		return
	}
	if !s.strangers.reset.Take(now, 1, resetRate, resetRate) {
		s.refused.about(dropResetRate, false, out.origin(from), nil)
		return
	}
	s.sendReset(out, resetTarget{index: index, addr: from})
}
