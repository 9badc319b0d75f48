package supernode

import (
	"time"

	"hedgerow/internal/timer"
	"hedgerow/protocol"
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
// the RESETs of the start, and the pushes about restarted edges. They leave at a
// pace that edges, and the network before us, can bear, and where both wait each has
// half of it.
type notices struct {
	resets    resets
	pushes    pushes
	resetter  *resetter
	registry  *registry
	sender    *controlSender
	allowance *allowance
	refused   *refusals

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

// announce queues the PEER_INFO of r for all other members of its community. They are
// copies as those of a flood are, and cost the source of r as much. Members who are not
// told find out by themselves, but later.
func (n *notices) announce(now time.Time, r *registration) {
	members := len(r.community.online) - 1
	if members <= 0 {
		return
	}
	limits := &n.registry.limits
	if len(n.pushes.waiting) >= limits.Edges || !n.allowance.copies(now, r.hop, float64(members), limits.SourceFloods) {
		n.refused.count(dropPushes, true, func() []any { return append(r.attributes(), "members", members) })
		return
	}
	n.pushes.add(r)
	n.schedule(now)
	n.alarm.ring()
}

// schedule sets the timer to when the next notice may go.
func (n *notices) schedule(now time.Time) {
	at, waiting := n.resets.due()
	if len(n.pushes.waiting) > 0 {
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

// noticeSteps is how many notices of a kind are looked at in one go: some have nobody to
// tell, or nothing to say any more.
const noticeSteps = 4 * packetsAPace

// send sends as many notices as the pace allows at once.
func (n *notices) send(now time.Time) {
	at, resetting := n.resets.due()
	resetting = resetting && !now.Before(at)
	room := packetsAPace
	if resetting && len(n.pushes.waiting) > 0 {
		room /= 2
	}
	sent := 0
	for steps := 0; sent < room && steps < noticeSteps && len(n.pushes.waiting) > 0; steps++ {
		sent += n.sendPush(now)
	}
	for steps := 0; sent < packetsAPace && steps < noticeSteps && resetting; steps++ {
		if t := n.resets.pop(); !t.back() {
			n.resetter.send(n.out, t)
			sent++
		}
		at, resetting = n.resets.due()
		resetting = resetting && !now.Before(at)
	}
	if sent > 0 || resetting || len(n.pushes.waiting) > 0 {
		n.resume = now.Add(pace)
	}
	n.schedule(now)
}

// sendPush tells the next member of edges and returns how many packets that were.
func (n *notices) sendPush(now time.Time) (packets int) {
	to, about := n.pushes.pop()
	if to == nil {
		return 0
	}
	body := startControl(n.out.buffer())
	for _, r := range about {
		before, info := len(body), r.peerInfo(now)
		body = info.Append(body)
		if before > emptyControl && len(body)+protocol.TagLen > controlLen {
			n.sender.send(n.out, to.hop, body[:before], to.hop.addr)
			packets++
			body = info.Append(startControl(n.out.buffer()))
		}
	}
	n.sender.send(n.out, to.hop, body, to.hop.addr)
	return packets + 1
}
