package bridge

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"hedgerow/protocol"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// segment is a LAN with bridges on it, in a time of its own.
type segment struct {
	*testing.T
	now     time.Time
	bridges []*Forwarder
	dead    []bool
	asleep  []bool
	hears   func(to, from int) bool // default: everybody does

	// both is how long two that hear each other, in either direction, passed frames at once.
	both  time.Duration
	quiet time.Duration // how long nobody passed frames
}

const step = 10 * time.Millisecond

// newSegment returns a segment with bridges of these priorities; identities count up.
func newSegment(t *testing.T, priorities ...uint16) *segment {
	s := &segment{T: t, now: noon, hears: func(int, int) bool { return true }}
	for _, p := range priorities {
		s.add(p)
	}
	return s
}

func (s *segment) add(priority uint16) {
	f := NewForwarder(protocol.ProbeRank{Priority: priority, ID: [32]byte{1, byte(len(s.bridges))}})
	f.Begin(s.now)
	s.bridges, s.dead, s.asleep = append(s.bridges, f), append(s.dead, false), append(s.asleep, false)
}

// run lets time pass.
func (s *segment) run(d time.Duration) {
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(step) {
		for settled := false; !settled; {
			settled = true
			for i := range s.bridges {
				settled = !s.poll(i) && settled
			}
		}
		s.measure()
	}
}

// poll does what is due at a bridge, and reports whether it sent a probe.
func (s *segment) poll(i int) bool {
	f := s.bridges[i]
	if s.dead[i] || s.asleep[i] {
		return false
	}
	if at := f.Deadline(s.now); at.IsZero() || at.After(s.now) {
		if _, ok := f.Probe(s.now); ok {
			s.Fatalf("bridge %d sends before its deadline", i)
		}
		return false
	}
	f.Tick(s.now)
	p, ok := f.Probe(s.now)
	if ok {
		s.deliver(i, p)
	}
	return ok
}

func (s *segment) deliver(from int, p protocol.Probe) {
	for to, f := range s.bridges {
		if to != from && !s.dead[to] && !s.asleep[to] && s.hears(to, from) {
			f.Hear(s.now, p)
		}
	}
}

func (s *segment) measure() {
	passing := s.passing()
	if len(passing) == 0 {
		s.quiet += step
	}
	for _, i := range passing {
		for _, j := range passing {
			if i < j && (s.hears(i, j) || s.hears(j, i)) {
				s.both += step
				return
			}
		}
	}
}

// passing returns the bridges that pass frames.
func (s *segment) passing() (list []int) {
	for i, f := range s.bridges {
		if state, _ := f.State(); state == Forwarding && !s.dead[i] && !s.asleep[i] {
			list = append(list, i)
		}
	}
	return list
}

func (s *segment) check(want ...int) {
	s.Helper()
	if got := s.passing(); !slices.Equal(got, want) {
		var states []string
		for _, f := range s.bridges {
			states = append(states, f.state.String())
		}
		s.Fatalf("bridges %v pass frames, want %v: %v", got, want, states)
	}
}

// atMost fails the test if two passed frames at once, or nobody, for longer.
func (s *segment) atMost(both, quiet time.Duration) {
	s.Helper()
	if s.both > both || s.quiet > quiet {
		s.Fatalf("two passed frames for %v, at most %v; nobody for %v, at most %v", s.both, both, s.quiet, quiet)
	}
	s.both, s.quiet = 0, 0
}

// TestAlone: a bridge that hears nobody listens, then passes frames.
func TestAlone(t *testing.T) {
	s := newSegment(t, 100)
	s.run(ListenFor - step)
	s.check()
	s.run(3 * step)
	s.check(0)
	s.run(time.Hour)
	s.check(0)
}

// TestFirst: of bridges that begin together the best one passes frames, and never two.
func TestFirst(t *testing.T) {
	for n := 2; n <= maxNeighbours; n++ {
		s := newSegment(t)
		for i := range n {
			s.add(uint16(200 - i))
		}
		s.run(10 * time.Second)
		s.check(n - 1)
		s.atMost(0, ListenFor+betterWait)
	}
	s := newSegment(t, 7, 7) // then the lower identity
	s.run(10 * time.Second)
	s.check(0)
}

// TestJoin: a better bridge takes over without a gap, a worse one stands by.
func TestJoin(t *testing.T) {
	s := newSegment(t, 100)
	s.run(5 * time.Second)
	s.atMost(0, ListenFor+step)
	s.add(200)
	s.run(5 * time.Second)
	s.check(0)
	s.atMost(0, 0)
	s.add(50)
	s.run(5 * time.Second)
	s.check(2)
	s.atMost(0, answerEvery+step)
	if n, ok := s.bridges[2].Succeeded(); !ok || n.Rank.ID != s.bridges[0].rank.ID {
		t.Errorf("it has succeeded %v %v", n.Rank, ok)
	}
	for _, i := range []int{0, 1} {
		if n, ok := s.bridges[i].Rival(); !ok || n.Rank.ID != s.bridges[2].rank.ID {
			t.Errorf("%d stands by for %v %v", i, n.Rank, ok)
		}
	}
}

// TestKilled: a forwarder that dies is succeeded by the best one left within 2 s, and
// takes over again when it is back.
func TestKilled(t *testing.T) {
	s := newSegment(t, 1, 2, 3)
	s.run(5 * time.Second)
	s.check(0)
	s.atMost(0, ListenFor+step)
	s.dead[0] = true
	s.run(5 * time.Second)
	s.check(1)
	s.atMost(0, 2*time.Second)
	s.dead[0] = false
	s.bridges[0] = NewForwarder(s.bridges[0].rank)
	s.bridges[0].Begin(s.now)
	s.run(5 * time.Second)
	s.check(0)
	s.atMost(0, answerEvery+step)
}

// TestFarewell: a forwarder that ends is succeeded at once, also where the others name it.
func TestFarewell(t *testing.T) {
	s := newSegment(t, 1, 2, 3)
	s.run(5 * time.Second)
	s.atMost(0, ListenFor+step)
	p, _ := s.bridges[0].Farewell(s.now)
	s.deliver(0, p)
	s.dead[0] = true
	s.run(5 * time.Second)
	s.check(1)
	s.atMost(0, step)
}

// TestCable: two segments become one, one bridge stands down within a probe's time; when
// they come apart both pass frames again within 2 s, and the one that did knows why.
func TestCable(t *testing.T) {
	s := newSegment(t, 1, 2)
	plugged := false
	s.hears = func(int, int) bool { return plugged }
	s.run(5 * time.Second)
	s.check(0, 1)
	s.atMost(0, ListenFor+step)
	for range 20 {
		plugged = true
		s.run(3700 * time.Millisecond)
		s.check(0)
		s.atMost(ProbeEvery, 0)
		vanished := s.bridges[0].Vanished()
		plugged = false
		s.run(2 * time.Second)
		s.check(0, 1)
		if s.bridges[0].Vanished() != vanished+1 {
			t.Error("the forwarder did not notice that the segment came apart")
		}
		s.atMost(0, 0)
	}
}

// TestOneWay: whoever hears the other stands by if that does not hear it.
func TestOneWay(t *testing.T) {
	for from := range 2 {
		s := newSegment(t, 1, 2)
		s.hears = func(_, by int) bool { return by == from }
		s.run(5 * time.Second)
		s.check(from)
		s.atMost(silentAfter+ProbeEvery, ListenFor+step)
		s.run(time.Minute)
		s.check(from)
		s.atMost(0, 0)
		s.hears = func(int, int) bool { return true }
		s.run(2 * claimAgain)
		s.check(0)
		s.atMost(ProbeEvery, answerEvery+step)
	}
}

// TestInTheMiddle: two that do not hear each other, and one that hears both, have one
// forwarder.
func TestInTheMiddle(t *testing.T) {
	for middle := range 3 {
		s := newSegment(t, 1, 2, 3)
		s.hears = func(to, from int) bool { return to == middle || from == middle }
		s.run(20 * time.Second)
		if n := len(s.passing()); n != 1 {
			t.Errorf("with %d in the middle %v pass frames", middle, s.passing())
		}
		s.both = 0
		s.run(time.Minute)
		s.atMost(0, time.Hour)
	}
}

// TestSuspended: a forwarder that slept longer than it is waited for listens first.
func TestSuspended(t *testing.T) {
	s := newSegment(t, 1, 2)
	s.run(5 * time.Second)
	s.asleep[0] = true
	s.run(5 * time.Second)
	s.check(1)
	s.asleep[0] = false
	s.both, s.quiet = 0, 0
	s.run(step)
	s.check(1)
	s.run(5 * time.Second)
	s.check(0)
	s.atMost(0, answerEvery+step)
}

// TestIsolated: a forwarder that reaches no member leaves the segment to one that does.
func TestIsolated(t *testing.T) {
	s := newSegment(t, 1, 2)
	s.run(5 * time.Second)
	s.quiet = 0
	s.bridges[0].SetIsolated(s.now, true)
	s.run(2 * time.Second)
	s.check(1)
	s.bridges[1].SetIsolated(s.now, true)
	s.run(2 * time.Second)
	s.check(0)
	s.bridges[0].SetIsolated(s.now, false)
	s.bridges[1].SetIsolated(s.now, false)
	s.run(5 * time.Second)
	s.check(0)
	s.atMost(0, 4*answerEvery)
}

// TestAway: a bridge whose device is on no segment passes nothing, says nothing and hears
// nothing.
func TestAway(t *testing.T) {
	s := newSegment(t, 1, 2)
	s.run(5 * time.Second)
	s.bridges[0].Leave(s.now)
	s.run(2 * time.Second)
	s.check(1)
	if at := s.bridges[0].Deadline(s.now); !at.IsZero() || len(s.bridges[0].Neighbours(s.now)) != 0 {
		t.Error("it does something")
	}
	if _, ok := s.bridges[0].Farewell(s.now); ok {
		t.Error("it says farewell")
	}
	s.bridges[0].Begin(s.now)
	s.run(5 * time.Second)
	s.check(0)
}

// TestLostProbes: with every third probe lost there is one forwarder nearly all of the
// time.
func TestLostProbes(t *testing.T) {
	s := newSegment(t, 1, 2, 3)
	random := rand.New(rand.NewPCG(1, 2))
	s.hears = func(int, int) bool { return true }
	s.run(5 * time.Second)
	s.quiet = 0
	lossy := func(int, int) bool { return random.IntN(3) > 0 }
	for range 60000 { // ten minutes
		s.hears = lossy
		for i := range s.bridges {
			s.poll(i)
		}
		s.hears = func(int, int) bool { return true }
		s.measure()
		s.now = s.now.Add(step)
	}
	s.atMost(30*time.Second, 30*time.Second)
}

// TestManyNeighbours: with more bridges than are kept the best one forwards.
func TestManyNeighbours(t *testing.T) {
	s := newSegment(t)
	for i := range 3 * maxNeighbours {
		s.add(uint16(1000 - 7*i%31))
	}
	s.run(20 * time.Second)
	if n := len(s.passing()); n != 1 {
		t.Fatalf("%d pass frames", n)
	}
	for _, f := range s.bridges {
		if len(f.neighbours) > maxNeighbours {
			t.Fatalf("%d neighbours are kept", len(f.neighbours))
		}
	}
}

// TestAnyHistory: whatever happened, four seconds after a segment became whole exactly
// one bridge passes frames on it.
func TestAnyHistory(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		s := newSegment(t)
		for range 2 + random.IntN(4) {
			s.add(uint16(random.IntN(3)))
		}
		n := len(s.bridges)
		for range 12 {
			s.disturb(random, n)
			s.run(time.Duration(random.IntN(300)) * step)
		}
		s.hears = func(int, int) bool { return true }
		for i := range s.bridges {
			s.dead[i], s.asleep[i] = false, false
			s.bridges[i].SetIsolated(s.now, false)
		}
		s.run(claimAgain + 4*time.Second)
		best := 0
		for i := range s.bridges {
			if Compare(s.bridges[i].rank, s.bridges[best].rank) < 0 {
				best = i
			}
		}
		s.check(best)
		s.both, s.quiet = 0, 0
		s.run(10 * time.Second)
		s.atMost(0, 0)
	}
}

// disturb changes something.
func (s *segment) disturb(random *rand.Rand, n int) {
	i := random.IntN(n)
	switch random.IntN(6) {
	case 0:
		s.dead[i] = true
	case 1:
		s.dead[i] = false
		s.bridges[i] = NewForwarder(s.bridges[i].rank)
		s.bridges[i].Begin(s.now)
	case 2:
		s.asleep[i] = !s.asleep[i]
	case 3:
		s.bridges[i].SetIsolated(s.now, random.IntN(2) == 0)
	case 4:
		s.hears = func(int, int) bool { return true }
	case 5:
		heard := make([]bool, n*n)
		for k := range heard {
			heard[k] = random.IntN(3) > 0
		}
		s.hears = func(to, from int) bool { return heard[to*n+from] }
	}
}
