package path

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/nat/address"
	"hedgerow/nat/nattest"
)

var (
	openInput = nattest.Behavior{Filtering: nattest.AddressAndPortDependentFiltering, PortPreserving: true, OpenInput: true}
	hairpin   = nattest.Behavior{Filtering: nattest.AddressAndPortDependentFiltering, PortPreserving: true, Hairpin: true}
)

// The pairs of NATs that simultaneous plain punching connects, and how fast.
func TestBecomesDirect(t *testing.T) {
	random := nattest.PortRestricted
	random.PortPreserving, random.RandomPorts = false, true
	for name, right := range map[string]func(n *nattest.Internet) *nattest.Host{
		"port-restricted":              behind("203.0.113.2", "192.168.1.2", nattest.PortRestricted),
		"port-restricted, other ports": behind("203.0.113.2", "192.168.1.2", random),
		"open input":                   behind("203.0.113.2", "192.168.1.2", openInput),
		"full cone":                    behind("203.0.113.2", "192.168.1.2", nattest.FullCone),
		"public":                       public("203.0.113.2"),
	} {
		for _, left := range []nattest.Behavior{nattest.PortRestricted, openInput} {
			t.Run(name, func(t *testing.T) {
				meet(t, behind("203.0.113.1", "192.168.1.2", left), right, func(t *testing.T, w *world) {
					start := time.Now()
					w.exchange(1)
					w.talk(0, 5*time.Second)
					for _, e := range w.edges {
						took, ok := e.first(StateDirect, start)
						if !ok || took > 700*time.Millisecond {
							t.Errorf("edge %d: direct %v after %v", e.number, ok, took)
						}
						if r := e.route(); r.Relay || r.Payload() != testPayload || !r.Seen.IsValid() || r.RTT != 10*time.Millisecond {
							t.Errorf("edge %d: %+v", e.number, r)
						}
					}
					checkFrames(t, w, 0)
				})
			})
		}
	}
}

// A NAT may give a peer any port, also one that is never probed on somebody's word:
// then the peer's own packets make the path, and primers let them in.
func TestPortThatIsNotProbed(t *testing.T) {
	const sip, system = 5060, 700
	for name, c := range map[string]struct{ left, right nattest.Behavior }{
		"for all destinations": {nattest.PortRestricted, nattest.Behavior{Filtering: nattest.AddressAndPortDependentFiltering, First: sip}},
		"for us":               {nattest.FullCone, nattest.Behavior{Mapping: nattest.AddressAndPortDependentMapping, Filtering: nattest.AddressAndPortDependentFiltering, First: system}},
		"for a fan":            {sequence, nattest.Behavior{Filtering: nattest.AddressAndPortDependentFiltering, First: sip}},
	} {
		t.Run(name, func(t *testing.T) {
			meetHardNATs(t, 7, c.left, c.right, func(w *world, took time.Duration, ok bool) {
				if !ok || took > 3*time.Second {
					t.Errorf("both direct: %v, after %v", ok, took)
				}
				w.edges[0].do(func() {
					if to := w.edges[0].path.Route().Direct; !sidePrefix.Contains(to.Addr()) && address.ProbeablePort(to.Port()) {
						t.Errorf("direct to %v", to)
					}
				})
			})
		})
	}
}

// checkFrames checks that every frame of one edge came to the other.
func checkFrames(t *testing.T, w *world, missing int) {
	t.Helper()
	time.Sleep(time.Second)
	for _, e := range w.edges {
		var lost, sent int
		e.do(func() {
			for n := range e.frames {
				sent = max(sent, int(n)+1)
			}
			lost = sent - len(e.frames)
		})
		if lost > missing {
			t.Errorf("edge %d: %d of %d frames never came", e.number, lost, sent)
		}
	}
}

// Without candidates, and even without a PUNCH, one side's knowledge is enough.
func TestPunchAlone(t *testing.T) {
	meet(t, behind("203.0.113.1", "192.168.1.2", nattest.PortRestricted), behind("203.0.113.2", "192.168.1.2", nattest.PortRestricted), func(t *testing.T, w *world) {
		start := time.Now()
		w.talk(0, 2*time.Second)
		for _, e := range w.edges {
			if took, ok := e.first(StateDirect, start); !ok || took > 500*time.Millisecond {
				t.Errorf("edge %d: %v after %v", e.number, ok, took)
			}
		}
	})
	meet(t, behind("203.0.113.1", "192.168.1.2", nattest.PortRestricted), behind("203.0.113.2", "192.168.1.2", nattest.PortRestricted), func(t *testing.T, w *world) {
		w.mute.Store(true)
		start := time.Now()
		w.exchange(1)
		w.talk(0, 3*time.Second)
		for _, e := range w.edges {
			if took, ok := e.first(StateDirect, start); !ok || took > 2*time.Second {
				t.Errorf("no PUNCH, edge %d: %v after %v", e.number, ok, took)
			}
		}
	})
}

// No full-TTL packet reaches the other router before 150 ms after T0.
func TestPrimerComesFirst(t *testing.T) {
	meet(t, behind("203.0.113.1", "192.168.1.2", nattest.PortRestricted), behind("203.0.113.2", "192.168.1.2", nattest.PortRestricted), func(t *testing.T, w *world) {
		type packet struct {
			at time.Duration
			n  int
		}
		var log []packet
		start := time.Now()
		e := w.edges[0]
		e.do(func() {
			e.path.SetCandidates(start, 1, []address.Candidate{{Kind: address.KindReflexive, Addr: netip.MustParseAddrPort("203.0.113.99:4000")}})
			e.path.Punch(start, netip.MustParseAddrPort("203.0.113.99:4000"), 100*time.Millisecond)
			for now := start; now.Before(start.Add(5 * time.Second)); now = e.path.Deadline() {
				for _, p := range e.path.Poll(now).Probes {
					log = append(log, packet{now.Sub(start), int(p.TTL)})
				}
				if e.path.Deadline().IsZero() {
					break
				}
			}
		})
		want := []packet{{100, 2}, {120, 3}, {140, 4}, {160, 5}, {250, 0}, {350, 0}, {450, 0}, {650, 0}, {1050, 0}}
		for i := range want {
			want[i].at *= time.Millisecond
		}
		if len(log) != len(want) {
			t.Fatalf("%v", log)
		}
		for i := range want {
			if log[i] != want[i] {
				t.Errorf("%d: %v, want %v", i, log[i], want[i])
			}
		}
	})
}

func TestSymmetricPairStaysOnRelay(t *testing.T) {
	meet(t, behind("203.0.113.1", "192.168.1.2", nattest.Symmetric), behind("203.0.113.2", "192.168.7.2", nattest.Symmetric), func(t *testing.T, w *world) {
		type visit struct {
			at time.Time
			to netip.Addr
		}
		var sent []visit
		w.net.Tap(func(from, to netip.AddrPort, b []byte) {
			if b[0] == letterPing {
				sent = append(sent, visit{time.Now(), to.Addr()})
			}
		})
		w.exchange(1)
		w.talk(0, 5*time.Minute)
		checkFrames(t, w, 0)
		for _, e := range w.edges {
			if r := e.route(); r.Direct.IsValid() || !r.Relay {
				t.Errorf("edge %d: %+v", e.number, r)
			}
			// Attempts at 0, 2, 7, 17, 47, 107 and 227 s (+-20 %), of which
			// those of either end are both ends'; 9 probes to the reflexive
			// address and 5 to the other's private one.
			if n := e.sent(); n < 4*14 || n > 18*14 {
				t.Errorf("edge %d: %d probes in 5 minutes", e.number, n)
			}
		}
		w.net.Tap(nil)
		for i, v := range sent {
			count := 0
			for _, u := range sent[i:] {
				if u.to == v.to && u.at.Sub(v.at) < 10*time.Second {
					count++
				}
			}
			if count > address.BurstPerAddress {
				t.Fatalf("%d datagrams to %v within 10 s", count, v.to)
			}
		}
	})
}

// One end's mapping is not the one that the supernode saw: the other learns it
// from the first packet that gets in.
func TestPeerReflexive(t *testing.T) {
	restricted := nattest.Behavior{Filtering: nattest.AddressDependentFiltering, PortPreserving: true}
	for name, right := range map[string]func(n *nattest.Internet) *nattest.Host{
		"full cone":          behind("203.0.113.2", "192.168.7.2", nattest.FullCone),
		"address-restricted": behind("203.0.113.2", "192.168.7.2", restricted),
		"public":             public("203.0.113.2"),
	} {
		t.Run(name, func(t *testing.T) {
			meet(t, behind("203.0.113.1", "192.168.1.2", nattest.Symmetric), right, func(t *testing.T, w *world) {
				start := time.Now()
				w.exchange(1)
				w.talk(0, 3*time.Second)
				for _, e := range w.edges {
					if took, ok := e.first(StateDirect, start); !ok || took > 700*time.Millisecond {
						t.Errorf("edge %d: %v after %v", e.number, ok, took)
					}
				}
				if r := w.edges[1].route(); r.Direct == w.address(0) || r.Direct.Addr() != w.address(0).Addr() {
					t.Errorf("%v, the supernode saw %v", r.Direct, w.address(0))
				}
				checkFrames(t, w, 0)
			})
		})
	}
}

// Two hosts of one LAN, and two behind one router that only see each other
// through it.
func TestSameRouter(t *testing.T) {
	var router *nattest.Router
	left := func(n *nattest.Internet) *nattest.Host {
		router = n.Router(parse("203.0.113.1"), nattest.PortRestricted)
		return router.Host(parse("192.168.1.2"))
	}
	right := func(*nattest.Internet) *nattest.Host { return router.Host(parse("192.168.1.3")) }
	meet(t, left, right, func(t *testing.T, w *world) {
		start := time.Now()
		w.exchange(1)
		w.talk(0, time.Second)
		for i, e := range w.edges {
			took, ok := e.first(StateDirect, start)
			if !ok || took > 50*time.Millisecond || e.route().Direct != w.edges[1-i].conn.LocalAddr() {
				t.Errorf("edge %d: %v after %v: %+v", i, ok, took, e.route())
			}
		}
	})
	var carrier *nattest.Router
	left = func(n *nattest.Internet) *nattest.Host {
		carrier = n.Router(parse("203.0.113.1"), hairpin)
		return carrier.Router(parse("100.64.0.2"), nattest.PortRestricted).Host(parse("192.168.1.2"))
	}
	right = func(*nattest.Internet) *nattest.Host {
		return carrier.Router(parse("100.64.0.3"), nattest.PortRestricted).Host(parse("192.168.1.2"))
	}
	meet(t, left, right, func(t *testing.T, w *world) {
		start := time.Now()
		w.exchange(1)
		w.talk(0, time.Second)
		for i, e := range w.edges {
			if took, ok := e.first(StateDirect, start); !ok || took > 700*time.Millisecond {
				t.Errorf("hairpin, edge %d: %v after %v", i, ok, took)
			}
		}
	})
}

// A direct path dies silently: doubt within 1.3 s, the relay alone within 2 s,
// and direct again when it heals.
func TestSilentDeathAndReturn(t *testing.T) {
	for phase := time.Duration(0); phase < time.Second; phase += 130 * time.Millisecond {
		meet(t, behind("203.0.113.1", "192.168.1.2", nattest.PortRestricted), behind("203.0.113.2", "192.168.7.2", nattest.PortRestricted), func(t *testing.T, w *world) {
			w.exchange(1)
			next := w.talk(0, 12*time.Second+phase)
			relay := w.relay.LocalAddr().Addr()
			w.net.SetDrop(func(from, to netip.AddrPort, b []byte) bool { return from.Addr() != relay && to.Addr() != relay })
			died := time.Now()
			next = w.talk(next, 20*time.Second)
			for _, e := range w.edges {
				suspect, ok1 := e.first(StateSuspect, died)
				punch, ok2 := e.first(StateChecking, died)
				if !ok1 || !ok2 || suspect > 1300*time.Millisecond || punch > 2*time.Second {
					t.Errorf("edge %d: suspect after %v, relay after %v", e.number, suspect, punch)
				}
			}
			w.net.SetDrop(nil)
			healed := time.Now()
			w.talk(next, 40*time.Second)
			for _, e := range w.edges {
				if took, ok := e.first(StateDirect, healed); !ok || took > 37*time.Second {
					t.Errorf("edge %d: direct again %v after %v", e.number, ok, took)
				}
			}
			// What was under way directly until the doubt is lost, nothing else.
			checkFrames(t, w, 1300/20)
		})
	}
}

// A NAT that forgets everything: relay within 2 s, direct within 5 s.
func TestRebootOfRouter(t *testing.T) {
	var router *nattest.Router
	b := nattest.PortRestricted
	b.PortPreserving, b.RandomPorts = false, true
	left := func(n *nattest.Internet) *nattest.Host {
		router = n.Router(parse("203.0.113.1"), b)
		return router.Host(parse("192.168.1.2"))
	}
	for _, renumber := range []bool{false, true} {
		meet(t, left, behind("203.0.113.2", "192.168.7.2", nattest.PortRestricted), func(t *testing.T, w *world) {
			w.exchange(1)
			next := w.talk(0, 15*time.Second)
			router.Reboot()
			if renumber {
				router.SetAddr(parse("203.0.113.77"))
			}
			cut := time.Now()
			w.edges[0].do(w.edges[0].register) // as keepalives and data by relay do
			w.talk(next, 10*time.Second)
			for _, e := range w.edges {
				lost, was := e.first(StateSuspect, cut)
				again, ok := e.first(StateDirect, cut)
				if !ok || again > 5*time.Second || was && lost > 1300*time.Millisecond {
					t.Errorf("renumber %v, edge %d: suspect %v after %v, direct %v after %v", renumber, e.number, was, lost, ok, again)
				}
			}
			if r := w.edges[1].route(); renumber && r.Direct.Addr() != parse("203.0.113.77") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// A path that swallows large packets is used at first with the largest size of
// four that it carries; one that carries hardly anything is not used.
func TestPathMTU(t *testing.T) {
	for mtu, want := range map[int]int{0: 1445, 1445: 1445, 1444: 1420, 1400: 1380, 1379: 1280, 1279: 0} {
		meet(t, public("203.0.113.1"), public("203.0.113.2"), func(t *testing.T, w *world) {
			w.net.SetMTU(mtu)
			start := time.Now()
			w.exchange(1)
			w.talk(0, 3*time.Second)
			for _, e := range w.edges {
				r := e.route()
				if first := e.firstMTU(); first != want || (want == 0) == r.Direct.IsValid() || r.MTU < want {
					t.Errorf("MTU %d, edge %d: %d at first, %+v, want %d", mtu, e.number, first, r, want)
				}
				if took, ok := e.first(StateDirect, start); ok && took > 1200*time.Millisecond {
					t.Errorf("MTU %d: direct after %v", mtu, took)
				}
			}
		})
	}
}

// 20 % loss each way: the path may be in doubt, frames do not get lost for it,
// and it is not given up for pings alone.
func TestLoss(t *testing.T) {
	meet(t, behind("203.0.113.1", "192.168.1.2", nattest.PortRestricted), behind("203.0.113.2", "192.168.7.2", nattest.PortRestricted), func(t *testing.T, w *world) {
		w.exchange(1)
		next := w.talk(0, 5*time.Second)
		w.net.SetLoss(0.2)
		w.talk(next, 5*time.Minute)
		for _, e := range w.edges {
			given := 0
			e.do(func() {
				for _, h := range e.history {
					if h.route.State == StateChecking {
						given++
					}
				}
			})
			if given > 4 {
				t.Errorf("edge %d: given up %d times", e.number, given)
			}
		}
	})
}

// Silence: heartbeats every 15 s by one end or the other, the end of the path after 10
// minutes, nothing any more then, and a new beginning with the next frame.
func TestIdleAndWake(t *testing.T) {
	meet(t, behind("203.0.113.1", "192.168.1.2", nattest.PortRestricted), behind("203.0.113.2", "192.168.7.2", nattest.PortRestricted), func(t *testing.T, w *world) {
		w.exchange(1)
		next := w.talk(0, 5*time.Second)
		quiet := time.Now()
		time.Sleep(20 * time.Second)
		before, other := w.edges[0].sent(), w.edges[1].sent()
		time.Sleep(9 * time.Minute)
		n, of := w.edges[0].sent()-before, w.edges[1].sent()-other
		if few := min(n, of); n+of < 36 || n+of > 54 || few < 9 { // every 15 s, and each end every minute
			t.Errorf("%d heartbeats of one end and %d of the other in 9 minutes", n, of)
		}
		time.Sleep(2 * time.Minute)
		for _, e := range w.edges {
			if took, ok := e.first(StateIdle, quiet); !ok || took < keepFor-time.Second || took > keepFor+time.Second || !e.deadline().IsZero() {
				t.Errorf("edge %d: idle %v after %v, deadline %v", e.number, ok, took, e.deadline())
			}
		}
		before = w.edges[0].sent()
		time.Sleep(time.Hour)
		if n := w.edges[0].sent() - before; n != 0 {
			t.Errorf("%d probes while idle", n)
		}
		start := time.Now()
		w.talk(next, 2*time.Second)
		for _, e := range w.edges {
			if took, ok := e.first(StateDirect, start); !ok || took > 700*time.Millisecond {
				t.Errorf("edge %d: %v after %v", e.number, ok, took)
			}
		}
	})
}

// An end that relies on the other one's pings finds out that they do not come any more, and
// does not rely on them where its own NAT forgets sooner than most.
func TestRelyOnPings(t *testing.T) {
	nat := behind("203.0.113.1", "192.168.1.2", nattest.PortRestricted)
	other := behind("203.0.113.2", "192.168.7.2", nattest.PortRestricted)
	meet(t, nat, other, func(t *testing.T, w *world) {
		w.exchange(1)
		w.talk(0, 5*time.Second)
		time.Sleep(3 * time.Minute)
		w.edges[0].do(func() { w.edges[0].policy.Keepalive = 8 * time.Second })
		time.Sleep(time.Minute)
		before := w.edges[0].sent()
		time.Sleep(time.Minute)
		if n := w.edges[0].sent() - before; n < 6 || n > 8 {
			t.Errorf("%d heartbeats in a minute of the end whose NAT forgets soon", n)
		}
		w.edges[0].do(func() { w.edges[0].policy.Keepalive = 0 })
		for i, e := range w.edges { // whichever of them pings
			time.Sleep(time.Minute)
			w.net.SetDrop(func(_, to netip.AddrPort, _ []byte) bool { return to != w.relay.LocalAddr() })
			start := time.Now()
			time.Sleep(40 * time.Second)
			if took, ok := e.first(StateSuspect, start); !ok || took > idleBeat+spareFor+time.Second {
				t.Errorf("edge %d: in doubt %v after %v", i, ok, took)
			}
			w.net.SetDrop(nil)
			w.talk(1000, 10*time.Second)
		}
	})
}

// IPv6, and a reset.
func TestIPv6AndReset(t *testing.T) {
	meet(t, public("198.51.100.11", "2001:db8::1"), public("198.51.100.12", "2001:db8::2"), func(t *testing.T, w *world) {
		for i, e := range w.edges {
			other := w.edges[1-i].conn.LocalAddr().Port()
			a := netip.AddrPortFrom(parse([]string{"2001:db8::2", "2001:db8::1"}[i]), other)
			e.do(func() {
				e.path.SetCandidates(time.Now(), 1, []address.Candidate{{Kind: address.KindReflexive, Addr: a}})
			})
		}
		start := time.Now()
		next := w.talk(0, time.Second)
		for _, e := range w.edges {
			if took, ok := e.first(StateDirect, start); !ok || took > 100*time.Millisecond || e.route().MTU != testPayload+overhead6 {
				t.Errorf("edge %d: %v after %v: %+v", e.number, ok, took, e.route())
			}
		}
		e := w.edges[0]
		e.do(func() { e.path.Reset(time.Now()) })
		if r := e.route(); r.State != StateChecking || !r.Relay {
			t.Errorf("%+v", r)
		}
		w.talk(next, time.Second)
		if r := e.route(); r.State != StateDirect || r.Relay {
			t.Errorf("%+v", r)
		}
		checkFrames(t, w, 0)
	})
}
