package bridge

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// control does for a database what the control loop does: it asks what is due, and
// brings the answers of whoever can answer. A nil answer is lost.
type control struct {
	f     *FDB[*testEdge]
	now   int64
	asked int
	hosts func(q Question[*testEdge]) *Answer
	told  []Contest[*testEdge]
	left  []Key
}

// run runs until a time, in steps of 10 ms.
func (c *control) run(d time.Duration) {
	for end := c.now + int64(d); c.now < end; c.now += int64(10 * time.Millisecond) {
		c.step()
	}
}

func (c *control) step() {
	list, _ := c.f.Due(c.now)
	for _, q := range list {
		c.asked++
		if a := c.hosts(q); a != nil {
			a.Key, a.Seq = q.Key, q.Seq
			c.f.Answered(c.now, q.To, *a)
		}
	}
	told, left := c.f.Told()
	c.told, c.left = append(c.told, told...), append(c.left, left...)
}

// TestClaimAnswers holds what follows from each answer, and how soon.
func TestClaimAnswers(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		what    string
		answer  *Answer
		moves   bool
		within  time.Duration
		asked   int
		contest int
	}{
		{"it is alive there", &Answer{Known: true, Since: true}, false, 10 * ms, 1, 1},
		{"unknown there", &Answer{}, true, 10 * ms, 1, 0},
		{"asked for in vain", &Answer{Known: true, Polled: true, Ago: 3 * time.Second}, true, 10 * ms, 1, 0},
		{"silent there", &Answer{Known: true, Ago: 3 * time.Second}, true, 1000 * ms, 3, 0},
		{"no answer", nil, true, 1000 * ms, 3, 0},
	} {
		f, a, b := New[*testEdge](small), new(testEdge), new(testEdge)
		f.Learn(1, hostKey(1), a)
		l := &control{f: f, now: 2, hosts: func(q Question[*testEdge]) *Answer {
			if q.To != a {
				t.Errorf("%s: asked %p", c.what, q.To)
			}
			if c.answer == nil {
				return nil
			}
			answer := *c.answer
			return &answer
		}}
		if v := f.Learn(2, hostKey(1), b); v != (Verdict{Wake: true}) || where(f, 2, hostKey(1)) != a {
			t.Errorf("%s: %+v, behind %p at first", c.what, v, where(f, 2, hostKey(1)))
		}
		l.run(c.within + 20*ms)
		if moved := where(f, l.now, hostKey(1)) == b; moved != c.moves || l.asked != c.asked || len(l.told) != c.contest {
			t.Errorf("%s: moved %v after %d questions, %d contests told", c.what, moved, l.asked, len(l.told))
		}
		if c.contest == 1 && (len(l.told) != 1 || l.told[0] != (Contest[*testEdge]{Key: hostKey(1), At: a, Other: b})) {
			t.Errorf("%s: told %+v", c.what, l.told)
		}
		if len(f.claims) != 0 {
			t.Errorf("%s: %d claims are left", c.what, len(f.claims))
		}
	}
}

// TestClaimHeard: an edge that does not answer keeps the station if frames of it still
// come from there.
func TestClaimHeard(t *testing.T) {
	f, a, b := New[*testEdge](small), new(testEdge), new(testEdge)
	f.Learn(1, hostKey(1), a)
	l := &control{f: f, now: 2, hosts: func(Question[*testEdge]) *Answer { return nil }}
	f.Learn(2, hostKey(1), b)
	l.run(500 * time.Millisecond)
	f.Learn(l.now+int64(time.Second), hostKey(1), a)
	l.run(time.Second)
	if where(f, l.now, hostKey(1)) != a || f.Counters().Contested != 1 {
		t.Errorf("behind %p, %+v", where(f, l.now, hostKey(1)), f.Counters())
	}
}

// TestClaimHold: after a contest nobody is asked for 30 s, whatever is claimed, and it
// is told of once while it goes on.
func TestClaimHold(t *testing.T) {
	f, a, b := New[*testEdge](small), new(testEdge), new(testEdge)
	l := &control{f: f, now: 1, hosts: func(Question[*testEdge]) *Answer { return &Answer{Known: true, Since: true} }}
	f.Learn(1, hostKey(1), a)
	for range 12_000 { // two minutes at 100 a second
		f.Learn(l.now, hostKey(1), b)
		l.run(10 * time.Millisecond)
		if where(f, l.now, hostKey(1)) != a {
			t.Fatal("it moved")
		}
		if l.now%int64(time.Second) == 1 {
			f.Learn(l.now, hostKey(1), a)
			f.Sweep(l.now)
		}
	}
	if l.asked != 4 || len(l.told) != 1 || f.Counters().Ignored < 11_000 {
		t.Errorf("%d questions, %d contests told, %+v", l.asked, len(l.told), f.Counters())
	}
}

// TestClaimFormer: a station that was quiet when somebody took its address gets it
// back when it speaks, although the other one still does.
func TestClaimFormer(t *testing.T) {
	f, a, b := New[*testEdge](small), new(testEdge), new(testEdge)
	silent := true
	l := &control{f: f, now: 1, hosts: func(q Question[*testEdge]) *Answer {
		return &Answer{Known: true, Since: q.To == b || !silent, Ago: time.Second}
	}}
	f.Learn(1, hostKey(1), a)
	f.Learn(2, hostKey(1), b)
	l.run(2 * time.Second)
	if where(f, l.now, hostKey(1)) != b {
		t.Fatal("it did not move")
	}
	silent = false
	f.Learn(l.now, hostKey(1), a)
	l.run(20 * time.Millisecond)
	if where(f, l.now, hostKey(1)) != a || len(l.told) != 1 || l.told[0].At != a || l.told[0].Other != b {
		t.Fatalf("behind %p, told %+v", where(f, l.now, hostKey(1)), l.told)
	}
	asked := l.asked
	f.Learn(l.now, hostKey(1), b)
	l.run(20 * time.Second)
	if where(f, l.now, hostKey(1)) != a || l.asked != asked {
		t.Error("it is not held there")
	}
}

// TestMovesDamped: with edges that cannot be asked the newest place is right, until the
// station has moved five times in 10 s: then it is where it was before that, for 30 s.
func TestMovesDamped(t *testing.T) {
	f, a, b := New[*testEdge](small), &testEdge{mute: true}, &testEdge{mute: true}
	now := int64(1)
	f.Learn(now, hostKey(1), a)
	for i, want := range []*testEdge{b, a, b, a, a, a} {
		now += int64(time.Second)
		to := b
		if i%2 == 1 {
			to = a
		}
		f.Learn(now, hostKey(1), to)
		if where(f, now, hostKey(1)) != want {
			t.Fatalf("move %d: it is behind the wrong edge", i+1)
		}
	}
	if told, _ := f.Told(); len(told) != 1 || told[0].At != a || told[0].Other != b {
		t.Errorf("told %+v", told)
	}
	f.Learn(now+holdTime-int64(3*time.Second), hostKey(1), b)
	if where(f, now+holdTime-int64(3*time.Second), hostKey(1)) != a {
		t.Error("it moved while it was held")
	}
	f.Learn(now+holdTime, hostKey(1), b)
	if where(f, now+holdTime, hostKey(1)) != b {
		t.Error("it is held for too long")
	}
	if c := f.Counters(); c.Damped != 1 || c.Moves != 5 {
		t.Errorf("%+v", c)
	}
	// Slow moves are none of a loop.
	for i := range 20 {
		now += int64(4 * time.Second)
		f.Learn(now+holdTime, hostKey(2), []*testEdge{a, b}[i%2])
	}
	if f.Counters().Damped != 1 {
		t.Error("slow moves were damped")
	}
}

// TestDoubt: a station that frames go to and that says nothing is asked about after 3 s,
// and forgotten if its edge has lost it.
func TestDoubt(t *testing.T) {
	for _, c := range []struct {
		what   string
		answer *Answer
		stays  bool
	}{
		{"lost", &Answer{}, false},
		{"asked for in vain", &Answer{Known: true, Polled: true, Ago: time.Hour}, false},
		{"heard", &Answer{Known: true, Since: true}, true},
		{"heard just before", &Answer{Known: true, Ago: time.Second}, true},
		{"silent, and nobody could ask", &Answer{Known: true, Ago: 10 * time.Second}, true},
		{"no answer", nil, false},
	} {
		f, a := New[*testEdge](small), new(testEdge)
		f.Learn(1, hostKey(1), a)
		l := &control{f: f, now: 1, hosts: func(Question[*testEdge]) *Answer {
			if c.answer == nil {
				return nil
			}
			answer := *c.answer
			return &answer
		}}
		var wakes int
		for l.now < int64(5*time.Second) {
			if _, at := f.Lookup(l.now, hostKey(1)); at == Silent && f.Doubt(l.now, hostKey(1)) {
				wakes++
			}
			l.run(10 * time.Millisecond)
		}
		if stays := where(f, l.now, hostKey(1)) == a; stays != c.stays || wakes != 1 || l.asked > askMost {
			t.Errorf("%s: stays %v, %d times woken, %d questions", c.what, stays, wakes, l.asked)
		}
	}
}

// TestAsk holds what an edge says about stations on its own side.
func TestAsk(t *testing.T) {
	const second = int64(time.Second)
	f, other := New[*testEdge](small), new(testEdge)
	ip := netip.MustParseAddr("192.0.2.7")
	f.Local(second, hostKey(1), ip)
	f.Local(second, hostKey(2), netip.Addr{})
	f.Learn(second, hostKey(3), other)
	now := 10 * second
	for n, want := range map[int]Answer{
		1: {Known: true, Ago: 9 * time.Second}, 2: {Known: true, Ago: 9 * time.Second}, 3: {}, 4: {},
	} {
		want.Key = hostKey(n)
		a, addr := f.Ask(now, hostKey(n), time.Second)
		if a != want || (addr == ip) != (n == 1) {
			t.Errorf("host %d: %+v, asks for %v", n, a, addr)
		}
	}
	if a, addr := f.Ask(now, hostKey(1), 10*time.Second); !a.Since || addr.IsValid() {
		t.Errorf("heard since: %+v, asks for %v", a, addr)
	}
	f.Polled(now, hostKey(1))
	if a, addr := f.Ask(now+second/10, hostKey(1), time.Second); a.Polled || addr.IsValid() {
		t.Errorf("asked for just now: %+v, again for %v", a, addr)
	}
	if a, _ := f.Ask(now+second/2, hostKey(1), time.Second); !a.Polled || a.Since {
		t.Errorf("asked for in vain: %+v", a)
	}
	f.Local(now+second/2+1, hostKey(1), netip.Addr{})
	if a, _ := f.Ask(now+second/2+2, hostKey(1), time.Second); a.Polled || !a.Since {
		t.Errorf("after it spoke: %+v", a)
	}
	// It is written down at once after a question, although it was a moment ago.
	f.Ask(now+second, hostKey(1), 0)
	f.Local(now+second+2, hostKey(1), netip.Addr{})
	if a, _ := f.Ask(now+second+3, hostKey(1), time.Millisecond); !a.Since || a.Ago != 1 {
		t.Errorf("not written down: %+v", a)
	}
	if a, _ := f.Ask(now+second+int64(Age)+3, hostKey(1), time.Hour); a.Known {
		t.Errorf("past its age: %+v", a)
	}
}

// TestClaimHere: frames of a station on our own side are not delivered from elsewhere
// until it has left.
func TestClaimHere(t *testing.T) {
	f, b := New[*testEdge](small), new(testEdge)
	f.Local(1, hostKey(1), netip.MustParseAddr("192.0.2.7"))
	if v := f.Learn(2, hostKey(1), b); v != (Verdict{Drop: true, Wake: true}) {
		t.Fatalf("%+v", v)
	}
	if v := f.Learn(3, hostKey(1), b); v != (Verdict{Drop: true}) {
		t.Fatalf("%+v while it is asked for", v)
	}
	l := &control{f: f, now: 3, hosts: func(q Question[*testEdge]) *Answer { return nil }}
	l.hosts = func(q Question[*testEdge]) *Answer {
		a, addr := f.Ask(l.now, q.Key, q.Since)
		if addr.IsValid() {
			f.Polled(l.now, q.Key)
		}
		return &a
	}
	l.run(400 * time.Millisecond)
	if len(l.left) != 1 || l.left[0] != hostKey(1) || where(f, l.now, hostKey(1)) != b {
		t.Errorf("left %v, behind %p", l.left, where(f, l.now, hostKey(1)))
	}
	if v := f.Learn(l.now, hostKey(1), b); v != (Verdict{}) {
		t.Errorf("%+v after it left", v)
	}
}

// TestClaimBounds: one edge that claims everything has few of its claims asked about,
// and another one all of its own.
func TestClaimBounds(t *testing.T) {
	f, a, bad, good := New[*testEdge](DefaultSize), new(testEdge), new(testEdge), new(testEdge)
	for n := range 8000 {
		f.Learn(1, hostKey(n), a)
	}
	now := int64(2)
	for range 10 {
		for n := range 7000 {
			f.Learn(now, hostKey(n), bad)
		}
		now += int64(100 * time.Millisecond)
	}
	if n := len(f.claims); n < 200 || n > 220 {
		t.Errorf("%d claims of one edge are asked about", n)
	}
	if v := f.Learn(now, hostKey(7500), good); !v.Wake || f.claims[hostKey(7500)] == nil {
		t.Errorf("an honest claim: %+v", v)
	}
	if f.Counters().Unasked == 0 || f.Hosts(a) != 8000 {
		t.Errorf("%+v, %d hosts", f.Counters(), f.Hosts(a))
	}
}

// TestAnswersUnasked: an answer to no question, or of somebody else, does nothing.
func TestAnswersUnasked(t *testing.T) {
	f, a, b := New[*testEdge](small), new(testEdge), new(testEdge)
	f.Learn(1, hostKey(1), a)
	f.Answered(1, a, Answer{Key: hostKey(1)})
	f.Learn(1, hostKey(1), b)
	f.Answered(1, a, Answer{Key: hostKey(1)}) // it was not asked yet
	list, _ := f.Due(1)
	f.Answered(1, b, Answer{Key: hostKey(1), Seq: list[0].Seq})
	f.Answered(1, a, Answer{Key: hostKey(1), Seq: list[0].Seq + 1})
	f.Answered(1, a, Answer{Key: hostKey(1), Seq: list[0].Seq - 1})
	if where(f, 1, hostKey(1)) != a || f.Counters().Unmatched != 5 {
		t.Errorf("%+v", f.Counters())
	}
	f.Answered(1, a, Answer{Key: hostKey(1), Seq: list[0].Seq})
	if where(f, 1, hostKey(1)) != b {
		t.Error("the true answer does nothing")
	}
}

// TestHostileBounds has random edges do whatever they like. No table grows past its
// bound, and what is counted is what is there.
func TestHostileBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	f := New[*testEdge](small)
	edges := []*testEdge{nil, {}, {}, {mute: true}, {mute: true}, {}}
	now := int64(1)
	for range 200_000 {
		now += r.Int64N(int64(20 * time.Millisecond))
		key, edge := hostKey(r.IntN(100)), edges[r.IntN(len(edges))]
		switch r.IntN(8) {
		case 0:
			f.Due(now)
		case 1:
			f.Answered(now, edge, Answer{Key: key, Seq: f.seq - uint32(r.IntN(3)), Known: r.IntN(2) == 0, Since: r.IntN(2) == 0, Polled: r.IntN(2) == 0})
		case 2:
			f.Doubt(now, key)
		case 3:
			f.Ask(now, key, time.Duration(r.Int64N(int64(time.Minute))))
			f.Polled(now, key)
		default:
			f.Learn(now, key, edge)
		}
		if r.IntN(5000) == 0 {
			f.Sweep(now)
			f.Told()
		}
		if r.IntN(20000) == 0 {
			f.Handover(edge, edges[r.IntN(len(edges))])
		}
	}
	total := 0
	for _, e := range edges {
		if n := f.Hosts(e); n > small.Behind {
			t.Errorf("%d stations behind one edge", n)
		} else {
			total += n
		}
	}
	if total != len(f.entries) || len(f.contests) > maxContests || len(f.claims) > 100 || len(f.histories) > 100 {
		t.Errorf("%d stations, %d entries, %d contests, %d claims", total, len(f.entries), len(f.contests), len(f.claims))
	}
}
