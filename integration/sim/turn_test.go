package sim

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/edge/underlay"
	"hedgerow/nat/nattest"
	"hedgerow/nat/turn"
)

var turnAddr = netip.MustParseAddr("203.0.113.50")

// remote is a pair behind routers that no direct path leads through, with a flow
// each way.
type remote struct {
	*World
	t           *testing.T
	sn          *Supernode
	left, right *Edge
	there, back *Flow
	sinks       [2]Sink
}

// newRemote returns a pair that has just registered.
func newRemote(t *testing.T, b Beside, left, right func(*Options), world ...*World) *remote {
	r := &remote{World: New(t, 61), t: t}
	if len(world) > 0 {
		r.World = world[0]
	}
	r.sn = r.SupernodeWith(b, supernodeAddr)
	for i, change := range []func(*Options){left, right} {
		o := Options{Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{r.sn}, Deliver: r.sinks[i].Deliver, Address: none}
		if change != nil {
			change(&o)
		}
		host := behind(nattest.Symmetric)(r.Net, i)
		*[]**Edge{&r.left, &r.right}[i] = r.Edge(host, o)
		time.Sleep(stagger)
	}
	r.there, r.back = r.Flow(r.left, r.right.MAC, &r.sinks[1]), r.Flow(r.right, r.left.MAC, &r.sinks[0])
	time.Sleep(time.Second)
	return r
}

// both sends frames both ways for a time.
func (r *remote) both(d, every time.Duration) {
	for range d / every {
		r.there.Send()
		r.back.Send()
		time.Sleep(every)
	}
}

// throughTURN reports whether both ends go by a relay of a TURN server, whosever
// it is.
func (r *remote) throughTURN(at ...netip.Addr) bool {
	there, back := wayTo(r.t, r.left, r.right), wayTo(r.t, r.right, r.left)
	for _, w := range []control.PathStatus{there, back} {
		if w.Path != control.PathDirect || w.Kind != "turn" {
			return false
		}
	}
	if len(at) == 0 {
		return true
	}
	// One end talks to the other's relay, by its own or by its socket.
	return strings.HasPrefix(there.Endpoint, at[0].String()) || strings.HasPrefix(back.Endpoint, at[0].String())
}

// whole fails the test for what was lost of either flow from a number on.
func (r *remote) whole(from int) {
	r.t.Helper()
	time.Sleep(time.Second)
	for _, f := range []*Flow{r.there, r.back} {
		if lost := f.Lost(from, f.Len()); len(lost) > 0 {
			r.t.Errorf("lost %s", brief(lost))
		}
		if twice := f.Twice(); len(twice) > 0 {
			r.t.Errorf("delivered twice: %s", brief(twice))
		}
	}
}

func (r *remote) end() {
	r.left.Stop()
	r.right.Stop()
	r.sn.Stop()
	r.Close()
}

// asking notes when somebody asks TURN servers for an allocation: the first
// request of each, which has no credential yet.
type asking struct {
	mu    sync.Mutex
	begun time.Time
	list  []asked
	seen  map[[12]byte]bool // transactions, of which every one may be repeated
}

type asked struct {
	from, server netip.Addr
	at           time.Duration
}

// ask begins to note. It takes the place of the internet's Tap.
func (w *World) ask() *asking {
	a := &asking{begun: time.Now(), seen: make(map[[12]byte]bool)}
	w.Net.Tap(func(from, to netip.AddrPort, b []byte) {
		if to.Port() != turnPort || len(b) < 20 || b[0] != 0 || b[1] != 3 || signed(b) { // Allocate (RFC 8656, section 17)
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		id := [12]byte(b[8:20])
		if a.seen[id] {
			return
		}
		a.seen[id] = true
		a.list = append(a.list, asked{from.Addr(), to.Addr(), time.Since(a.begun)})
	})
	return a
}

// signed reports whether a STUN request has a user name (RFC 8489, section 14.3).
func signed(b []byte) bool {
	for b = b[20:]; len(b) >= 4; {
		n := 4 + (int(binary.BigEndian.Uint16(b[2:]))+3)&^3
		if binary.BigEndian.Uint16(b) == 6 {
			return true
		}
		b = b[min(n, len(b)):]
	}
	return false
}

// times returns when an address asked a server.
func (a *asking) times(from, server netip.Addr) (times []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.list {
		if x.from == from && x.server == server {
			times = append(times, x.at)
		}
	}
	return times
}

var (
	leftOutside  = netip.MustParseAddr("198.51.100.1")
	rightOutside = netip.MustParseAddr("198.51.100.2")
)

// A pair that no direct path leads to goes through the supernode for three
// seconds and then by a relay of TURN, for which it has a credential from the
// supernode. No frame is lost.
func TestTURN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(t, Beside{TURN: true}, nil, nil)
		defer r.end()
		a := r.ask()
		begun := time.Now()
		go r.both(20*time.Second, 20*time.Millisecond)
		took := await(t, 10*time.Second, "a path by TURN", func() bool { return r.throughTURN() })
		within(t, "a path by TURN", took, 3*time.Second, 6*time.Second)
		for _, from := range []netip.Addr{leftOutside, rightOutside} {
			times := a.times(from, supernodeAddr)
			if len(times) != 1 {
				t.Fatalf("%v asked after %v, want once", from, times)
			}
			within(t, "asking", times[0], 3*time.Second, 4*time.Second)
		}
		time.Sleep(20*time.Second - time.Since(begun))
		r.whole(0)
		if !r.throughTURN(supernodeAddr) {
			t.Errorf("the ways are %+v and %+v", wayTo(t, r.left, r.right), wayTo(t, r.right, r.left))
		}
		if n := r.sn.Server.Counters().TURN; n == nil || n.Allocations == 0 {
			t.Errorf("%+v", n)
		}
	})
}

// What is allocated is not asked for twice, and an edge that stops gives it back
// before it has ended.
func TestTURNGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(t, Beside{TURN: true}, nil, nil)
		defer r.end()
		allocations := func() int { return r.sn.Server.Counters().TURN.Allocations }
		r.both(2900*time.Millisecond, 100*time.Millisecond)
		if n := allocations(); n != 0 {
			t.Errorf("%d allocations after less than 3 s", n)
		}
		r.both(15*time.Minute, time.Second)
		if n := allocations(); n != 2 {
			t.Errorf("%d allocations, want one of each", n)
		}
		if !r.throughTURN() {
			t.Errorf("the ways are %+v and %+v", wayTo(t, r.left, r.right), wayTo(t, r.right, r.left))
		}
		stopping := time.Now()
		r.left.Stop()
		within(t, "giving the allocation back", time.Since(stopping), 0, 20*time.Millisecond)
		if n := allocations(); n != 1 {
			t.Errorf("%d allocations after one edge has left", n)
		}
		r.left.Start()
	})
}

// configured returns an option that names TURN servers.
func configured(servers ...underlay.TURNServer) func(*Options) {
	return func(o *Options) { o.Reach.TURN = servers }
}

// An allocation of one end is enough for both. Where no frame may pass a
// supernode, those for a peer wait for it, and none is lost but the first, which
// has the peer looked for.
func TestTURNOfOneEnd(t *testing.T) {
	for _, noRelay := range []bool{false, true} {
		t.Run(fmt.Sprint("no relay ", noRelay), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 62)
				server := w.TURN(turnAddr, turn.ServerLimits{})
				defer server.Stop()
				user := server.User("somebody", time.Hour)
				r := newRemote(t, Beside{}, func(o *Options) {
					o.Reach = edge.Reach{TURN: []underlay.TURNServer{user}, NoRelay: noRelay}
				}, func(o *Options) { o.Reach.NoRelay = noRelay }, w)
				defer r.end()
				r.both(10*time.Second, 100*time.Millisecond)
				r.whole(map[bool]int{false: 0, true: 1}[noRelay])
				there := wayTo(t, r.left, r.right)
				back := wayTo(t, r.right, r.left)
				if there.Path != control.PathDirect || back.Path != control.PathDirect ||
					there.Kind != "turn" || !strings.HasPrefix(back.Endpoint, turnAddr.String()) {
					t.Errorf("the ways are %+v and %+v", there, back)
				}
				if n := server.Server.Stats().Allocations; n != 1 {
					t.Errorf("%d allocations", n)
				}
			})
		})
	}
}

// The TURN server restarts and knows nobody any more: frames go through the
// supernode within two seconds, and by a new allocation within a minute.
func TestTURNAllocationLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 63)
		server := w.TURN(turnAddr, turn.ServerLimits{})
		defer func() { server.Stop() }()
		user := configured(server.User("somebody", time.Hour))
		r := newRemote(t, Beside{}, user, user, w)
		defer r.end()
		r.both(10*time.Second, 20*time.Millisecond)
		if !r.throughTURN(turnAddr) {
			t.Fatalf("the ways are %+v and %+v", wayTo(t, r.left, r.right), wayTo(t, r.right, r.left))
		}
		server.Stop()
		server.Start()
		lost, n := time.Now(), r.there.Len()
		go r.both(90*time.Second, 20*time.Millisecond)
		took := await(t, 70*time.Second, "a path by TURN again", func() bool {
			return time.Since(lost) > 5*time.Second && r.throughTURN(turnAddr)
		})
		t.Logf("by TURN again after %v", took)
		within(t, "another allocation", took, 5*time.Second, 60*time.Second)
		time.Sleep(95*time.Second - took)
		for _, f := range []*Flow{r.there, r.back} {
			within(t, "a gap", f.Gap(lost), 0, 2*time.Second)
		}
		r.whole(n + 100)
		if n := server.Server.Stats().Allocations; n != 2 {
			t.Errorf("%d allocations", n)
		}
	})
}

// A server that refuses is asked again after 5 s, then after twice as long each
// time up to 5 minutes; so is one that never answers, whose 7.8 s count.
func TestTURNRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		server bool
		waits  []time.Duration // between one question and the next
	}{
		"a wrong password": {true, []time.Duration{5, 10, 20, 40, 80, 160, 300, 300}},
		"nobody there":     {false, []time.Duration{8, 10, 20, 40, 80, 160, 300, 300}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 64)
				wrong := underlay.TURNServer{Host: turnAddr.String(), Port: turnPort, User: "nobody", Password: "nothing"}
				if !c.server {
					w.Net.Host(turnAddr)
				} else {
					server := w.TURN(turnAddr, turn.ServerLimits{})
					defer server.Stop()
					wrong.User = server.User("somebody", 24*time.Hour).User
				}
				r := newRemote(t, Beside{}, configured(wrong), nil, w)
				defer r.end()
				a := w.ask()
				r.both(25*time.Minute, time.Second)
				times := a.times(leftOutside, turnAddr)
				if len(times) < 9 {
					t.Fatalf("asked after %v", times)
				}
				within(t, "the first question", times[0], 3*time.Second, 4500*time.Millisecond)
				for i, want := range c.waits {
					within(t, "a wait", times[i+1]-times[i], want*time.Second-100*time.Millisecond, want*time.Second+600*time.Millisecond)
				}
				r.whole(0)
			})
		})
	}
}

// Of two servers one is full: the other one serves. When that one is gone the pair
// goes on by what is left, the supernode, and by the first as soon as it has room.
func TestTwoTURNServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 65)
		second := netip.MustParseAddr("203.0.113.51")
		one, two := w.TURN(turnAddr, turn.ServerLimits{}), w.TURN(second, turn.ServerLimits{})
		defer one.Stop()
		both := configured(one.User("somebody", time.Hour), two.User("somebody", time.Hour))
		r := newRemote(t, Beside{}, both, nil, w)
		defer r.end()
		go r.both(150*time.Second, 50*time.Millisecond)
		begun := time.Now()
		in := func(what string, at netip.Addr, limit time.Duration) {
			t.Helper()
			took := await(t, limit, what, func() bool {
				return strings.HasPrefix(wayTo(t, r.right, r.left).Endpoint, at.String()) && wayTo(t, r.left, r.right).Kind == "turn"
			})
			t.Logf("%s after %v", what, took)
		}
		await(t, 6*time.Second, "an allocation on each", func() bool {
			return one.Server.Stats().Allocations == 1 && two.Server.Stats().Allocations == 1
		})
		await(t, 5*time.Second, "a path", func() bool { return wayTo(t, r.left, r.right).Kind == "turn" })
		time.Sleep(5 * time.Second)
		// The one in use goes away for good, whichever that is.
		gone, left := one, second
		if strings.HasPrefix(wayTo(t, r.right, r.left).Endpoint, second.String()) {
			gone, left = two, turnAddr
		}
		gone.Stop()
		died := time.Now()
		in("the other server", left, time.Minute)
		for time.Since(begun) < 151*time.Second {
			time.Sleep(time.Second)
		}
		for _, f := range []*Flow{r.there, r.back} {
			within(t, "a gap", f.Gap(died), 0, 2*time.Second)
		}
		r.whole(r.there.Len() - 1000)
		if gone == one {
			one.Start()
		}
		if gone != two {
			two.Stop()
		}
	})
}

// Without traffic nothing is allocated. The supernode hands out a new credential
// before the old one ends: an edge that needs a relay a day after it has registered
// gets one.
func TestTURNCredentialRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(t, Beside{TURN: true}, nil, nil)
		defer r.end()
		time.Sleep(25 * time.Hour)
		if n := r.sn.Server.Counters().TURN.Allocations; n != 0 {
			t.Errorf("%d allocations without traffic", n)
		}
		go r.both(10*time.Second, 50*time.Millisecond)
		took := await(t, 10*time.Second, "a path by TURN", func() bool { return r.throughTURN() })
		within(t, "a path by TURN", took, 3*time.Second, 6*time.Second)
		time.Sleep(10 * time.Second)
		r.whole(0)
	})
}

// A credential of the configuration ends while its allocation is in use: the
// server keeps what it has given no longer, frames go through the supernode, and
// none of it ends the edge.
func TestTURNCredentialEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 66)
		server := w.TURN(turnAddr, turn.ServerLimits{})
		defer server.Stop()
		r := newRemote(t, Beside{}, configured(server.User("somebody", time.Minute)), nil, w)
		defer r.end()
		r.both(20*time.Second, 50*time.Millisecond)
		if w := wayTo(t, r.left, r.right); w.Kind != "turn" {
			t.Fatalf("the way is %+v", w)
		}
		since := time.Now()
		r.both(3*time.Minute, 50*time.Millisecond)
		for _, f := range []*Flow{r.there, r.back} {
			within(t, "a gap", f.Gap(since), 0, 2*time.Second)
		}
		if there, back := pathTo(t, r.left, r.right), pathTo(t, r.right, r.left); there != control.PathRelay || back != there {
			t.Errorf("the paths are %s and %s", there, back)
		}
		r.whole(r.there.Len() - 1000)
	})
}

// Only public addresses of the peer are asked to be let through.
func TestTURNPermits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 67)
		server := w.TURN(turnAddr, turn.ServerLimits{})
		defer server.Stop()
		r := newRemote(t, Beside{}, configured(server.User("somebody", time.Hour)), nil, w)
		defer r.end()
		r.both(30*time.Second, 100*time.Millisecond)
		got := server.Asked()
		if slices.ContainsFunc(got, netip.Addr.IsPrivate) || !slices.Contains(got, rightOutside) {
			t.Errorf("permissions for %v", got)
		}
	})
}
