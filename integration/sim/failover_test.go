package sim

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// failover are two pairs with two supernodes: frames of one pair are relayed, those of the
// other go directly.
type failover struct {
	*World
	t       *testing.T
	servers [2]*Supernode
	relayed []*Flow
	direct  []*Flow
	from    *Edge
	to      *Edge
	edges   []*Edge

	mu   sync.Mutex
	dark netip.AddrPort    // a supernode that the internet does not reach
	past [2]map[uint64]int // large datagrams to each supernode, by second since the start
	born time.Time
}

// frameSize is the padding of the frames of relayed flows, so that they are told from
// everything else that a supernode gets.
const frameSize = 700

func newFailover(t *testing.T) *failover {
	w := &failover{World: New(t, 77), t: t, born: time.Now()}
	for i := range w.servers {
		w.servers[i] = w.Supernode(netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + i)}))
		w.past[i] = make(map[uint64]int)
	}
	w.Net.SetDrop(w.pass)
	var sinks [4]Sink
	for i, b := range []nattest.Behavior{nattest.Symmetric, nattest.Symmetric, nattest.PortRestricted, nattest.PortRestricted} {
		r := w.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), b)
		w.edges = append(w.edges, w.Edge(r.Host(netip.MustParseAddr("192.168.1.2")), Options{Supernodes: w.servers[:], Deliver: sinks[i].Deliver, Address: none}))
	}
	flow := func(from, to int) *Flow { return w.Flow(w.edges[from], w.edges[to].MAC, &sinks[to]) }
	w.relayed, w.direct = []*Flow{flow(0, 1), flow(1, 0)}, []*Flow{flow(2, 3), flow(3, 2)}
	for _, f := range w.relayed {
		f.size = frameSize
	}
	w.from, w.to = w.edges[0], w.edges[1]
	return w
}

// pass notes what a supernode gets, and drops what is for one that is dark, or of it.
func (w *failover) pass(from, to netip.AddrPort, b []byte) (drop bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range w.servers {
		if to == s.Addr && len(b) > frameSize {
			w.past[i][uint64(time.Since(w.born)/(100*time.Millisecond))]++
		}
	}
	return w.dark.IsValid() && (from == w.dark || to == w.dark)
}

// darken makes a supernode silent, as when its line is cut; the zero address ends that.
func (w *failover) darken(a netip.AddrPort) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dark = a
}

// carried returns how many frames each supernode got in a time that has passed, to 0.1 s.
func (w *failover) carried(from, to time.Time) (n [2]int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range n {
		for at := from.Sub(w.born) / (100 * time.Millisecond); at < to.Sub(w.born)/(100*time.Millisecond); at++ {
			n[i] += w.past[i][uint64(at)]
		}
	}
	return n
}

// send sends frames for a time, a third as many directly.
func (w *failover) send(d, every time.Duration) {
	for i := range d / every {
		for _, f := range w.relayed {
			f.Send()
		}
		for _, f := range w.direct[min(2, i%3*2):] {
			f.Send()
		}
		time.Sleep(every)
	}
}

// whole fails the test if a flow has lost frames from a number on.
func (w *failover) whole(when string, from int, flows []*Flow) {
	w.t.Helper()
	time.Sleep(100 * time.Millisecond)
	for _, f := range flows {
		if lost := f.Lost(from, f.Len()); len(lost) > 0 {
			w.t.Errorf("%s: lost %s", when, brief(lost))
		}
	}
}

// serving returns by which of the supernodes both ends of the relayed pair send, -1: that
// is not one.
func (w *failover) serving() int {
	there, back := wayTo(w.t, w.from, w.to), wayTo(w.t, w.to, w.from)
	for i, s := range w.servers {
		if there.Via == s.Addr.String() && back.Via == there.Via && there.Path == control.PathRelay {
			return i
		}
	}
	return -1
}

// ready waits until every edge is registered with both supernodes and knows its peer at
// both, and sends now and then meanwhile.
func (w *failover) ready() {
	w.t.Helper()
	for range 100 {
		w.send(200*time.Millisecond, 100*time.Millisecond)
		registered := 0
		for _, e := range w.edges {
			for _, s := range e.status().Supernodes {
				if s.State == control.StateRegistered {
					registered++
				}
			}
		}
		if registered == 2*len(w.edges) && w.serving() == 0 {
			return
		}
	}
	w.t.Fatalf("after 20 s %d serves; %+v", w.serving(), w.from.status().Supernodes)
}

// The supernode that relays goes away fifty times, at any moment of its watch: silently, or
// as a process that is killed. Frames go on within a second, a direct path loses none,
// frames are doubled only until the dead one is given up, and none is lost when it returns.
func TestFailover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newFailover(t)
		defer w.Close()
		chance := rand.New(rand.NewPCG(5, 7))
		w.ready()
		settled, direct := w.relayed[0].Len(), w.direct[0].Len()
		var longest time.Duration
		for i := range 50 {
			w.send(time.Second, 100*time.Millisecond)
			w.ready()
			time.Sleep(time.Duration(chance.Int64N(int64(400 * time.Millisecond))))
			w.whole("while both are there", settled, w.relayed)
			longest = max(longest, w.die(i%2 == 0))
			settled = w.relayed[0].Len() - 10
		}
		t.Logf("the longest gap is %v", longest)
		w.whole("all the time", direct, w.direct)
		for _, f := range append(w.relayed, w.direct...) {
			if twice := f.Twice(); len(twice) > 0 {
				t.Errorf("delivered twice: %s", brief(twice))
			}
		}
		for _, e := range w.edges {
			e.Stop()
		}
		for _, s := range w.servers {
			s.Stop()
		}
	})
}

// die lets the first supernode, which relays, go away for two seconds, and returns for how
// long no frames came.
func (w *failover) die(silent bool) (longest time.Duration) {
	const every = 25 * time.Millisecond
	before := time.Now()
	w.send(300*time.Millisecond, every)
	died := time.Now()
	if n := w.carried(before, died); n[0] < 15 || n[1] > 0 {
		w.t.Errorf("before it the supernodes got %v frames", n)
	}
	if silent {
		w.darken(w.servers[0].Addr)
	} else {
		w.servers[0].Kill()
	}
	w.send(2*time.Second, every)
	for _, f := range w.relayed {
		gap := f.Gap(died)
		longest = max(longest, gap)
		if gap >= time.Second {
			w.t.Errorf("no frames for %v", gap)
		}
	}
	if n := w.carried(died.Add(1700*time.Millisecond), time.Now()); n[0] > 0 || n[1] < 15 {
		w.t.Errorf("long after it the supernodes got %v frames", n)
	}
	if silent {
		w.darken(netip.AddrPort{})
	} else {
		w.servers[0].Start()
	}
	return longest
}
