package underlay

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/nat/stun"
)

// nat is one that forgets, in front of a rig's further sockets, with a server behind it.
type nat struct {
	t        *testing.T
	lifetime time.Duration
	lost     int                      // of the packets that are sent next
	deaf     bool                     // the server answers where a request comes from, and nowhere else
	used     map[uint16]time.Duration // when each port was
	asked    []time.Duration          // when each answer to another port was asked for
}

// before puts the NAT before the sockets of a memory.
func (n *nat) before(m *memory) {
	n.used = make(map[uint16]time.Duration)
	m.next = 20000
	m.answer = func(x *memorySocket, d datagram) {
		r := x.m.r
		request, err := stun.ParseRequest(d.pkt)
		if err != nil {
			n.t.Errorf("%d bytes were sent that are no request: %v", len(d.pkt), err)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		n.used[d.port] = d.at
		if n.lost > 0 {
			n.lost--
			return
		}
		to := x
		if request.AnswerPort != 0 {
			n.asked = append(n.asked, d.at)
			i := slices.IndexFunc(m.open, func(y *memorySocket) bool { return y.port+1000 == request.AnswerPort })
			if i < 0 || n.deaf || d.at-n.used[m.open[i].port] >= n.lifetime {
				return
			}
			to = m.open[i]
			n.used[to.port] = d.at
		}
		seen := netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), d.port+1000)
		r.workers.Go(func() { to.receive(d.to, answer(n.t, d.pkt, seen, netip.AddrPort{})) })
	}
}

// live gives the NAT another lifetime.
func (n *nat) live(r *rig, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.lifetime = d
}

// measuring has a rig measure behind a NAT for a time.
func measuring(t *testing.T, n *nat, f func(r *rig, m *memory)) {
	n.t = t
	m := new(memory)
	inRig(t, withSockets(m, newSides()), func(r *rig) {
		n.before(m)
		r.Start(time.Now(), nil)
		r.Lifetime.Ask(time.Now(), sampleServer)
		f(r, m)
		if len(m.open) > 2 {
			t.Errorf("%d sockets are open", len(m.open))
		}
	})
}

// A keepalive follows from what a mapping survives. It is short until that is known.
func TestLifetime(t *testing.T) {
	for lifetime, want := range map[time.Duration]time.Duration{
		8 * time.Second: shortest, 10 * time.Second: shortest, 13 * time.Second: shortest,
		15 * time.Second: 12 * time.Second, 20 * time.Second: 12 * time.Second,
		30 * time.Second: longest, 2 * time.Minute: longest,
	} {
		t.Run(lifetime.String(), func(t *testing.T) {
			measuring(t, &nat{lifetime: lifetime}, func(r *rig, m *memory) {
				r.run(20 * time.Second)
				if got := r.Lifetime.Keepalive(); got != shortest {
					t.Errorf("%v before anything is known", got)
				}
				r.run(time.Minute)
				if got := r.Lifetime.Keepalive(); got != want {
					t.Errorf("%v, want %v", got, want)
				}
				if !r.Lifetime.known() || r.Lifetime.Short() != (want != longest) {
					t.Errorf("known %v, short %v", r.Lifetime.known(), r.Lifetime.Short())
				}
				if len(m.open) != 0 {
					t.Errorf("%d sockets are left", len(m.open))
				}
			})
		})
	}
}

var shortest, longest = lifetimes[len(lifetimes)-1].keepalive, lifetimes[0].keepalive

// One loss of two in a row is no end of a mapping, and a server that answers to no other
// port tells nothing.
func TestLifetimeMisjudgesNothing(t *testing.T) {
	t.Run("loss", func(t *testing.T) {
		n := &nat{lifetime: time.Minute}
		measuring(t, n, func(r *rig, _ *memory) {
			for range 10 {
				r.run(2 * time.Second)
				r.mu.Lock()
				n.lost = 2
				r.mu.Unlock()
			}
			r.run(time.Minute)
			if got := r.Lifetime.Keepalive(); got != longest {
				t.Errorf("keepalive %v", got)
			}
		})
	})
	t.Run("deaf", func(t *testing.T) {
		measuring(t, &nat{lifetime: 10 * time.Second, deaf: true}, func(r *rig, m *memory) {
			r.run(10 * time.Second)
			if known := r.Lifetime.known(); known || r.Lifetime.Keepalive() != longest {
				t.Errorf("keepalive %v, known %v", r.Lifetime.Keepalive(), known)
			}
			opened := m.opened
			r.run(10 * time.Minute)
			if m.opened <= opened || m.opened > opened+4 {
				t.Errorf("%d sockets in ten minutes", m.opened-opened)
			}
		})
	})
	t.Run("no server", func(t *testing.T) {
		inRig(t, withSockets(new(memory), newSides()), func(r *rig) {
			r.Start(time.Now(), nil)
			r.Lifetime.Ask(time.Now(), addr("[2001:db8::1]:7654"))
			r.run(cautious)
			if r.Lifetime.Keepalive() != longest {
				t.Errorf("keepalive %v", r.Lifetime.Keepalive())
			}
		})
	})
}

// A lifetime that grows or shrinks is found, and where nothing is unusual there is one
// measurement an hour.
func TestLifetimeChanges(t *testing.T) {
	n := &nat{lifetime: 10 * time.Second}
	measuring(t, n, func(r *rig, m *memory) {
		r.run(2 * time.Minute)
		n.live(r, time.Minute)
		r.run(11 * time.Minute)
		if r.Lifetime.Keepalive() != longest {
			t.Errorf("keepalive %v though mappings live on", r.Lifetime.Keepalive())
		}
		opened := m.opened
		r.run(3 * time.Hour)
		if n := m.opened - opened; n < 4 || n > 6 {
			t.Errorf("%d sockets in three hours", n)
		}
		n.live(r, 15*time.Second)
		r.run(70 * time.Minute)
		if r.Lifetime.Keepalive() != 12*time.Second {
			t.Errorf("keepalive %v though mappings die", r.Lifetime.Keepalive())
		}
	})
}

// A port that changes though packets pass often enough has them pass more often at once, and
// then the reason is found. Where that cannot be measured it ends after a while.
func TestLifetimeDoubted(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		n := &nat{lifetime: time.Minute, deaf: deaf}
		measuring(t, n, func(r *rig, _ *memory) {
			server := addr("198.51.100.9:7654")
			see := func(port uint16) {
				r.Addresses.Observed(time.Now(), server, netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), port))
			}
			r.run(5 * time.Minute)
			see(1000)
			r.run(30 * time.Second)
			see(1001)
			if r.Lifetime.Keepalive() != longest {
				t.Error("a port that has changed after 30 s says nothing")
			}
			n.live(r, 10*time.Second)
			r.run(20 * time.Second)
			see(1002)
			if r.Lifetime.Keepalive() != shortest {
				t.Error("a port has changed after 20 s, and nothing follows")
			}
			r.run(9 * time.Minute)
			if r.Lifetime.Keepalive() != shortest {
				t.Error("packets pass rarely again")
			}
			r.run(2 * time.Minute)
			if want := map[bool]time.Duration{false: shortest, true: longest}[deaf]; r.Lifetime.Keepalive() != want {
				t.Errorf("deaf %v: keepalive %v", deaf, r.Lifetime.Keepalive())
			}
		})
	}
}

// While a lifetime is first measured, a flow that passes more rarely than caution wants (that
// to a server's second port) has another port each time. It tells what is being measured
// already, which goes on.
func TestLifetimeOfARareFlow(t *testing.T) {
	n := &nat{lifetime: 10 * time.Second}
	measuring(t, n, func(r *rig, _ *memory) {
		for port := range uint16(4) {
			r.Addresses.Observed(time.Now(), addr("198.51.100.9:7656"), netip.AddrPortFrom(netip.MustParseAddr("203.0.113.9"), 1000+port))
			r.run(20 * time.Second)
		}
		if !r.Lifetime.known() || r.Lifetime.Keepalive() != shortest {
			t.Errorf("known %v, keepalive %v", r.Lifetime.known(), r.Lifetime.Keepalive())
		}
	})
}

// In another network nothing is known, and what is being measured counts for nothing.
func TestLifetimeInAnotherNetwork(t *testing.T) {
	n := &nat{lifetime: time.Minute}
	measuring(t, n, func(r *rig, _ *memory) {
		r.run(5 * time.Minute)
		n.live(r, 10*time.Second)
		r.NetworkChanged(time.Now())
		if r.Lifetime.Keepalive() != shortest {
			t.Error("what was known is still believed")
		}
		r.run(10 * time.Second)
		r.NetworkChanged(time.Now())
		n.live(r, time.Minute)
		r.run(45 * time.Second)
		if r.Lifetime.known() {
			t.Error("the measurement of the network before counts")
		}
		r.run(2 * time.Minute)
		if r.Lifetime.Keepalive() != longest {
			t.Errorf("keepalive %v", r.Lifetime.Keepalive())
		}
	})
}
