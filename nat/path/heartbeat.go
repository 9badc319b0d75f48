package path

import (
	"time"

	"hedgerow/internal/deadline"
)

// The times of a direct path (docs/NAT.md, "Watching").
const (
	activeBeat  = time.Second
	idleBeat    = 15 * time.Second // keeps the mappings of most NATs; less where they live for less
	oneSided    = 3                // times as rarely an end pings while the other one does
	spareFor    = time.Second      // by so much the other one's next ping may be late
	pingTimeout = 300 * time.Millisecond
	resendAfter = 200 * time.Millisecond
	maxMissed   = 3 // pings in a row, then the path is given up
	maxHeard    = 6 // instead, while packets of the peer still come in over it
	dualAfter   = 50 * time.Millisecond
)

// heartbeat watches the direct path. In RFC 7675 its answers are consent.
type heartbeat struct {
	since   time.Time // when the path became direct
	sent    time.Time // the last ping
	heard   time.Time // the last authenticated packet from there
	next    time.Time // the next ping, or when the last one is missed
	waiting bool      // for the answer to the last ping
	missed  int       // in a row; above 0 the path is suspect
	loss    Loss      // of the pings
	dual    time.Time // frames also go by the relayed path until then; zero = not
}

// newHeartbeat returns the heartbeat of a path whose remote has just answered, where the
// next ping follows at a time.
func newHeartbeat(now, next time.Time) heartbeat {
	return heartbeat{since: now, sent: now, heard: now, next: next}
}

// beat returns when the next ping follows one that was sent at a time. All paths in no use
// are pinged at the same moments: a tenth later than usual at most after the one before.
func (s *prober) beat(sent time.Time, active bool) time.Time {
	if active {
		return sent.Add(activeBeat)
	}
	idle := s.idleBeat()
	return deadline.Shared(sent.Add(idle/10), idle, s.policy.Phase)
}

// idleBeat returns how often a path in no use is pinged.
func (s *prober) idleBeat() time.Duration {
	if keep := s.policy.Keepalive; keep > 0 {
		return min(idleBeat, keep)
	}
	return idleBeat
}

// spare puts the next ping over a path in no use off, since the peer has pinged and was
// answered at a time: that has kept the mappings at both ends, and found the path alive. So
// one end of an idle path pings, and the other one when the first one's ping does not come,
// and now and then to know how far the peer is and where it sees us. An end whose own NAT
// needs more than the usual relies on nobody.
func (h *heartbeat) spare(now time.Time, with *prober) {
	if h.waiting || h.missed > 0 || with.idleBeat() < idleBeat {
		return
	}
	next := now.Add(idleBeat + spareFor)
	if last := with.beat(h.sent.Add((oneSided-1)*idleBeat), false); next.After(last) {
		next = last
	}
	if next.After(h.next) {
		h.next = next
	}
}

// pingWithin sends the next ping no later than d after the last.
func (h *heartbeat) pingWithin(d time.Duration) {
	if next := h.sent.Add(d); !h.waiting && next.Before(h.next) {
		h.next = next
	}
}

// doubt puts the path in doubt until its next answer: frames also go by the relayed
// path, and a ping goes at once.
func (h *heartbeat) doubt(now time.Time) {
	h.waiting, h.missed, h.next = false, max(h.missed, 1), now
}

// dead reports whether so many pings are missed that the path is given up. While
// packets of the peer come in over it more are waited for.
func (h *heartbeat) dead() bool {
	return h.missed >= maxMissed && (h.heard.Before(h.sent) || h.missed >= maxHeard)
}

// wait returns how long to wait for the answer to the ping that is sent now, over a
// path with a round trip.
func (h *heartbeat) wait(t *roundTrip) time.Duration {
	switch {
	case !h.waiting:
		return t.timeout()
	case h.missed >= maxMissed-1:
		return max(resendAfter, t.smooth+4*t.variation)
	}
	return resendAfter
}

// pollHeartbeat sends the ping that is due. It returns why the path is to be given up,
// empty if it is not: so many are missed, or nothing may be sent there any more, since
// this host's route to the address leads into the overlay itself by now.
func (s *selection) pollHeartbeat(now time.Time, with *prober) (fault string) {
	h := &s.heart
	if !s.exists() {
		return ""
	}
	if deadline.Due(now, h.dual) {
		h.dual = time.Time{}
	}
	if now.Before(h.next) {
		return ""
	}
	if h.waiting {
		if h.missed++; h.dead() {
			return "left too many pings in a row unanswered"
		}
	}
	if !with.allows(with.policy.ReplyRefusal(s.remote.addr)) {
		return "may not be sent to any more"
	}
	h.next = now.Add(h.wait(&s.remote.rtt))
	h.waiting, h.sent = true, now
	s.countMissed(with.pings)
	with.send(now, ping{remote: s.remote, beat: true}, 0)
	return ""
}

// countMissed counts the heartbeats that are still unanswered as lost, for now.
func (s *selection) countMissed(outstanding pings) {
	for i := range outstanding {
		if one := &outstanding[i]; one.beat && !one.missed && one.remote == s.remote {
			one.missed = true
			s.heart.loss.Add(false)
		}
	}
}

// answered handles the PONG of a ping over the direct path. active says that the path is in
// use.
func (s *selection) answered(now time.Time, one ping, active bool, with *prober) {
	h := &s.heart
	switch {
	case one.beat && one.missed:
		h.loss.late()
	case one.beat:
		h.loss.Add(true)
	}
	h.waiting, h.missed, h.heard = false, 0, now
	h.next = with.beat(h.sent, active)
	s.mtu.Answered(now, one.size)
}
