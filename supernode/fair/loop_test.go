package fair

import (
	"slices"
	"testing"
	"time"
)

// queue is a socket in front of a loop that reads it: what finds no room in it is lost,
// whoever has sent it. To read a packet takes a time, and to handle it some more.
type queue struct {
	loop          Loop
	read, handle  time.Duration
	most          int
	waiting       []packet
	now           time.Duration
	lost, refused int
	waited        []time.Duration // of packets that were handled, by the single sender
}

type packet struct {
	from *sender // nil: a stranger
	came time.Duration
}

// batch is how many packets are read at once.
const batch = 8

// step lets the loop read one batch at q.now.
func (q *queue) step() {
	n := min(batch, len(q.waiting))
	if n == 0 {
		q.loop.Batch(noon.Add(q.now), true)
		q.now += 10 * time.Microsecond
		return
	}
	now := noon.Add(q.now)
	q.loop.Batch(now, n < batch)
	for _, p := range q.waiting[:n] {
		q.now += q.read
		switch {
		case p.from == nil:
			if q.loop.Full() {
				q.loop.Force(now, 500)
			}
		case q.loop.Full() && !q.loop.Take(now, p.from.group, &p.from.member, p.from.size):
			p.from.refused++
			q.refused++
		default:
			q.now += q.handle
			p.from.got++
			if len(p.from.group.members) == 1 {
				q.waited = append(q.waited, q.now-p.came)
			}
		}
	}
	q.waiting = q.waiting[n:]
}

// run has senders send packets[i] a second each, and strangers as many as they like, for a
// time. pause is when the loop is kept from running for 10 ms; zero: never.
func (q *queue) run(lasts time.Duration, senders []*sender, strangers float64, pause time.Duration) {
	sent, foreign, end := q.now, 0.0, q.now+lasts
	for q.now < end {
		if pause > 0 && q.now > pause {
			q.now, pause = q.now+10*time.Millisecond, 0
		}
		const tick = 50 * time.Microsecond
		for ; sent < q.now; sent += tick {
			for i := range senders {
				s := senders[(i+int(sent/tick))%len(senders)]
				for ; s.next < sent; s.next += time.Duration(float64(time.Second) / s.rate) {
					q.come(packet{s, sent})
				}
			}
			for foreign += strangers * tick.Seconds(); foreign >= 1; foreign-- {
				q.come(packet{came: sent})
			}
		}
		q.step()
	}
}

func (q *queue) come(p packet) {
	if len(q.waiting) == q.most {
		q.lost++
		return
	}
	q.waiting = append(q.waiting, p)
}

// newQueue returns a loop that can do 333 000 packets a second, and read 1 000 000.
func newQueue() *queue {
	return &queue{loop: Loop{Line: Line{Small: 500}}, read: time.Microsecond, handle: 2 * time.Microsecond, most: 4000}
}

// pairs returns one sender of a group of its own, and a hundred of another one. All packets
// are of a size; rates are packets a second.
func pairs(single, each float64) (list []*sender) {
	var one, many Group
	list = []*sender{{group: &one, rate: single, size: 1000}}
	for range 100 {
		list = append(list, &sender{group: &many, rate: each, size: 1000})
	}
	return list
}

// got counts what the hundred got, and what the one did, a second.
func shares(list []*sender, over time.Duration) (one, others float64) {
	for _, s := range list[1:] {
		others += s.got
	}
	return list[0].got / over.Seconds(), others / over.Seconds()
}

// At 1.8 times what a loop can do the single pair of a community has as much as the hundred
// of another one, nothing is lost in the socket, and what is handled has hardly waited.
func TestFullLoop(t *testing.T) {
	q, list := newQueue(), pairs(300e3, 3e3)
	q.run(300*time.Millisecond, list, 0, 0) // until it has found its rate
	for _, s := range list {
		s.got = 0
	}
	q.lost, q.waited = 0, nil
	const lasts = time.Second
	q.run(lasts, list, 0, 0)
	one, others := shares(list, lasts)
	near(t, "a second by the single pair", one, others, 0.05)
	if one+others < 0.7*200e3 { // to read 600 000 leaves time for 200 000
		t.Errorf("%.0f packets a second are handled", one+others)
	}
	slices.Sort(q.waited)
	if q.lost > 0 || q.waited[len(q.waited)*99/100] > time.Millisecond {
		t.Errorf("%d are lost in the socket; p99 in it is %v", q.lost, q.waited[len(q.waited)*99/100])
	}
}

// A single pair that sends less than half has all of that.
func TestQuietPairBesideAFullLoop(t *testing.T) {
	q, list := newQueue(), pairs(20e3, 4e3)
	q.run(300*time.Millisecond, list, 0, 0)
	list[0].got, list[0].refused, q.lost = 0, 0, 0
	q.run(500*time.Millisecond, list, 0, 0)
	near(t, "of 10 000", list[0].got, 10000, 0.001)
	if list[0].refused > 0 || q.lost > 0 || q.refused == 0 {
		t.Errorf("%d are refused of its own, %d of all, %d lost", list[0].refused, q.refused, q.lost)
	}
}

// A loop that keeps up refuses nothing, also after it was kept from running for a moment;
// and one that was full is not when they have stopped.
func TestLoopThatKeepsUp(t *testing.T) {
	q, list := newQueue(), pairs(50e3, 1500) // six tenths of what it can do
	q.run(200*time.Millisecond, list, 0, 100*time.Millisecond)
	if q.refused > 0 || q.lost > 0 {
		t.Errorf("%d are refused, %d lost", q.refused, q.lost)
	}
	for _, s := range list {
		s.rate *= 4
	}
	q.run(100*time.Millisecond, list, 0, 0)
	if !q.loop.Full() || q.refused == 0 {
		t.Error("at four times as much it is not full")
	}
	for _, s := range list {
		s.rate /= 4
	}
	q.run(500*time.Millisecond, list, 0, 0)
	refused := q.refused
	q.run(200*time.Millisecond, list, 0, 0)
	if q.loop.Full() || q.refused != refused {
		t.Errorf("half a second later: full %v, %d more are refused", q.loop.Full(), q.refused-refused)
	}
	if l := &q.loop; len(l.groups) != 0 || list[0].member != (Member{}) {
		t.Errorf("%+v", l.Line)
	}
}

// What strangers send is no reason to refuse what a community sends that sends little.
func TestStrangersFillALoop(t *testing.T) {
	q, list := newQueue(), pairs(2e3, 50)
	q.run(time.Second, list, 1.5e6, 0)
	one, others := shares(list, time.Second)
	if q.lost == 0 {
		t.Fatal("the loop keeps up: it proves nothing")
	}
	if q.refused > 0 {
		t.Errorf("%d are refused; %.0f and %.0f were handled", q.refused, one, others)
	}
}
