package sim

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/nat/stun"
)

// lifetimes are for how long NATs keep a mapping without datagrams.
var lifetimes = []time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second, 60 * time.Second}

// forgetful are NATs that tests give such a lifetime, at one end or at both.
var forgetful = []struct {
	name string
	near nattest.Behavior
	far  nattest.Behavior
	both bool
}{
	{"endpoint-independent at one end", nattest.PortRestricted, nattest.PortRestricted, false},
	{"endpoint-independent at both", nattest.PortRestricted, carriers["random ports"], true},
	{"symmetric at one end", nattest.Symmetric, nattest.PortRestricted, false},
	{"symmetric at both", nattest.Symmetric, nattest.Symmetric, true},
}

// A pair is idle behind NATs that forget mappings. Whichever end speaks first then, nothing
// is lost but what was sent within half a second, and a direct path is still there.
func TestIdleBehindForgetfulNAT(t *testing.T) {
	for _, lifetime := range lifetimes {
		for _, x := range forgetful {
			t.Run(fmt.Sprint(lifetime, " ", x.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					near, far := x.near, x.far
					if near.Timeout = lifetime; x.both {
						far.Timeout = lifetime
					}
					checkIdle(t, near, far)
				})
			})
		}
	}
}

// checkIdle lets a pair be idle for times of every phase of a keepalive.
func checkIdle(t *testing.T, near, far nattest.Behavior) {
	c := newCouple(t, near, far)
	defer c.end()
	time.Sleep(time.Second)
	c.both(5*time.Second, 50*time.Millisecond)
	time.Sleep(time.Minute)
	direct := pathTo(t, c.left, c.right) == control.PathDirect
	for i := range 4 {
		time.Sleep(35*time.Second + time.Duration(i)*2600*time.Millisecond)
		if now := pathTo(t, c.left, c.right) == control.PathDirect; now != direct {
			t.Errorf("idle %d: direct is %v, it was %v", i, now, direct)
		}
		for _, f := range []*Flow{c.back, c.there} {
			n := f.Len()
			f.For(2*time.Second, 50*time.Millisecond)
			time.Sleep(time.Second)
			if lost := f.Lost(n+10, f.Len()); len(lost) > 0 {
				t.Errorf("idle %d: lost %s of %d from %d on", i, brief(lost), f.Len(), n)
			}
			if f == c.back {
				time.Sleep(35 * time.Second)
			}
		}
	}
}

// A peer whose network has gone is named as such: its supernode does not hear it either.
func TestSilentPeerIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t, nattest.Symmetric, nattest.Symmetric)
		defer c.end()
		time.Sleep(time.Second)
		c.both(5*time.Second, 50*time.Millisecond)
		c.left.host.BlockUDP(true)
		c.back.For(20*time.Second, 100*time.Millisecond)
		if why := wayTo(t, c.right, c.left).Reason; strings.Contains(why, "has heard nothing of it") {
			t.Errorf("after 20 s the reason is %q", why)
		}
		c.back.For(20*time.Second, 100*time.Millisecond)
		if why := wayTo(t, c.right, c.left).Reason; !strings.Contains(why, c.sn.Addr.String()+" has heard nothing of it for ") {
			t.Errorf("after 40 s the reason is %q", why)
		}
		c.left.host.BlockUDP(false)
		c.both(30*time.Second, 100*time.Millisecond)
		if why := wayTo(t, c.right, c.left).Reason; strings.Contains(why, "has heard nothing of it") {
			t.Errorf("it is back, and the reason is %q", why)
		}
	})
}

// headers are the bytes of an IPv4 and a UDP header.
const headers = 20 + 8

// exchanged counts datagrams.
type exchanged struct{ packets, stun, bytes int }

// counter counts what edges and supernodes exchange.
type counter struct {
	mu    sync.Mutex
	total exchanged
}

// see counts a datagram, and drops none.
func (c *counter) see(_, _ netip.AddrPort, pkt []byte) (drop bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total.bytes += headers + len(pkt); stun.IsMessage(pkt) {
		c.total.stun++
	} else {
		c.total.packets++
	}
	return false
}

// in counts for a time.
func (c *counter) in(d time.Duration) exchanged {
	read := func() exchanged {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.total
	}
	before := read()
	time.Sleep(d)
	now := read()
	return exchanged{now.packets - before.packets, now.stun - before.stun, now.bytes - before.bytes}
}

// Keepalives are as often as the mapping needs them, and no more often on an ordinary
// network than they ever were: a NAT that becomes forgetful and kind again is followed both
// ways. Each is a PING and a PONG.
func TestKeepalivesFollowTheMapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 12)
		defer w.Close()
		s := w.Supernode(supernodeAddr)
		b := nattest.PortRestricted
		b.Timeout = time.Minute
		r := w.Net.Router(netip.MustParseAddr("198.51.100.1"), b)
		e := w.Edge(r.Host(netip.MustParseAddr("192.168.1.2")), Options{Supernodes: []*Supernode{s}})
		var k counter
		w.Net.SetDrop(k.see)
		time.Sleep(2 * time.Minute)
		hour := k.in(time.Hour)
		t.Logf("an idle hour is %d packets and %d of STUN, %d bytes", hour.packets, hour.stun, hour.bytes)
		if hour.packets < 2*160 || hour.packets > 2*200 || hour.bytes > 130_000 {
			t.Errorf("an idle hour is %+v", hour)
		}
		r.SetTimeout(10 * time.Second)
		time.Sleep(70 * time.Minute)
		if n := k.in(10 * time.Minute).packets; n < 2*70 || n > 2*85 {
			t.Errorf("%d packets in ten minutes behind a NAT that forgets after 10 s", n)
		}
		r.SetTimeout(time.Minute)
		time.Sleep(70 * time.Minute)
		if n := k.in(10 * time.Minute).packets; n < 2*26 || n > 2*34 {
			t.Errorf("%d packets in ten minutes after that", n)
		}
		e.Stop()
		s.Stop()
	})
}

// An edge that nobody uses sleeps: what it does regularly it does at moments that all of it
// shares, and of a path in no use one end pings. Before it slept 28 and 85 times.
func TestIdleSleeps(t *testing.T) {
	for _, c := range []struct {
		peers           int
		sleeps, packets float64 // a minute
	}{{0, 20, 18}, {10, 60, 200}} {
		t.Run(fmt.Sprint(c.peers, " peers"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 13)
				defer w.Close()
				s := w.Supernode(supernodeAddr)
				host := netip.MustParseAddr("198.51.100.1")
				e := w.Edge(w.Net.Host(host), Options{Supernodes: []*Supernode{s}, State: true, Around: Around{LAN: true, Watch: true, Clock: true}})
				peers := make([]*Edge, c.peers)
				for i := range peers {
					at := w.Net.Host(netip.AddrFrom4([4]byte{198, 51, 100, byte(101 + i)}))
					peers[i] = w.Edge(at, Options{Supernodes: []*Supernode{s}})
				}
				time.Sleep(5 * time.Second)
				for _, p := range peers {
					e.Send(p.MAC, make([]byte, 100))
				}
				time.Sleep(100 * time.Second) // until it is known for how long mappings live
				var k counter
				w.Net.SetDrop(func(from, to netip.AddrPort, pkt []byte) bool {
					return (from.Addr() == host || to.Addr() == host) && k.see(from, to, pkt)
				})
				const minutes = 7 // less than after what the paths are let go
				before := e.Edge.Sleeps()
				packets := float64(k.in(minutes*time.Minute).all()) / minutes
				sleeps := float64(e.Edge.Sleeps()-before) / minutes
				t.Logf("slept %.1f times and exchanged %.1f packets a minute", sleeps, packets)
				if sleeps > c.sleeps || packets > c.packets {
					t.Errorf("more than %v times, or %v packets", c.sleeps, c.packets)
				}
				for _, p := range peers {
					if got := pathTo(t, e, p); got != control.PathDirect {
						t.Errorf("the path to %v is %v", p.MAC, got)
					}
				}
			})
		})
	}
}

// all returns how many datagrams there were.
func (x exchanged) all() int { return x.packets + x.stun }
