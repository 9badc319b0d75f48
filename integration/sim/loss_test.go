package sim

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// lossy makes the way between the two edges, and no other, lose a share of what
// it is given.
func (s *sizes) lossy(share float64) {
	random := rand.New(rand.NewPCG(s.Net.Seed(), 17))
	between := func(a, b netip.Addr) bool {
		return a == routerAddr[0] && b == routerAddr[1] || a == routerAddr[1] && b == routerAddr[0]
	}
	s.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool {
		return between(from.Addr(), to.Addr()) && random.Float64() < share
	})
}

// avoids reports whether the left edge has a direct path and does not use it.
func (s *sizes) avoids(t *testing.T) bool {
	t.Helper()
	p := s.peer(t)
	return p.Path == control.PathRelay && strings.HasPrefix(p.Reason, "the direct path loses packets, ")
}

// until sends frames until the left edge avoids its direct path, or uses it, and
// returns how long that took, at most so long.
func (s *sizes) until(t *testing.T, f *Flow, avoided bool, most time.Duration) time.Duration {
	t.Helper()
	for began := time.Now(); ; f.For(time.Second, every) {
		if took := time.Since(began); s.avoids(t) == avoided || took >= most {
			return took
		}
	}
}

// A direct path that loses packets is left for a relay that does not, and taken
// again when it is good. Where both lose, the direct one stays.
func TestLossyPath(t *testing.T) {
	withSizes(t, nattest.PortRestricted, func(t *testing.T, s *sizes) {
		f := s.flow(s.right.MAC)
		f.For(before, every)
		s.lossy(0.15)
		took := s.until(t, f, true, 3*time.Minute)
		p := s.peer(t)
		if !s.avoids(t) || p.Loss == nil || *p.Loss != 0 {
			t.Errorf("after %v: %+v", took, p)
		}
		t.Logf("by relay after %v: %s", took, p.Reason)
		first := f.Len()
		f.For(20*time.Second, every)
		time.Sleep(time.Second)
		if lost := f.Lost(first, f.Len()); len(lost) > 0 {
			t.Errorf("lost %s by relay", brief(lost))
		}
		s.lossy(0)
		first = f.Len()
		took = s.until(t, f, false, 11*time.Minute)
		f.For(5*time.Second, every)
		time.Sleep(time.Second)
		if p := pathTo(t, s.left, s.right); p != control.PathDirect {
			t.Errorf("%s after %v of a good path", p, took)
		}
		if lost := f.Lost(first, f.Len()); len(lost) > 0 {
			t.Errorf("lost %s on the way back", brief(lost))
		}
		t.Logf("direct again after %v", took)
		if twice := f.Twice(); len(twice) > 0 {
			t.Errorf("delivered twice: %s", brief(twice))
		}
	})
	withSizes(t, nattest.PortRestricted, func(t *testing.T, s *sizes) {
		f := s.flow(s.right.MAC)
		f.For(before, every)
		// A ping by relay and its answer are four datagrams of which each may be lost: 41 % of
		// them come back, 20 in a row by chance in 1 of 20 000 runs.
		s.Net.SetLoss(0.2)
		if took := s.until(t, f, true, 20*time.Minute); took < 20*time.Minute {
			t.Errorf("a lossy path was left after %v for one that is no better", took)
		}
	})
}

// The supernode goes away while a direct path is avoided: that is used again within
// 3 s. The next ping over the relayed path follows within 1 s, and is missed after 1 s.
func TestLossyPathWithoutRelay(t *testing.T) {
	withSizes(t, nattest.PortRestricted, func(t *testing.T, s *sizes) {
		f := s.flow(s.right.MAC)
		f.For(before, every)
		s.lossy(0.15)
		if took := s.until(t, f, true, 3*time.Minute); took >= 3*time.Minute {
			t.Fatal("not avoided")
		}
		s.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool { // and the direct path is good
			return from.Addr() == supernodeAddr || to.Addr() == supernodeAddr
		})
		s.survives(t, f, 3*time.Second)
	})
}

// A direct path on which answers are late at times, as on a line that is used to
// the full, loses nothing and stays in use.
func TestLatePath(t *testing.T) {
	withSizes(t, nattest.PortRestricted, func(t *testing.T, s *sizes) {
		f := s.flow(s.right.MAC)
		f.For(before, every)
		for range 30 {
			s.Net.SetDelay(160 * time.Millisecond)
			f.For(2*time.Second, every)
			s.Net.SetDelay(5 * time.Millisecond)
			f.For(8*time.Second, every)
			p := s.peer(t)
			if p.Path != control.PathDirect || p.Loss == nil || *p.Loss != 0 {
				t.Fatalf("%+v", p)
			}
		}
	})
}
