package path

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/address"
	"hedgerow/nat/nattest"
)

// NATs that plain probes do not get through to each other.
var (
	byAddress = nattest.Behavior{Mapping: nattest.AddressDependentMapping, Filtering: nattest.AddressAndPortDependentFiltering, RandomPorts: true}
	inBlock   = nattest.Behavior{Mapping: nattest.AddressAndPortDependentMapping, Filtering: nattest.AddressAndPortDependentFiltering, RandomPorts: true, Block: 512}
	sequence  = nattest.Behavior{Mapping: nattest.AddressAndPortDependentMapping, Filtering: nattest.AddressAndPortDependentFiltering}
)

// mappingOf is what a classifier would say.
func mappingOf(b nattest.Behavior) address.MappingBehavior {
	return address.MappingEndpointIndependent + address.MappingBehavior(b.Mapping)
}

// meetHardNATs lets two edges behind NATs talk for some seconds, and returns when
// both were direct after the first frame.
func meetHardNATs(t *testing.T, seed uint64, left, right nattest.Behavior, f func(w *world, took time.Duration, ok bool)) {
	meetBySeed(t, seed, behind("203.0.113.1", "192.168.1.2", left), behind("203.0.113.2", "192.168.7.2", right), func(t *testing.T, w *world) {
		w.mapping = [2]address.MappingBehavior{mappingOf(left), mappingOf(right)}
		w.exchange(1)
		start := time.Now()
		w.talk(0, 4*time.Second)
		var worst time.Duration
		for _, e := range w.edges {
			took, ok := e.first(StateDirect, start)
			if !ok {
				f(w, 0, false)
				return
			}
			worst = max(worst, took)
		}
		f(w, worst, true)
	})
}

// Which pairs become direct within 3 s of the first frame, and by how many
// sockets and probes.
func TestHardNATTechniques(t *testing.T) {
	pairs := []struct {
		name        string
		left, right nattest.Behavior
		misses      int // of 40: a birthday has 1.7 % of them
		sockets     int // the most that an edge may have open
		probes      int // the most that an edge may send in the 4 s
	}{
		{"sequence, port-restricted", sequence, nattest.PortRestricted, 0, openSequential, 300},
		{"sequence, open input", sequence, openInput, 0, openSequential, 300},
		{"sequence, sequence", sequence, sequence, 0, openPredicted, 300},
		{"block, port-restricted", inBlock, nattest.PortRestricted, 0, openBlock, 400},
		{"by address, port-restricted", byAddress, nattest.PortRestricted, 2, openRandom, 1300},
		{"random, port-restricted", nattest.Symmetric, nattest.PortRestricted, 2, openRandom, 1300},
		{"random, open input", nattest.Symmetric, openInput, 2, openRandom, 1300},
		{"random, full cone", nattest.Symmetric, nattest.FullCone, 0, 0, 60},
	}
	for _, p := range pairs {
		t.Run(p.name, func(t *testing.T) {
			var worst, sum time.Duration
			missed := 0
			for seed := range uint64(40) {
				left, right := p.left, p.right
				if seed%2 == 1 {
					left, right = right, left
				}
				meetHardNATs(t, seed, left, right, func(w *world, took time.Duration, ok bool) {
					if !ok || took > 3*time.Second {
						missed++
						return
					}
					worst, sum = max(worst, took), sum+took
					for _, e := range w.edges {
						e.do(func() {
							if e.extra.most > p.sockets || e.probes > p.probes {
								t.Errorf("seed %d: edge %d had %d sockets and sent %d probes", seed, e.number, e.extra.most, e.probes)
							}
							if e.path.selection.exists() && e.path.Sockets() == 0 && len(e.extra.sockets) > maxLearnt {
								t.Errorf("edge %d keeps %d sockets", e.number, len(e.extra.sockets))
							}
						})
					}
				})
			}
			t.Logf("%d of 40 missed, mean %v, slowest %v", missed, sum/time.Duration(40-missed), worst)
			if missed > p.misses {
				t.Errorf("%d of 40 were not direct in time", missed)
			}
		})
	}
}

// Where no technique has a chance none is tried, and traffic stays on the relay.
func TestNoTechnique(t *testing.T) {
	for _, right := range []nattest.Behavior{nattest.Symmetric, inBlock, sequence} {
		meetHardNATs(t, 1, nattest.Symmetric, right, func(w *world, took time.Duration, ok bool) {
			if ok {
				t.Errorf("direct after %v", took)
			}
			for _, e := range w.edges {
				e.do(func() {
					if e.extra.most > 0 || e.probes > 120 {
						t.Errorf("edge %d opened %d sockets and sent %d probes", e.number, e.extra.most, e.probes)
					}
				})
			}
			checkFrames(t, w, 0)
		})
	}
}

// Techniques of hundreds of packets are rationed, over all paths of an edge and
// for each peer.
func TestHardNATRation(t *testing.T) {
	random := address.Pattern{Mapping: address.MappingAddressAndPortDependent, Ports: []uint16{50000, 2000, 33333, 61000, 12000}}
	easy := address.Pattern{Mapping: address.MappingEndpointIndependent}
	budget := address.NewBudget()
	seen := netip.MustParseAddrPort("203.0.113.9:4000")
	now := epoch
	begin := func(p *Machine) (packets int) {
		p.Used(now)
		p.Punch(now, seen, 0)
		p.Arrange(now, now, easy, random)
		for end := now.Add(4 * time.Second); now.Before(end); {
			for _, x := range p.Poll(now).Probes {
				if x.Nonce == p.hardNAT.nonce {
					packets++
				}
			}
			now = now.Add(10 * time.Millisecond)
		}
		return packets
	}
	path := func() *Machine {
		p := newTestPath()
		p.prober.budget = budget
		return p
	}
	first, second := path(), path()
	if n := begin(first); n != probeRandom {
		t.Errorf("the first sent %d", n)
	}
	if n := begin(second); n != 0 {
		t.Errorf("the second sent %d within the minute", n)
	}
	var sent []int
	for range 12 {
		now = now.Add(2 * time.Minute)
		sent = append(sent, min(1, begin(first)))
	}
	if want := []int{1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0}; fmt.Sprint(sent) != fmt.Sprint(want) {
		t.Errorf("attempts every two minutes: %v, want %v", sent, want)
	}
}

// Without a recent word of a supernode about where the peer is, nothing is
// probed at many ports, and only at the address that it named.
func TestProbesManyPortsOnlyWhereSeen(t *testing.T) {
	random := address.Pattern{Mapping: address.MappingAddressAndPortDependent, Ports: []uint16{50000, 2000, 33333, 61000, 12000}}
	synctest.Test(t, func(t *testing.T) {
		for _, age := range []time.Duration{0, seenLife} {
			p := newTestPath()
			now := epoch
			p.Used(now)
			p.Punch(now, netip.MustParseAddrPort("203.0.113.9:4000"), 0)
			p.SetCandidates(now, 1, []address.Candidate{{Kind: address.KindReflexive, Addr: netip.MustParseAddrPort("198.51.100.77:4000")}})
			now = now.Add(age)
			p.Used(now)
			p.Arrange(now, now, address.Pattern{Mapping: address.MappingEndpointIndependent}, random)
			sent := 0
			for range 1000 {
				for _, x := range p.Poll(now).Probes {
					if x.Nonce != p.hardNAT.nonce {
						continue
					}
					sent++
					if x.To.Addr() != netip.MustParseAddr("203.0.113.9") || x.To.Port() < address.LowestPort || !address.ProbeablePort(x.To.Port()) {
						t.Fatalf("to %v", x.To)
					}
				}
				now = now.Add(burstEvery)
			}
			if want := map[bool]int{true: probeRandom}[age == 0]; sent != want {
				t.Errorf("%v old: %d sent, want %d", age, sent, want)
			}
		}
	})
}
