package netcheck

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/nat/portmap"
	"hedgerow/nat/stun"
)

// inBubble runs a test with an internet and two supernodes on it.
func inBubble(t *testing.T, f func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.end()
		w.server(superAddr, superAddr6)
		w.server(otherAddr)
		f(t, w)
	})
}

// Every kind of NAT: what is found, and what is said about it.
func TestBehaviors(t *testing.T) {
	symmetric := func(b nattest.Behavior) nattest.Behavior {
		b.Mapping, b.Filtering = nattest.AddressAndPortDependentMapping, nattest.AddressAndPortDependentFiltering
		return b
	}
	const (
		independent = "endpoint-independent"
		address     = "address-dependent"
		both        = "address-and-port-dependent"
		most        = "the NAT keeps one port: direct paths should work with most peers"
		every       = "the NAT keeps one port and lets others in: direct paths should work with every peer whose UDP is not blocked"
		keeping     = "the NAT gives every destination another port: direct paths with peers whose NAT keeps one port, by relay with the others"
	)
	for _, tt := range []struct {
		name                                      string
		router                                    nattest.Behavior
		mapping, filtering, ports, hairpin, words string
	}{
		{"full cone", nattest.FullCone, independent, control.FilteringOpen, control.PortsKept, "no", every},
		{"restricted", nattest.Behavior{Filtering: nattest.AddressDependentFiltering, RandomPorts: true}, independent, control.FilteringOpen, control.PortsRandom, "no", every},
		{"port-restricted", nattest.PortRestricted, independent, both, control.PortsKept, "no", most},
		{"open input", nattest.Behavior{Filtering: nattest.AddressAndPortDependentFiltering, PortPreserving: true, OpenInput: true}, independent, both, control.PortsKept, "no", most},
		{"hairpin", nattest.Behavior{Filtering: nattest.AddressAndPortDependentFiltering, PortPreserving: true, Hairpin: true}, independent, both, control.PortsKept, "yes", most},
		{"address-dependent", nattest.Behavior{Mapping: nattest.AddressDependentMapping, Filtering: nattest.AddressAndPortDependentFiltering, RandomPorts: true},
			address, both, control.PortsRandom, "", keeping},
		{"symmetric", nattest.Symmetric, both, both, control.PortsRandom, "", keeping},
		{"symmetric, in a block", symmetric(nattest.Behavior{RandomPorts: true, Block: 512}), both, both, control.PortsBlock, "", keeping},
		{"symmetric, in sequence", symmetric(nattest.Behavior{}), both, both, control.PortsSequential, "",
			"the NAT gives every destination another port, in sequence: direct paths with most peers, by relay where the other NAT chooses at random"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				r := w.check(w.net.Router(homeAddr, tt.router).Host(insideAddr), superAddr, otherAddr)
				n := r.NAT
				if n == nil || !n.Present {
					t.Fatalf("no NAT: %+v", r)
				}
				hairpin := map[bool]string{true: "yes", false: "no"}
				got := ""
				if n.Hairpin != nil {
					got = hairpin[*n.Hairpin]
				}
				if n.Mapping != tt.mapping || n.Filtering != tt.filtering || n.Ports != tt.ports || got != tt.hairpin {
					t.Errorf("%+v, hairpin %q", n, got)
				}
				if r.Verdict != tt.words {
					t.Errorf("%q", r.Verdict)
				}
				if hard := tt.mapping != independent; hard != slices.Contains(r.Advice, helpMapping) || hard != slices.Contains(r.Advice, helpIPv6) {
					t.Errorf("advice %q", r.Advice)
				}
				if public := r.IPv4.Public; len(public) != 1 || public[0] != homeAddr.String() || r.IPv4.Address != insideAddr.String() || r.IPv4.Interface != "sim0" {
					t.Errorf("%+v", r.IPv4)
				}
			})
		})
	}
}

// A host on the internet itself, with both families.
func TestPublicHost(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		own6 := netip.MustParseAddr("2001:db8::7")
		began := time.Now()
		r := w.check(w.net.Host(homeAddr, own6), superAddr, superAddr6)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if r.NAT == nil || r.NAT.Present || r.NAT.Hairpin != nil || r.NAT.Filtering != control.FilteringOpen || r.Verdict != "no NAT: direct paths with every peer whose UDP is not blocked" {
			t.Errorf("%+v, %q", r.NAT, r.Verdict)
		}
		if !slices.Equal(r.IPv6.Public, []string{own6.String()}) {
			t.Errorf("%+v", r.IPv6)
		}
		for _, s := range r.Servers {
			if len(s.UDP) != 1 || s.UDP[0].Sent != echoes || s.UDP[0].Lost != 0 || *s.UDP[0].RTTms != 10 || s.UDP[0].MTU != 1500 {
				t.Errorf("%s: %+v", s.Name, s.UDP)
			}
			if len(s.TLS) != 2 || s.TLS[0].Port != 443 || s.TLS[1].Port != superPort || *s.TLS[0].OpenMS != 30 {
				t.Errorf("%s: %+v", s.Name, s.TLS)
			}
		}
		if len(r.Advice) > 0 {
			t.Errorf("advice where none is needed: %q", r.Advice)
		}
	})
}

// One server shows at two ports what it can.
func TestOneServer(t *testing.T) {
	for name, tt := range map[string]struct {
		router  nattest.Behavior
		mapping string
		advice  bool
	}{
		"port-restricted": {nattest.PortRestricted, control.MappingOneServer, true},
		"symmetric":       {nattest.Symmetric, "address-and-port-dependent", false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				r := w.check(w.net.Router(homeAddr, tt.router).Host(insideAddr), superAddr)
				if r.NAT.Mapping != tt.mapping || slices.Contains(r.Advice, helpSTUN) != tt.advice {
					t.Errorf("%+v, %q", r.NAT, r.Advice)
				}
			})
		})
	}
}

// UDP that is blocked, and everything.
func TestBlocked(t *testing.T) {
	for _, tt := range []struct {
		streams error
		words   string
		help    string
	}{
		{nil, "UDP is blocked: everything goes by TLS through the supernode, and there are no direct paths", helpUDP},
		{errors.New("refused"), "no server answers, neither by UDP nor by TLS, so nothing can be said", helpServer},
	} {
		inBubble(t, func(t *testing.T, w *world) {
			w.net.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool { return true })
			w.streams = tt.streams
			began := time.Now()
			r := w.check(w.net.Router(homeAddr, nattest.PortRestricted).Host(insideAddr), superAddr, otherAddr)
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("it took %v", took)
			}
			if r.Verdict != tt.words || !slices.Equal(r.Advice, []string{tt.help}) || r.NAT != nil || r.Reachable() != (tt.streams == nil) {
				t.Errorf("%q, %q, %+v", r.Verdict, r.Advice, r.NAT)
			}
			if e := r.Servers[0].UDP[0]; e.Lost != e.Sent || e.RTTms != nil || e.MTU != 0 {
				t.Errorf("%+v", e)
			}
		})
	}
}

// The size of the path is found to four bytes, in both families.
func TestSize(t *testing.T) {
	for carries, want := range map[int]int{1500: 1500, 1492: 1492, 1427: 1424, 1300: 1300, 1283: 1280, 1279: 0} {
		inBubble(t, func(t *testing.T, w *world) {
			w.net.SetMTU(carries)
			r := w.check(w.net.Host(homeAddr, netip.MustParseAddr("2001:db8::7")), superAddr, superAddr6)
			for _, s := range r.Servers {
				if got := s.UDP[0].MTU; got != want {
					t.Errorf("%s: %d bytes pass, it says %d", s.Name, carries, got)
				}
			}
		})
	}
}

// Losses are counted, and hide nothing else.
func TestLoss(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		answers := map[netip.AddrPort]int{} // each server's third is lost, in whatever order they answer
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool {
			if from.Port() != superPort {
				return false
			}
			answers[from]++
			return answers[from]%3 == 2
		})
		r := w.check(w.net.Router(homeAddr, nattest.PortRestricted).Host(insideAddr), superAddr, otherAddr)
		for _, s := range r.Servers {
			if e := s.UDP[0]; e.Lost == 0 || e.Lost == e.Sent || e.RTTms == nil {
				t.Errorf("%+v", e)
			}
		}
		if r.NAT.Mapping != "endpoint-independent" || r.NAT.Filtering != control.FilteringClosed {
			t.Errorf("%+v", r.NAT)
		}
	})
}

// A name with two families, and one that nobody knows.
func TestNames(t *testing.T) {
	p := &probe{cfg: Config{Host: Host{Lookup: lookup}}}
	p.families[0].asker, p.families[1].asker = new(asker), new(asker)
	list, problem := p.targets(t.Context(), Server{Host: "both.example", Port: 1})
	if problem != "" || len(list) != 2 || !list[0].Addr().Is4() || !list[1].Addr().Is6() {
		t.Errorf("%v, %q", list, problem)
	}
	if _, problem := p.targets(t.Context(), Server{Host: "none.example", Port: 1}); !strings.Contains(problem, "no such host") {
		t.Errorf("%q", problem)
	}
	p.families[1].asker = nil
	if _, problem := p.targets(t.Context(), Server{Host: "2001:db8::1", Port: 1}); problem != "has no address of a family that this host has a route for" {
		t.Errorf("%q", problem)
	}
}

// A router that maps ports at our public address makes up for its NAT; one that
// is behind another does not.
func TestMapped(t *testing.T) {
	for external, helps := range map[string]bool{homeAddr.String(): true, "198.51.100.99": false} {
		inBubble(t, func(t *testing.T, w *world) {
			w.router = portmap.Report{Gateway: netip.MustParseAddr("192.168.1.1"), Answers: []portmap.Answer{
				{Protocol: portmap.PCP, Problem: "no router answers"},
				{Protocol: portmap.UPnP, Speaks: true, External: netip.AddrPortFrom(netip.MustParseAddr(external), 7777)},
			}}
			r := w.check(w.net.Router(homeAddr, nattest.Symmetric).Host(insideAddr), superAddr, otherAddr)
			const words = "the router maps a port by UPnP: direct paths with every peer whose UDP is not blocked"
			if got := r.Verdict == words; got != helps {
				t.Errorf("%s: %q", external, r.Verdict)
			}
			if m := r.PortMapping; m.Router != "192.168.1.1" || len(m.Protocols) != 2 || m.Protocols[1].External != external+":7777" {
				t.Errorf("%+v", m)
			}
		})
	}
}

// No server gets more than it answers.
func TestRate(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.net.SetMTU(1300) // the longest search for the size
		began := time.Now()
		var at []time.Duration
		w.net.Tap(func(_, to netip.AddrPort, _ []byte) {
			if to.Addr() == superAddr {
				at = append(at, time.Since(began))
			}
		})
		w.check(w.net.Router(homeAddr, nattest.PortRestricted).Host(insideAddr), superAddr)
		const rate = 64
		room, last := float64(rate), time.Duration(0)
		for _, now := range at {
			room = min(rate, room+rate*(now-last).Seconds()) - 1
			if last = now; room < 0 {
				t.Fatalf("too many of %d requests by %v", len(at), now)
			}
		}
		t.Logf("%d requests in %v", len(at), last)
	})
}

// With an obfuscation key all is found as without; without the key that the servers have
// nothing is asked, and it says so.
func TestObfuscated(t *testing.T) {
	for _, closed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.end()
			w.covered, w.closed = true, closed
			w.server(superAddr, superAddr6)
			w.net.SetMTU(1300)
			asked := 0
			w.net.Tap(func(_, _ netip.AddrPort, b []byte) {
				if asked++; stun.IsMessage(b) {
					t.Errorf("%x is not covered", b)
				}
			})
			r := w.check(w.net.Router(homeAddr, nattest.PortRestricted).Host(insideAddr), superAddr)
			if closed {
				if s := r.Servers[0]; asked > 0 || len(s.TLS) > 0 || !strings.Contains(s.Problem, "--obfs-key-file FILE") || r.Reachable() {
					t.Errorf("asked %d times: %+v", asked, s)
				}
				return
			}
			if r.NAT == nil || !strings.HasPrefix(r.NAT.Mapping, "endpoint-independent") || r.Servers[0].UDP[0].MTU != 1300 {
				t.Errorf("%+v, %+v", r.NAT, r.Servers)
			}
		})
	}
}
