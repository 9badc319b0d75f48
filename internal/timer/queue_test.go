package timer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// calls notes which timers were called.
type calls []string

func (c *calls) timer(q *Queue, name string) *Timer {
	t := New(q, name, func(time.Time) { *c = append(*c, name) })
	return &t
}

func (c *calls) check(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(*c, want) {
		t.Errorf("called were %v, not %v", *c, want)
	}
	*c = nil
}

func TestOrder(t *testing.T) {
	var q Queue
	var c calls
	a, b, d, e := c.timer(&q, "a"), c.timer(&q, "b"), c.timer(&q, "d"), c.timer(&q, "e")
	b.Set(at(2))
	d.Set(at(3))
	a.Set(at(2)) // at the same time, but set later
	e.Set(at(1))
	e.Set(at(9))
	if q.Len() != 4 || !q.Next().Equal(at(2)) || !e.At().Equal(at(9)) {
		t.Errorf("%d timers, the first at %v", q.Len(), q.Next())
	}
	q.Run(at(1))
	c.check(t)
	q.Run(at(3))
	c.check(t, "b", "a", "d")
	if a.IsSet() || !a.At().IsZero() || q.Len() != 1 {
		t.Error("a timer is set after its call")
	}
	e.Stop()
	e.Stop()
	q.Run(at(10))
	c.check(t)
	if !q.Next().IsZero() {
		t.Error("an empty queue has a deadline")
	}
}

func TestNotAfter(t *testing.T) {
	var q Queue
	var c calls
	x := c.timer(&q, "x")
	for _, s := range []struct{ at, want int }{{5, 5}, {7, 5}, {3, 3}} {
		if x.NotAfter(at(s.at)); !x.At().Equal(at(s.want)) {
			t.Errorf("not after %d: %v", s.at, x.At())
		}
	}
	x.Set(time.Time{})
	if x.IsSet() || q.Len() != 0 {
		t.Error("the zero time does not stop a timer")
	}
}

func TestZeroTimer(t *testing.T) {
	var x Timer
	x.Stop()
	if x.IsSet() || !x.At().IsZero() {
		t.Error("the zero timer is set")
	}
	panics(t, "Set of a timer without a queue", func() { x.Set(noon) })
}

func panics(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s does not panic", what)
		}
	}()
	f()
}

func TestRunWithinRun(t *testing.T) {
	var q Queue
	x := New(&q, "x", func(now time.Time) { panics(t, "Run within Run", func() { q.Run(now) }) })
	x.Set(noon)
	q.Run(noon)
}

// A timer that sets itself again is called once in each Run, however late the Run.
func TestRearming(t *testing.T) {
	var q Queue
	var times []time.Time
	var x Timer
	x = New(&q, "x", func(now time.Time) {
		times = append(times, now)
		x.Set(now.Add(10 * time.Second))
	})
	x.Set(at(0))
	for _, s := range []int{0, 5, 10, 47, 57} {
		q.Run(at(s))
	}
	if want := []time.Time{at(0), at(10), at(47), at(57)}; !slices.Equal(times, want) {
		t.Errorf("called at %v", times)
	}
}

// What a call makes due is called by the same Run; what was called already is
// called by the next one, and can still be moved and stopped.
func TestSetInsideCalls(t *testing.T) {
	var q Queue
	var c calls
	first, second := c.timer(&q, "first"), c.timer(&q, "second")
	third := New(&q, "third", func(now time.Time) {
		c = append(c, "third")
		first.Set(now)
		second.Set(now)
		if !q.Next().Equal(now) || q.Len() != 3 {
			t.Errorf("%d timers, next at %v", q.Len(), q.Next())
		}
	})
	fourth := New(&q, "fourth", func(now time.Time) {
		c = append(c, "fourth")
		first.Stop()
		second.Set(now.Add(-time.Second)) // still not in this Run
	})
	first.Set(at(1))
	second.Set(at(2))
	third.Set(at(3))
	fourth.Set(at(4))
	q.Run(at(4))
	c.check(t, "first", "second", "third", "fourth")
	q.Run(at(4))
	c.check(t, "second")
	if q.Len() != 0 {
		t.Errorf("%d timers are left", q.Len())
	}

	late := c.timer(&q, "late")
	maker := New(&q, "maker", func(now time.Time) {
		c = append(c, "maker")
		late.Set(now)
	})
	maker.Set(at(5))
	q.Run(at(6))
	c.check(t, "maker", "late")

	for _, again := range []time.Time{at(8), {}} { // parked, then moved to the future or stopped
		stopped := c.timer(&q, "stopped")
		ending := New(&q, "ending", func(now time.Time) {
			c = append(c, "ending")
			stopped.Set(now)
			stopped.Set(again)
		})
		stopped.Set(at(6))
		ending.Set(at(7))
		q.Run(at(7))
		c.check(t, "stopped", "ending")
		if !stopped.At().Equal(again) {
			t.Errorf("moved to %v", stopped.At())
		}
		q.Run(at(9))
		c = nil
	}
}

func TestStopInsideCall(t *testing.T) {
	var q Queue
	var c calls
	victim := c.timer(&q, "victim")
	var killer Timer
	killer = New(&q, "killer", func(time.Time) {
		c = append(c, "killer")
		victim.Stop()
		killer.Stop() // it is not set
	})
	killer.Set(at(1))
	victim.Set(at(1))
	q.Run(at(1))
	c.check(t, "killer")
}

func TestStrict(t *testing.T) {
	var q Queue
	var blamed calls
	q.Strict = func(name string) { blamed = append(blamed, name) }
	var spinning Timer
	spinning = New(&q, "spinning", func(now time.Time) { spinning.Set(now) })
	patient := New(&q, "patient", func(time.Time) {})
	waker := New(&q, "waker", func(now time.Time) {
		patient.Set(now) // another's timer may be due at once
	})
	spinning.Set(noon)
	waker.Set(noon)
	q.Run(noon)
	blamed.check(t, "spinning")
	if !q.Next().Equal(noon) {
		t.Error("what was asked for is not done")
	}
	spinning.Set(noon.Add(-time.Hour)) // outside of a call that is no fault
	blamed.check(t)
}

// Random operations give what the naive model gives.
func TestModel(t *testing.T) {
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { newModel(t, seed).run(2000) })
	}
}

// model is a list that is searched for whatever is asked.
type model struct {
	*testing.T
	random *rand.Rand
	q      Queue
	timers [20]Timer
	want   [20]time.Time
	order  [20]int // of setting
	set    int
	called [20]bool // in this Run
	now    time.Time
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{T: t, random: rand.New(rand.NewPCG(seed, 1)), now: noon}
	for i := range m.timers {
		m.timers[i] = New(&m.q, fmt.Sprint(i), func(now time.Time) { m.call(i, now) })
	}
	return m
}

func (m *model) run(n int) {
	for range n {
		switch m.random.IntN(5) {
		case 0:
			m.now = m.now.Add(time.Duration(m.random.IntN(8)) * time.Second)
			m.called = [20]bool{}
			m.q.Run(m.now)
			for i, at := range m.want {
				if !at.IsZero() && !at.After(m.now) && !m.called[i] {
					m.Fatalf("timer %d was due and not called", i)
				}
			}
		default:
			m.change()
		}
		m.check()
	}
}

// change sets, moves or stops a timer.
func (m *model) change() {
	i := m.random.IntN(len(m.timers))
	at := m.now.Add(time.Duration(m.random.IntN(30)-6) * time.Second)
	switch m.random.IntN(4) {
	case 0:
		m.timers[i].Stop()
		m.want[i] = time.Time{}
		return
	case 1:
		m.timers[i].NotAfter(at)
		if !m.want[i].IsZero() && !at.Before(m.want[i]) {
			return
		}
	default:
		m.timers[i].Set(at)
	}
	m.set++
	m.want[i], m.order[i] = at, m.set
}

// call is what every timer does: it was the first of those that may be called.
func (m *model) call(i int, now time.Time) {
	if m.called[i] || m.want[i].IsZero() || m.want[i].After(now) {
		m.Fatalf("timer %d was called at %v, set for %v", i, now, m.want[i])
	}
	for j, at := range m.want {
		if !at.IsZero() && !m.called[j] && (at.Before(m.want[i]) || at.Equal(m.want[i]) && m.order[j] < m.order[i]) {
			m.Fatalf("timer %d was called before %d", i, j)
		}
	}
	m.called[i], m.want[i] = true, time.Time{}
	for range m.random.IntN(3) {
		m.change()
	}
}

func (m *model) check() {
	var next time.Time
	n := 0
	for i, at := range m.want {
		if !m.timers[i].At().Equal(at) || m.timers[i].IsSet() == at.IsZero() {
			m.Fatalf("timer %d is set for %v, not %v", i, m.timers[i].At(), at)
		}
		if at.IsZero() {
			continue
		}
		n++
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if !m.q.Next().Equal(next) || m.q.Len() != n {
		m.Fatalf("%d timers, next at %v; expected %d and %v", m.q.Len(), m.q.Next(), n, next)
	}
}

func TestAllocs(t *testing.T) {
	var q Queue
	timers := make([]Timer, 1000)
	for i := range timers {
		timers[i] = New(&q, "x", func(time.Time) {})
		timers[i].Set(at(i))
	}
	k := 0
	if n := testing.AllocsPerRun(1000, func() {
		k++
		timers[k%1000].Set(at(k * 7 % 1000))
		q.Run(at(k % 10))
		timers[k%500].NotAfter(at(k % 300))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSet(b *testing.B) {
	for _, n := range []int{10, 300, 20000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var q Queue
			timers := make([]Timer, n)
			for i := range timers {
				timers[i] = New(&q, "x", func(time.Time) {})
				timers[i].Set(at(i))
			}
			b.ReportAllocs()
			for i := range b.N {
				timers[i%n].Set(at(i * 7919 % n))
			}
		})
	}
}
