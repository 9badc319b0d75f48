package supernode

import (
	"time"

	"hedgerow/internal/timer"
)

// How fast notices are sent.
const (
	pace         = 10 * time.Millisecond
	packetsAPace = 50 // 5000 a second
)

// alarm wakes the timers' goroutine, so that it looks at once at what is due.
type alarm chan struct{}

func newAlarm() alarm { return make(alarm, 1) }

// ring wakes it. It never waits.
func (a alarm) ring() {
	select {
	case a <- struct{}{}:
	default:
	}
}

// notices are the packets that nobody asked for and that may wait a few milliseconds:
// the RESETs of the start, then the pushes about restarted edges. They leave at a
// pace that edges, and the network before us, can bear.
type notices struct {
	resets   resets
	pushes   pushes
	resetter *resetter
	registry *registry
	sender   *controlSender
	refused  *refusals

	out    *outbox // of the timers' goroutine
	alarm  alarm   // wakes it
	next   timer.Timer
	resume time.Time // when the pace lets the next notice go
}

// begin lets the RESETs of the start go from now on.
func (n *notices) begin(now time.Time) {
	n.resets.start = now
	n.schedule(now)
}

// announce queues the PEER_INFO of r for all other members of its community.
func (n *notices) announce(now time.Time, r *registration) {
	members := len(r.community.online) - 1
	if members <= 0 {
		return
	}
	if !n.pushes.add(r, members) {
		n.refused.count(dropPushes, true, func() []any { return append(r.attributes(), "members", members) })
		return
	}
	n.schedule(now)
	n.alarm.ring()
}

// schedule sets the timer to when the next notice may go.
func (n *notices) schedule(now time.Time) {
	at, waiting := n.resets.due()
	if len(n.pushes.list) > 0 {
		at, waiting = now, true
	}
	switch {
	case !waiting:
		n.next.Stop()
	case at.Before(n.resume):
		n.next.Set(n.resume)
	default:
		n.next.Set(at)
	}
}

// send sends as many notices as the pace allows at once.
func (n *notices) send(now time.Time) {
	sent := 0
	for ; sent < packetsAPace; sent++ {
		if at, ok := n.resets.due(); ok && !now.Before(at) {
			n.resetter.send(n.out, n.resets.pop())
		} else if len(n.pushes.list) > 0 {
			n.sendPush()
		} else {
			break
		}
	}
	if sent > 0 {
		n.resume = now.Add(pace)
	}
	n.schedule(now)
}

// sendPush sends one push. A member that has left meanwhile gets none.
func (n *notices) sendPush() {
	member, subject := n.pushes.pop()
	to, about := n.registry.byHandle[member], n.registry.byHandle[subject]
	if to == nil || about == nil || to.community != about.community || to.place < 0 || about.place < 0 {
		return
	}
	info := about.peerInfo()
	n.sender.message(n.out, to.hop, &info)
}
