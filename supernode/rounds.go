package supernode

import (
	"time"

	"hedgerow/internal/timer"
)

const (
	// roundAgain is after which time edges are told once more that have not answered, four
	// times longer with each round, and roundsMost how often they are. A new session is told
	// with its ACK in any case.
	roundAgain = 2 * time.Second
	roundsMost = 4
	// roundRun is how many registrations are looked at in one go, while nothing else is done.
	roundRun = 256
)

// rounds tell whoever is here of something, at the pace of notices.
type rounds struct {
	registry *registry
	sender   *controlSender
	out      *outbox // of the timers' goroutine
	alarm    alarm
	next     timer.Timer

	most  int                  // messages that leave in a pace
	say   func(h *hop) message // what an edge is told; nil: it knows that
	left  int                  // of registry.all: those before it are told next
	round int                  // of roundsMost
}

// begin begins the first round.
func (d *rounds) begin(now time.Time) {
	d.round, d.left = 0, len(d.registry.all)
	d.next.Set(now)
	d.alarm.ring()
}

// step tells some edges.
func (d *rounds) step(now time.Time) {
	told := 0
	for range roundRun {
		all := d.registry.all
		if d.left = min(d.left, len(all)); d.left == 0 || told == d.most {
			break
		}
		d.left--
		if r := all[d.left]; r.index() != 0 {
			if m := d.say(r.hop); m != nil {
				d.sender.message(d.out, r.hop, m)
				told++
			}
		}
	}
	switch {
	case d.left > 0 && told > 0:
		d.next.Set(now.Add(pace))
	case d.left > 0:
		d.next.Set(now.Add(time.Millisecond))
	case d.round < roundsMost-1:
		d.left = len(d.registry.all)
		d.next.Set(now.Add(roundAgain << (2 * d.round)))
		d.round++
	}
}

// greet tells whoever registers.
func (d *rounds) greet(x *exchange) {
	if m := d.say(x.hop); m != nil {
		x.add(m)
	}
}
