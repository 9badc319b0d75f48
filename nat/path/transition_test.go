package path

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/nat/address"
)

// story drives a path through a scenario and writes its transitions down.
type story struct {
	p       *Machine
	now     time.Time
	silent  bool                             // no frames go
	rtt     map[netip.AddrPort]time.Duration // of the addresses that answer
	carries int                              // the largest padding that comes back, 0 for any
	pongs   []pong
	got     []string
}

// pong is an answer under way.
type pong struct {
	at    time.Time
	probe Probe
}

func newStory() *story {
	return &story{p: newTestPath(), now: epoch, rtt: map[netip.AddrPort]time.Duration{}}
}

// run lets some time pass.
func (s *story) run(d time.Duration) {
	const step = 5 * time.Millisecond
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(step) {
		if !s.silent {
			s.p.Used(s.now)
		}
		for len(s.pongs) > 0 && !s.pongs[0].at.After(s.now) {
			s.p.Pong(s.now, s.pongs[0].probe.Nonce, s.pongs[0].probe.To, at("198.51.100.9:4000"))
			s.pongs = s.pongs[1:]
		}
		s.poll()
	}
}

func (s *story) poll() {
	out := s.p.Poll(s.now)
	for _, t := range out.Transitions {
		s.got = append(s.got, t.From.String()+" > "+t.To.String()+": "+t.Why)
	}
	for _, x := range out.Probes {
		if rtt, ok := s.rtt[x.To]; ok && x.TTL == 0 && (s.carries == 0 || x.Pad <= s.carries) {
			s.pongs = append(s.pongs, pong{s.now.Add(rtt), x})
		}
	}
	slices.SortStableFunc(s.pongs, func(a, b pong) int { return a.at.Compare(b.at) })
}

// goDirect brings the story to a direct path and forgets how.
func (s *story) goDirect(a netip.AddrPort) {
	s.rtt[a] = 20 * time.Millisecond
	s.p.Used(s.now)
	s.p.SetCandidates(s.now, 1, []address.Candidate{{Kind: address.KindHost, Addr: a}})
	s.run(time.Second)
	s.got = nil
}

// fail brings the story to a failed attempt and forgets how.
func (s *story) fail() {
	s.p.Used(s.now)
	s.p.SetCandidates(s.now, 1, []address.Candidate{{Kind: address.KindHost, Addr: at("203.0.113.1:4000")}})
	s.run(2 * time.Second)
	s.got = nil
}

// TestTransitions wants every scenario told as the log would tell it. A line of what
// is wanted is the beginning of what is told.
func TestTransitions(t *testing.T) {
	host, second := at("203.0.113.1:4000"), at("192.168.1.2:4000")
	list := func(kind address.CandidateKind, a ...netip.AddrPort) (l []address.Candidate) {
		for _, a := range a {
			l = append(l, address.Candidate{Kind: kind, Addr: a})
		}
		return l
	}
	hard := address.Pattern{Mapping: address.MappingAddressAndPortDependent, Ports: []uint16{5000, 5001, 5002}}
	easy := address.Pattern{Mapping: address.MappingEndpointIndependent}
	for _, c := range []struct {
		name string
		do   func(s *story)
		want []string
	}{
		{"direct at once", func(s *story) {
			s.rtt[host] = 20 * time.Millisecond
			s.p.SetCandidates(s.now, 1, list(address.KindHost, host))
			s.run(10 * time.Second)
		}, []string{
			"idle > checking: there is traffic",
			"checking > nominated: 203.0.113.1:4000 (host) answered",
			"nominated > direct: 203.0.113.1:4000 (host) carries IP packets of 1445 bytes",
		}},
		{"nobody answers", func(s *story) {
			s.p.SetCandidates(s.now, 1, list(address.KindHost, host))
			s.run(4 * time.Second)
		}, []string{
			"idle > checking: there is traffic",
			"checking > waiting: none of the peer's 1 addresses answers: a firewall on either side, or UDP is blocked; next try in ",
			"waiting > checking: the wait is over",
		}},
		{"nothing may be tried", func(s *story) {
			s.p.SetCandidates(s.now, 1, list(address.KindHost, at("203.0.113.1:53"), at("127.0.0.1:4000")))
			s.run(2 * time.Second)
		}, []string{
			"idle > checking: there is traffic",
			"checking > waiting: the peer names no address that may be tried; next try in 2s; refused so far: reserved-address 1, forbidden-port 1",
		}},
		{"large packets get lost", func(s *story) {
			s.rtt[host], s.carries = 20*time.Millisecond, 1
			s.p.SetCandidates(s.now, 1, list(address.KindHost, host))
			s.run(2 * time.Second)
		}, []string{
			"idle > checking: there is traffic",
			"checking > nominated: 203.0.113.1:4000 (host) answered",
			"nominated > checking: 203.0.113.1:4000 (host) answers small packets, large ones get lost",
			"checking > waiting: small packets pass, large ones get lost on the path; next try in ",
		}},
		{"a path dies", func(s *story) {
			s.goDirect(host)
			s.run(15 * time.Second)
			delete(s.rtt, host)
			s.run(4 * time.Second)
		}, []string{
			"direct > suspect: 203.0.113.1:4000 (host) left a ping unanswered",
			"suspect > checking: 203.0.113.1:4000 (host) left too many pings in a row unanswered",
			"checking > waiting: none of the peer's 1 addresses answers",
		}},
		{"a path that dies young, twice", func(s *story) {
			for range 2 {
				s.goDirect(host)
				delete(s.rtt, host)
				s.run(1500 * time.Millisecond)
			}
		}, []string{
			"direct > suspect: 203.0.113.1:4000 (host) left a ping unanswered",
			"suspect > waiting: 203.0.113.1:4000 (host) left too many pings in a row unanswered",
		}},
		{"a ping is lost", func(s *story) {
			s.goDirect(host)
			delete(s.rtt, host)
			for len(s.got) == 0 {
				s.run(5 * time.Millisecond)
			}
			s.rtt[host] = 20 * time.Millisecond
			s.run(2 * time.Second)
		}, []string{
			"direct > suspect: 203.0.113.1:4000 (host) left a ping unanswered",
			"suspect > direct: 203.0.113.1:4000 (host) answers again",
		}},
		{"the system refuses", func(s *story) {
			s.goDirect(host)
			s.p.SendFailed(s.now, host)
			s.run(time.Second)
		}, []string{
			"direct > suspect: 203.0.113.1:4000 (host) cannot be sent to: the system or ICMP refuses",
			"suspect > direct: 203.0.113.1:4000 (host) answers again",
		}},
		{"the system refuses what is nominated", func(s *story) {
			s.rtt[host], s.carries = 20*time.Millisecond, 1
			s.p.SetCandidates(s.now, 1, list(address.KindHost, host))
			s.run(100 * time.Millisecond)
			s.p.SendFailed(s.now, host)
			s.run(100 * time.Millisecond)
		}, []string{
			"idle > checking: there is traffic",
			"checking > nominated: 203.0.113.1:4000 (host) answered",
			"nominated > checking: 203.0.113.1:4000 (host) cannot be sent to",
		}},
		{"less and less gets through", func(s *story) {
			s.goDirect(host)
			s.carries = 1000
			s.run(10 * time.Second)
		}, []string{
			"direct > checking: 203.0.113.1:4000 (host) carries small packets only",
			"checking > waiting: small packets pass, large ones get lost on the path; next try in 5s; refused so far: small-packets-only ",
			"waiting > checking: the wait is over",
		}},
		{"silence", func(s *story) {
			s.goDirect(host)
			s.silent = true
			s.run(keepFor + time.Second)
		}, []string{"direct > idle: no traffic for 10 minutes"}},
		{"silence without a direct path", func(s *story) {
			s.fail()
			s.silent = true
			s.run(2 * keepFor)
			s.got = s.got[len(s.got)-1:]
		}, []string{"waiting > idle: no traffic for 10 minutes"}},
		{"a better address", func(s *story) {
			s.goDirect(host)
			s.run(10 * time.Second)
			s.rtt[second] = time.Millisecond
			s.p.SetCandidates(s.now, 2, list(address.KindHost, host, second))
			s.run(2 * time.Second)
		}, []string{"direct > direct: 192.168.1.2:4000 (host) carries IP packets of 1445 bytes"}},
		{"a TURN server is the last resort", func(s *story) {
			s.rtt[host] = 20 * time.Millisecond
			s.p.SetCandidates(s.now, 1, list(address.KindTURN, host))
			s.run(2 * time.Second)
		}, []string{
			"idle > checking: there is traffic",
			"checking > nominated: 203.0.113.1:4000 (turn) answered, and nothing else did",
			"nominated > direct: 203.0.113.1:4000 (turn) carries IP packets of 1445 bytes",
		}},
		{"PUNCH", func(s *story) {
			s.silent = true
			s.p.Punch(s.now, host, 0)
			s.run(2 * time.Second)
		}, []string{
			"idle > checking: a supernode sent a PUNCH",
			"checking > idle: no traffic for 10 minutes",
		}},
		{"PUNCH during the wait", func(s *story) {
			s.fail()
			s.p.Punch(s.now, host, 0)
			s.run(time.Second)
		}, []string{"waiting > checking: a supernode sent a PUNCH"}},
		{"agreed with the peer", func(s *story) {
			s.fail()
			s.p.Agreed(s.now, s.now)
			s.run(time.Second)
		}, []string{"waiting > checking: the peer agreed to begin"}},
		{"new candidates", func(s *story) {
			s.fail()
			s.run(time.Second)
			s.now = s.now.Add(time.Minute)
			s.p.attempt.retry = s.now.Add(time.Minute)
			s.p.SetCandidates(s.now, 2, list(address.KindHost, second))
			s.run(time.Second)
		}, []string{"waiting > checking: the peer sent new candidates"}},
		{"met on the LAN", func(s *story) {
			s.run(2 * time.Second)
			s.got = nil
			s.p.Met(s.now, second)
			s.run(time.Second)
		}, []string{"waiting > checking: the peer was met on the LAN"}},
		{"the peer moved", func(s *story) {
			s.run(2 * time.Second)
			s.got = nil
			s.p.Received(s.now, second)
			s.run(time.Second)
		}, []string{"waiting > checking: a packet of the peer came from a new address"}},
		{"the peer sends", func(s *story) {
			s.fail()
			s.p.Received(s.now, host)
			s.run(time.Second)
		}, []string{"waiting > checking: 203.0.113.1:4000 (host) sends although no attempt runs"}},
		{"a technique", func(s *story) {
			s.p.Punch(s.now, host, 0)
			s.run(2500 * time.Millisecond)
			s.got = nil
			s.p.Arrange(s.now, s.now, easy, hard)
			s.run(300 * time.Millisecond)
		}, []string{"waiting > checking: the peer agreed to a technique for hard NATs"}},
		{"reset", func(s *story) {
			s.goDirect(host)
			s.p.Reset(s.now)
			s.run(10 * time.Millisecond)
		}, []string{"direct > checking: what was known of the path is void"}},
		{"reset of a path that is not used", func(s *story) {
			s.fail()
			s.now = s.now.Add(keepFor)
			s.p.Reset(s.now)
			s.poll()
		}, []string{"waiting > idle: what was known of the path is void"}},
		{"roaming", func(s *story) {
			s.goDirect(host)
			s.p.Roamed(s.now)
			s.run(100 * time.Millisecond)
		}, []string{
			"direct > suspect: addresses or routes of this host changed",
			"suspect > direct: 203.0.113.1:4000 (host) answers again",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStory()
			c.do(s)
			if len(s.got) != len(c.want) {
				t.Fatalf("told:\n%s", strings.Join(s.got, "\n"))
			}
			for i, want := range c.want {
				if !strings.HasPrefix(s.got[i], want) {
					t.Errorf("told:\n%s\nwant:\n%s", s.got[i], want)
				}
			}
		})
	}
}

// TestTransitionsAreComplete feeds paths 200 000 inputs in any order: the
// state that is reported is the one that is derived, after each of them.
func TestTransitionsAreComplete(t *testing.T) {
	seen := map[[2]State]int{}
	for seed := range uint64(1000) {
		random := rand.New(rand.NewPCG(seed, 1))
		m := newModel(t)
		m.seen = seen
		for range 200 {
			op := byte(random.Uint32())
			if random.Uint32()%2 == 0 { // mostly what a live path sees: traffic, answers, time
				op = []byte{3, 3, 3, 6, 11, 11}[random.IntN(6)]
			}
			m.step(op, byte(random.Uint32()))
			m.checkReported()
			if random.Uint32()%4 > 0 {
				m.poll()
			}
		}
	}
	if len(seen) < 16 {
		t.Errorf("only %d sorts of transitions: %v", len(seen), seen)
	}
}

// TestRefusals wants each reason counted where it arises.
func TestRefusals(t *testing.T) {
	host := at("203.0.113.1:4000")
	heavy := address.Pattern{Mapping: address.MappingAddressAndPortDependent, Ports: []uint16{50000, 2000, 33333}}
	easy := address.Pattern{Mapping: address.MappingEndpointIndependent}
	candidates := func(kind address.CandidateKind, a ...string) func(s *story) {
		return func(s *story) {
			var l []address.Candidate
			for _, a := range a {
				l = append(l, address.Candidate{Kind: kind, Addr: at(a)})
			}
			s.p.SetCandidates(s.now, 1, l)
		}
	}
	for name, do := range map[string]func(s *story){
		"unknown-kind 1":      candidates(99, "203.0.113.1:4000"),
		"invalid-address 1":   candidates(address.KindHost, "203.0.113.1:0"),
		"reserved-address 2":  candidates(address.KindHost, "127.0.0.1:4000", "[ff02::1]:4000"),
		"forbidden-port 1":    candidates(address.KindHost, "203.0.113.1:5060"),
		"side-address 1":      candidates(address.KindHost, "[100::1]:4000"),
		"overlay-address 1":   candidates(address.KindHost, "10.64.0.1:4000"),
		"supernode-address 1": candidates(address.KindHost, "198.51.100.1:7654"),
		"no-traffic 1":        candidates(address.KindHost, "203.0.113.1:4000"),
		"too-many-candidates 1": func(s *story) {
			s.run(time.Millisecond)
			candidates(address.KindHost, "203.0.113.1:4000", "203.0.113.2:4000", "203.0.113.3:4000", "203.0.113.4:4000", "203.0.113.5:4000",
				"203.0.113.6:4000", "203.0.113.7:4000", "203.0.113.8:4000", "203.0.113.9:4000")(s)
		},
		"back-off 1": func(s *story) {
			s.fail()
			candidates(address.KindHost, "203.0.113.2:4000")(s)
		},
		"unknown-address 3": func(s *story) {
			s.p.Pong(s.now, [8]byte{}, host, host)
			s.p.SendFailed(s.now, host)
			s.p.TooBig(s.now, host)
		},
		"unknown-nonce 1": func(s *story) {
			s.goDirect(host)
			s.p.Pong(s.now, [8]byte{1}, host, host)
		},
		"wrong-address 1": func(s *story) {
			s.p.Used(s.now)
			candidates(address.KindHost, "203.0.113.1:4000", "203.0.113.2:4000")(s)
			x := s.p.Poll(s.now).Probes[0]
			s.p.Pong(s.now, x.Nonce, at("203.0.113.2:4000"), host)
		},
		"not-seen 1":     func(s *story) { s.p.Arrange(s.now, s.now, easy, heavy) },
		"no-technique 1": func(s *story) { s.p.Punch(s.now, host, 0); s.p.Arrange(s.now, s.now, easy, easy) },
		"technique-rate 1": func(s *story) {
			s.p.prober.budget.Reserve(s.now, host.Addr(), probeRandom)
			s.p.Punch(s.now, host, 0)
			s.p.Arrange(s.now, s.now, easy, heavy)
			s.run(time.Second)
		},
		"technique-busy 1": func(s *story) {
			s.p.Punch(s.now, host, 0)
			s.p.Arrange(s.now, s.now, easy, heavy)
			s.p.Arrange(s.now, s.now, easy, heavy)
		},
		"technique-wait 1": func(s *story) {
			s.p.Punch(s.now, host, 0)
			s.p.hardNAT.retry = s.now.Add(time.Minute)
			s.p.Arrange(s.now, s.now, easy, heavy)
		},
		"enough-hits 1": func(s *story) {
			s.p.Punch(s.now, host, 0)
			s.p.Arrange(s.now, s.now, easy, heavy)
			s.run(400 * time.Millisecond)
			for _, a := range []string{"203.0.113.1:5001", "203.0.113.1:5002", "203.0.113.1:5003"} {
				s.p.Received(s.now, at(a))
			}
		},
		"over-address-rate": func(s *story) {
			for range address.BurstPerAddress {
				s.p.prober.budget.Spend(s.now, host.Addr(), 77, address.Answered)
			}
			s.fail()
		},
	} {
		s := newStory()
		s.p.prober.policy.Side = sidePrefix
		s.p.prober.policy.Forbidden = []netip.Prefix{netip.MustParsePrefix("10.64.0.0/20")}
		s.p.prober.policy.Supernodes = []netip.AddrPort{at("198.51.100.1:7654")}
		do(s)
		l := s.p.Refusals()
		if got := l.String(); !strings.HasPrefix(got, name) {
			t.Errorf("%s: refused %q", name, got)
		}
	}
	for r := Refusal(1); r < refusalEnd; r++ {
		if s := r.String(); s == "" || s == "unknown" || s == "allowed" {
			t.Errorf("%d: %q", r, s)
		}
	}
	if refusalEnd.String() != "unknown" || Refusal(address.RefusalEnd).String() != "unknown-kind" {
		t.Error("the reasons overlap")
	}
}
