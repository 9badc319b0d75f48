package edge

import (
	"fmt"
	"net/netip"
	"time"

	"hedgerow/nat/path"
	"hedgerow/nat/trains"
)

// When frames go by the relayed path although there is a direct one (docs/NAT.md,
// "Watching"). The rule is here; judge in route.go acts on it.
const (
	lossyFrom  = 4                // lost pings of the last 20; by chance three are as well
	soundUpTo  = 1                // lost pings of the last 20
	avoidFirst = 30 * time.Second // then the direct path is looked at again; doubling
	avoidMost  = 10 * time.Minute
	lossyWatch = time.Second // between pings over the relayed path while the direct one is lossy
)

// quality is whether a direct path is avoided because of what it loses, which the
// path machine cannot judge: it knows nothing of the relayed path. The zero value
// avoids none.
type quality struct {
	of      netip.AddrPort // where the path leads
	avoided bool
	wait    time.Duration // of the last time
	turn    time.Time     // avoided: when it is looked at again; else since when it is in use again
	trains  trainPings
}

// judge compares what became of the last pings over the direct path and over the
// relayed one. A direct path that loses many is avoided while the relayed one loses
// none, and looked at again after a time that doubles; the times begin anew for a
// path that was good for the longest of them. A path that is given up and found again
// is the same path.
func (q *quality) judge(now time.Time, of netip.AddrPort, direct, relay path.Loss) {
	if !of.IsValid() {
		return
	}
	if of != q.of {
		*q = quality{of: of}
	}
	lost, seen := direct.Count()
	lostByRelay, seenByRelay := relay.Count()
	switch {
	case !q.avoided && lost >= lossyFrom && lostByRelay == 0 && seenByRelay == path.LossWindow:
		if now.Sub(q.turn) >= avoidMost {
			q.wait = 0
		}
		q.avoided = true
		q.postpone(now)
	case q.avoided && lostByRelay > 0, q.avoided && !now.Before(q.turn) && lost <= soundUpTo && seen == path.LossWindow:
		q.avoided, q.turn = false, now
	case q.avoided && !now.Before(q.turn):
		q.postpone(now)
	}
}

// postpone lets the next look wait for twice as long as the last.
func (q *quality) postpone(now time.Time) {
	q.wait = min(max(2*q.wait, avoidFirst), avoidMost)
	q.turn = now.Add(q.wait)
}

// avoids reports whether there is a direct path that is avoided.
func (r *reachability) avoids() bool {
	return r.quality.avoided && r.path != nil && r.path.Route().Direct == r.quality.of
}

// lossy reports whether a direct path is, or may soon be, avoided.
func (r *reachability) lossy() bool {
	if r.path == nil {
		return false
	}
	lost, _ := r.path.Loss().Count()
	return r.quality.avoided || lost >= lossyFrom
}

// watchRelay makes the next ping over the relayed path due, because frames begin to go
// by it: that it loses them, too, is found out by the pings that follow every second, and
// not by one that was due in five. A ping that waits for its answer keeps its second. The
// peer has to have a session: nothing is sent without one.
func (r *reachability) watchRelay(now time.Time) {
	at := now
	if sent := r.relay.ping.sent; sent.Add(lossyWatch).After(now) {
		at = sent.Add(lossyWatch)
	}
	r.relay.timer.NotAfter(at)
}

// avoidance says why a direct path is not used, empty when it is or when there is
// none.
func (r *reachability) avoidance(now time.Time) string {
	if !r.avoids() {
		return ""
	}
	lost, of := r.path.Loss().Count()
	return fmt.Sprintf("the direct path loses packets, %d of the last %d pings, and the relay none; next try in %v",
		lost, of, max(r.quality.turn.Sub(now), 0).Round(time.Second))
}

// lossOf returns the share of pings that were lost, nil while none were sent.
func lossOf(l path.Loss) *float64 {
	lost, of := l.Count()
	if of == 0 {
		return nil
	}
	share := float64(lost) / float64(of)
	return &share
}

// trainPings watch whether a direct path carries trains. The zero value believes it does.
type trainPings struct {
	trains.Watch
	nonce [8]byte // of the pings that were sent last; its last byte is the number of each
	waits uint16  // a bit for each that was not answered
	used  uint64  // bytes of frames that had gone to the peer at the end of the last check
}
