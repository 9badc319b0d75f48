package path

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"hedgerow/nat/nattest"
	"hedgerow/nat/pmtu"
)

// acrossPath runs f with two public edges that want to send full Ethernet frames,
// direct at first with what a path of that MTU carries, 0 for any.
func acrossPath(t *testing.T, mtu int, f func(t *testing.T, w *world, limit func(mtu int))) {
	acrossPathBySeed(t, 7, mtu, f)
}

// acrossPathBySeed is acrossPath where losses follow a seed.
func acrossPathBySeed(t *testing.T, seed uint64, mtu int, f func(t *testing.T, w *world, limit func(mtu int))) {
	left, right := parse("203.0.113.1"), parse("203.0.113.2")
	meetBySeed(t, seed, public(left.String()), public(right.String()), func(t *testing.T, w *world) {
		limit := func(mtu int) { w.net.SetPathMTU(left, right, mtu) }
		limit(mtu)
		for _, e := range w.edges {
			e.do(func() { e.policy.Payload = pmtu.Ethernet - overhead4 })
		}
		w.exchange(1)
		f(t, w, limit)
	})
}

// murmur is talk with little to say: a frame every half second.
func (w *world) murmur(first uint32, d time.Duration) (next uint32) {
	for end := time.Now().Add(d); time.Now().Before(end); first++ {
		w.edges[0].frame(first)
		w.edges[1].frame(first)
		time.Sleep(500 * time.Millisecond)
	}
	return first
}

// firstMTU returns what the path carried when it first was direct, 0 if it never
// was.
func (e *edge) firstMTU() (mtu int) {
	e.do(func() {
		for _, h := range e.history {
			if h.route.State == StateDirect {
				mtu = h.route.MTU
				return
			}
		}
	})
	return mtu
}

// fell returns when a route's size was first below one after a time.
func (e *edge) fell(size int, after time.Time) (took time.Duration, ok bool) {
	e.do(func() {
		for _, h := range e.history {
			if h.route.MTU > 0 && h.route.MTU < size && h.at.After(after) {
				took, ok = h.at.Sub(after), true
				return
			}
		}
	})
	return took, ok
}

// count returns how often an edge's route was in a state after a time.
func (e *edge) count(s State, after time.Time) (n int) {
	e.do(func() {
		for _, h := range e.history {
			if h.route.State == s && h.at.After(after) {
				n++
			}
		}
	})
	return n
}

// Paths of every kind are in use at once with what the first pings showed, and
// then with all that they carry.
func TestPathSizeFound(t *testing.T) {
	for mtu, want := range map[int][2]int{
		9000: {1500, 1500}, 1500: {1500, 1500}, 1492: {1420, 1492}, 1420: {1420, 1420},
		1372: {1280, 1372}, 1300: {1280, 1300}, 1284: {1280, 1280},
	} {
		acrossPath(t, mtu, func(t *testing.T, w *world, _ func(int)) {
			start := time.Now()
			w.talk(0, 10*time.Second)
			for _, e := range w.edges {
				took, ok := e.first(StateDirect, start)
				if r := e.route(); !ok || took > time.Second || e.firstMTU() != want[0] || r.MTU != want[1] {
					t.Errorf("MTU %d, edge %d: direct after %v with %d, then %+v", mtu, e.number, took, e.firstMTU(), r)
				}
			}
		})
	}
}

// A path begins to swallow what is large, in any phase of its heartbeats. That is
// noticed within 3 s, the path is never in doubt, and no small frame is lost.
func TestPathBlackHole(t *testing.T) {
	for phase := time.Duration(0); phase < 2*time.Second; phase += 310 * time.Millisecond {
		acrossPath(t, 0, func(t *testing.T, w *world, limit func(int)) {
			next := w.talk(0, 10*time.Second+phase)
			began := time.Now()
			limit(1372)
			w.talk(next, 10*time.Second)
			for _, e := range w.edges {
				if took, ok := e.fell(1373, began); !ok || took > 3*time.Second {
					t.Errorf("edge %d: noticed %v after %v", e.number, ok, took)
				}
				if r := e.route(); r.MTU != 1372 || e.count(StateSuspect, began) > 0 {
					t.Errorf("edge %d: %d times in doubt, %+v", e.number, e.count(StateSuspect, began), r)
				}
			}
			checkFrames(t, w, 0)
		})
	}
}

// All of a path that has healed is used again after the raise timer, whatever
// was found first.
func TestPathHeals(t *testing.T) {
	acrossPath(t, 1372, func(t *testing.T, w *world, limit func(int)) {
		next := w.talk(0, 10*time.Second)
		limit(0)
		next = w.murmur(next, pmtu.RaiseTimer-20*time.Second)
		if r := w.edges[0].route(); r.MTU != 1372 {
			t.Errorf("searched too early: %+v", r)
		}
		w.talk(next, 20*time.Second)
		for _, e := range w.edges {
			if r := e.route(); r.MTU != 1500 {
				t.Errorf("edge %d does not use the healed path: %+v", e.number, r)
			}
		}
	})
}

// A reset lets all of a healed path be used at once.
func TestPathResetFindsSize(t *testing.T) {
	acrossPath(t, 1300, func(t *testing.T, w *world, limit func(int)) {
		next := w.talk(0, 10*time.Second)
		limit(0)
		e := w.edges[0]
		e.do(func() { e.path.Reset(time.Now()) })
		w.talk(next, time.Second)
		if r := e.route(); r.MTU != 1500 || r.State != StateDirect {
			t.Errorf("%+v", r)
		}
	})
}

// A path over which from some moment on only small packets pass is left for the
// relay, and used again when it heals. One on which nothing passes is left
// within 2 s, as ever, whatever its size.
func TestPathCarriesTooLittle(t *testing.T) {
	acrossPath(t, 0, func(t *testing.T, w *world, limit func(int)) {
		next := w.talk(0, 10*time.Second)
		began := time.Now()
		limit(1000)
		next = w.talk(next, 10*time.Second)
		for _, e := range w.edges {
			if took, ok := e.first(StateChecking, began); !ok || took > 4*time.Second || e.route().Direct.IsValid() {
				t.Errorf("edge %d: left %v after %v: %+v", e.number, ok, took, e.route())
			}
		}
		limit(0)
		next = w.talk(next, time.Minute)
		if r := w.edges[0].route(); r.State != StateDirect || r.MTU != 1500 {
			t.Errorf("healed: %+v", r)
		}
		began = time.Now()
		limit(1)
		w.talk(next, 5*time.Second)
		for _, e := range w.edges {
			if took, ok := e.first(StateChecking, began); !ok || took > 2*time.Second {
				t.Errorf("edge %d: left the dead path %v after %v", e.number, ok, took)
			}
			if took, ok := e.fell(1500, began); ok {
				t.Errorf("edge %d took a dead path for a black hole after %v", e.number, took)
			}
		}
		checkFrames(t, w, 1300/20)
	})
}

// Mere loss hardly ever looks like a black hole: at 10 % each way once in some
// 80 minutes of an edge's traffic, for less than a second. The bound is that
// figure's and three standard deviations: 10 falls are expected here.
func TestPathLossKeepsSize(t *testing.T) {
	const seeds, most = 20, 20
	falls := 0
	for seed := range uint64(seeds) {
		falls += fallsByLoss(t, seed)
	}
	t.Logf("%d falls in %d minutes", falls, seeds*2*20)
	if falls > most {
		t.Errorf("more than %d falls", most)
	}
}

// fallsByLoss has two edges talk for 20 minutes and returns how often either of
// them took loss for a black hole.
func fallsByLoss(t *testing.T, seed uint64) (all int) {
	acrossPathBySeed(t, seed, 0, func(t *testing.T, w *world, _ func(int)) {
		next := w.talk(0, 10*time.Second)
		began := time.Now()
		w.net.SetLoss(0.1)
		w.murmur(next, 20*time.Minute)
		for _, e := range w.edges {
			falls, low := 0, time.Duration(0)
			e.do(func() {
				last := step{began, Route{MTU: 1500}}
				for _, h := range e.history {
					if h.at.Before(began) || h.route.MTU == 0 {
						continue
					}
					if last.route.MTU < 1500 {
						low += h.at.Sub(last.at)
					} else if h.route.MTU < 1500 {
						falls++
					}
					last = h
				}
			})
			all += falls
			if low > time.Second || e.route().Direct.IsValid() && e.route().MTU != 1500 {
				t.Errorf("seed %d, edge %d: %d falls, %v: %+v", seed, e.number, falls, low, e.route())
			}
		}
	})
	return all
}

// Over a path that carries everything one large packet goes every 2 s, and
// without traffic none.
func TestPathProbesAreFew(t *testing.T) {
	acrossPath(t, 0, func(t *testing.T, w *world, _ func(int)) {
		next := w.talk(0, 10*time.Second)
		var large [2]atomic.Int64
		w.net.Tap(func(_, to netip.AddrPort, b []byte) {
			if b[0] == letterPing && len(b) > 1000 {
				large[to.Addr().As4()[3]&1].Add(1)
			}
		})
		w.talk(next, time.Minute)
		for i := range large {
			if n := large[i].Swap(0); n != 30 && n != 29 {
				t.Errorf("edge %d: %d large packets in a minute", i, n)
			}
		}
		time.Sleep(20 * time.Second)
		before := large[0].Load() + large[1].Load()
		time.Sleep(5 * time.Minute)
		if n := large[0].Load() + large[1].Load() - before; n > 0 {
			t.Errorf("%d large packets without traffic", n)
		}
		w.net.Tap(nil)
	})
}

// Behind NATs it is no different.
func TestPathBlackHoleBehindNATs(t *testing.T) {
	meet(t, behind("203.0.113.1", "192.168.1.2", nattest.PortRestricted), behind("203.0.113.2", "192.168.7.2", nattest.PortRestricted), func(t *testing.T, w *world) {
		w.net.SetPathMTU(parse("203.0.113.1"), parse("203.0.113.2"), 1300)
		w.exchange(1)
		w.talk(0, 10*time.Second)
		for _, e := range w.edges {
			if r := e.route(); r.MTU != 1300 {
				t.Errorf("edge %d: %+v", e.number, r)
			}
		}
		checkFrames(t, w, 0)
	})
}
