package path

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hedgerow/nat/address"
)

// rationed is a source that counts what is drawn from it, and ends a test that draws
// without an end.
type rationed struct {
	rand.Source
	left int
}

func (r *rationed) Uint64() uint64 {
	if r.left--; r.left < 0 {
		panic("drawn too often")
	}
	return r.Source.Uint64()
}

// Whatever ports a peer names, a guess draws a port or two for each that it returns,
// and returns none that is never probed, and none twice.
func TestPortGuessEnds(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	never := []uint16{5060, 5061, 1719, 1720, 1701, 1900, 3478, 5353, 11211, 0, 1, 22, 80, 1023}
	lists := [][]uint16{{5060, 5061, 5060}, {5061, 5060, 5061}, {1720, 1719, 1720}, {80, 22, 80}, {1023, 1024, 1023}, {65535, 65534, 65535}, {0, 0, 0}, {5060, 5060, 5060}}
	for range 2000 {
		list := make([]uint16, 3+random.IntN(address.MaxPorts-2))
		near := uint16(random.Uint32())
		for i := range list {
			switch random.IntN(4) {
			case 0:
				list[i] = uint16(random.Uint32())
			case 1:
				list[i] = near + uint16(random.IntN(5))
			default:
				list[i] = never[random.IntN(len(never))]
			}
		}
		lists = append(lists, list)
	}
	for _, list := range lists {
		source := &rationed{Source: rand.NewPCG(1, 2), left: probeRandom + 16}
		ports := guessPorts(address.Pattern{Mapping: address.MappingAddressAndPortDependent, Ports: list}, &prober{random: source})
		rounds := make(map[uint16]int)
		for _, port := range ports {
			if rounds[port]++; !address.ProbeablePort(port) || rounds[port] > probeRounds {
				t.Fatalf("%v: port %d, %d times", list, port, rounds[port])
			}
		}
	}
}

// aimed is a member with some identities and a supernode that lies for it: whatever
// they may say they say to one edge, and nobody ever answers.
type aimed struct {
	random   *rand.Rand
	budget   *address.Budget
	paths    []*Machine
	victims  []netip.Addr
	punches  bool // the supernode lies, too
	now      time.Time
	toVictim map[netip.Addr]*spent
	byPath   map[*Machine]*spent
	all      spent
}

// spent is what was sent.
type spent struct{ packets, bytes, technique int }

func (s *spent) add(x Probe, technique bool) {
	if technique {
		s.technique++
		return
	}
	s.packets++
	s.bytes += testPingLen + x.Pad + ipOverhead(x.To)
}

func newAimed(seed uint64, identities, victims int, punches bool) *aimed {
	a := &aimed{
		random: rand.New(rand.NewPCG(seed, 1)), budget: address.NewBudget(), punches: punches, now: epoch,
		toVictim: make(map[netip.Addr]*spent), byPath: make(map[*Machine]*spent),
	}
	for i := range identities {
		p := New(testPolicy(), a.budget, rand.NewPCG(seed, uint64(i)))
		p.prober.policy.Side = sidePrefix
		a.paths = append(a.paths, p)
		a.byPath[p] = new(spent)
	}
	for i := range victims {
		v := netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)})
		if i%5 == 4 {
			v = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
		}
		a.victims = append(a.victims, v)
		a.toVictim[v] = new(spent)
	}
	return a
}

func (a *aimed) victim() netip.AddrPort {
	return netip.AddrPortFrom(a.victims[a.random.IntN(len(a.victims))], 1024+uint16(a.random.IntN(60000)))
}

// act says something, and counts what is sent for it.
func (a *aimed) act() {
	p := a.paths[a.random.IntN(len(a.paths))]
	p.Used(a.now)
	switch a.random.IntN(9) {
	case 0:
		list := make([]address.Candidate, 16)
		for i := range list {
			list[i] = address.Candidate{Kind: address.CandidateKind(1 + a.random.IntN(7)), Addr: a.victim()}
		}
		p.SetCandidates(a.now, a.random.Uint32(), list)
	case 1:
		p.Received(a.now, a.victim()) // its source is forged
	case 2:
		if a.punches {
			p.Punch(a.now, a.victim(), time.Duration(a.random.IntN(3000))*time.Millisecond)
		}
	case 3:
		p.Agreed(a.now, a.now.Add(time.Duration(a.random.IntN(1000))*time.Millisecond))
	case 4:
		ours, theirs := patterns[a.random.IntN(len(patterns))], patterns[a.random.IntN(len(patterns))]
		p.Arrange(a.now, a.now, ours, theirs)
	case 5:
		p.Met(a.now, a.victim())
	case 6:
		var nonce [8]byte // a guess, or that of the technique, which has gone elsewhere, too
		binary.BigEndian.PutUint64(nonce[:], a.random.Uint64())
		if a.random.IntN(2) == 0 {
			nonce = p.hardNAT.nonce
		}
		p.Pong(a.now, nonce, a.victim(), netip.AddrPort{})
	case 7:
		p.SendFailed(a.now, a.victim())
	case 8:
		p.Reset(a.now)
	}
	for _, p := range a.paths {
		for _, x := range p.Poll(a.now).Probes {
			technique := p.hardNAT.running() && x.Nonce == p.hardNAT.nonce
			a.toVictim[x.To.Addr()].add(x, technique)
			a.byPath[p].add(x, technique)
			a.all.add(x, technique)
		}
	}
}

// A member that names addresses of others, forges sources and invents identities, with
// or without a supernode that lies for it, makes an edge send no more than is stated:
// to one address, for one identity, and in all.
func TestProbesAtOthersAreBounded(t *testing.T) {
	const lasts = 20 * time.Minute
	seconds := lasts.Seconds()
	for _, c := range []struct {
		name                string
		identities, victims int
		punches             bool
		packets, technique  float64 // to one address
	}{
		{"a member", 1, 1, false, 30 + seconds/30, 0},
		{"many identities", 40, 1, false, 30 + seconds/30, 0},
		{"many victims", 40, 300, false, 30 + seconds/30, 0},
		{"a supernode, too", 1, 1, true, 240 + 30 + seconds/2 + seconds/30, 3072 + seconds*1024/600},
		{"a supernode and many identities", 40, 1, true, 240 + 30 + seconds/2 + seconds/30, 3072 + seconds*1024/600},
		{"a supernode and many victims", 40, 300, true, 240 + 30 + seconds/2 + seconds/30, 3072 + seconds*1024/600},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAimed(11, c.identities, c.victims, c.punches)
			for a.now.Before(epoch.Add(lasts)) {
				a.act()
				a.now = a.now.Add(time.Duration(a.random.IntN(200)) * time.Millisecond)
			}
			// What a technique opens is tried by five packets beyond the budget, two
			// addresses of each, which the technique has paid for.
			hits := float64(maxHits * len(fullAt))
			for v, s := range a.toVictim {
				if float64(s.packets) > c.packets+hits*(1+c.technique/16) || float64(s.technique) > c.technique || s.packets > 0 && s.bytes > 110*s.packets {
					t.Fatalf("to %v: %+v, want %.0f and %.0f", v, *s, c.packets, c.technique)
				}
			}
			for _, s := range a.byPath {
				if float64(s.packets) > 200+20*seconds {
					t.Fatalf("for one identity: %+v", *s)
				}
			}
			if s := &a.all; float64(s.packets) > 400+200*seconds || float64(s.technique) > 3000+1024+seconds*(100+1024./60) || s.packets == 0 {
				t.Fatalf("in all: %+v", *s)
			}
			t.Logf("in all: %+v", a.all)
		})
	}
}

// An answer to a technique proves nothing about an address: all its pings have one
// nonce, which a peer may repeat from a forged source.
func TestTechniqueAnswerProvesNothing(t *testing.T) {
	p := newTestPath()
	now, seen, victim := epoch, at("203.0.113.9:4000"), at("198.51.100.77:7777")
	p.Used(now)
	p.Punch(now, seen, 0)
	p.Arrange(now, now, patterns[0], patterns[3])
	for ; !p.hardNAT.begun.IsZero() && p.hardNAT.sent == 0; now = now.Add(burstEvery) {
		p.Poll(now)
	}
	if p.Pong(now, p.hardNAT.nonce, victim, seen) || p.Knows(victim) {
		t.Error("an answer counts that came from an address which was not asked")
	}
	hit := netip.AddrPortFrom(seen.Addr(), 41234)
	for range 5 {
		p.Pong(now, p.hardNAT.nonce, hit, seen)
	}
	if !p.Knows(hit) || p.Remotes().Proven(now, hit) {
		t.Error("what answered a technique is unknown, or proven")
	}
	sent := 0
	for end := now.Add(time.Minute); now.Before(end); now = now.Add(burstEvery) {
		p.Pong(now, p.hardNAT.nonce, hit, seen)
		for _, x := range p.Poll(now).Probes {
			if x.To == hit && x.Nonce != p.hardNAT.nonce {
				if sent++; x.Pad > 0 {
					t.Fatalf("a ping with %d bytes of padding to an address that has proved nothing", x.Pad)
				}
			}
		}
	}
	if sent == 0 || sent > 40 {
		t.Errorf("%d pings", sent)
	}
}
