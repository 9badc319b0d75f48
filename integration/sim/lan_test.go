package sim

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// wayTo returns how an edge reaches another.
func wayTo(t *testing.T, from, to *Edge) control.PathStatus {
	t.Helper()
	peers, err := from.Edge.Peers(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		if p.MAC == to.MAC.String() {
			return p.PathStatus
		}
	}
	return control.PathStatus{Path: control.PathNone}
}

// await returns after how long a condition holds, looked at every millisecond in
// the first seconds and then every twentieth of one, and ends the test when it does
// not in time.
func await(t *testing.T, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	begun := time.Now()
	for !holds() {
		passed := time.Since(begun)
		if passed > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		if passed < 6*time.Second {
			time.Sleep(time.Millisecond)
		} else {
			time.Sleep(50 * time.Millisecond)
		}
	}
	return time.Since(begun)
}

// within fails the test when something took less or more time than it may.
func within(t *testing.T, what string, took, least, most time.Duration) {
	t.Helper()
	if took < least || took > most {
		t.Errorf("%s took %v, want %v to %v", what, took, least, most)
	}
}

// announced is when somebody announced something on a LAN, and from where.
type announced struct {
	from netip.Addr
	at   time.Duration
	pkt  []byte
}

// overhearing is all that is announced on a LAN.
type overhearing struct {
	mu    sync.Mutex
	begun time.Time
	list  []announced
}

func overhear(l *nattest.LAN) *overhearing {
	o := &overhearing{begun: time.Now()}
	l.Overhear(func(from netip.AddrPort, pkt []byte) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.list = append(o.list, announced{from.Addr(), time.Since(o.begun), bytes.Clone(pkt)})
	})
	return o
}

// of returns when an address announced, since a moment.
func (o *overhearing) of(from netip.Addr, since time.Duration) (times []time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.list {
		if a.from == from && a.at >= since {
			times = append(times, a.at-since)
		}
	}
	return times
}

// last returns what an address announced last.
func (o *overhearing) last(from netip.Addr) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range slices.Backward(o.list) {
		if a.from == from {
			return a.pkt
		}
	}
	return nil
}

// neighbours are edges on one LAN that announce themselves there.
type neighbours struct {
	*World
	t     *testing.T
	lan   *nattest.LAN
	sn    *Supernode // stopped, unless somebody starts it
	edges []*Edge
	sinks []*Sink
	heard *overhearing
}

// newNeighbours returns a LAN behind a router, or without one. No supernode runs.
func newNeighbours(t *testing.T, router bool) *neighbours {
	w := New(t, 51)
	n := &neighbours{World: w, t: t, sn: w.Supernode(supernodeAddr)}
	n.sn.Stop()
	n.lan = w.Net.LAN()
	if router {
		n.lan = w.Net.Router(netip.MustParseAddr("198.51.100.1"), nattest.PortRestricted).LAN()
	}
	n.heard = overhear(n.lan)
	return n
}

// stagger is between the starts of two edges.
const stagger = 10 * time.Millisecond

// none leaves a device without an IPv4 address, so that no supernode has to lease
// one.
var none = edge.Address{Mode: edge.AddressNone}

// lanAddr is the address of the i-th host of a LAN.
func lanAddr(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 1, byte(2 + i)}) }

// join starts one more edge, and the next one a little later: who comes first is
// no matter of chance.
func (n *neighbours) join(change ...func(*Options)) *Edge {
	sink := new(Sink)
	o := Options{
		Name: fmt.Sprint("edge", len(n.edges)), Supernodes: []*Supernode{n.sn}, Deliver: sink.Deliver,
		Around: Around{LAN: true}, Address: none,
	}
	for _, f := range change {
		f(&o)
	}
	e := n.Edge(n.lan.Host(lanAddr(len(n.edges))), o)
	n.edges, n.sinks = append(n.edges, e), append(n.sinks, sink)
	time.Sleep(stagger)
	return e
}

// lanDirect reports whether two edges reach each other by the LAN.
func (n *neighbours) lanDirect(a, b int) bool {
	there, back := wayTo(n.t, n.edges[a], n.edges[b]), wayTo(n.t, n.edges[b], n.edges[a])
	return there.Path == control.PathDirect && strings.HasPrefix(there.Endpoint, lanAddr(b).String()) &&
		back.Path == control.PathDirect && strings.HasPrefix(back.Endpoint, lanAddr(a).String())
}

func (n *neighbours) flow(from, to int) *Flow {
	return n.Flow(n.edges[from], n.edges[to].MAC, n.sinks[to])
}

// end stops all edges.
func (n *neighbours) end() {
	for _, e := range n.edges {
		e.Stop()
	}
	n.Close()
}

// Members on one LAN meet without a supernode: the first one has a path to the
// second when its announcement has come, and the other way round when the first
// one has answered. Then they carry broadcasts before any other frame.
func TestLANWithoutSupernode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNeighbours(t, false)
		defer n.end()
		n.join()
		time.Sleep(10 * time.Second)
		n.join()
		if way := wayTo(t, n.edges[0], n.edges[1]); way.Path != control.PathDirect {
			t.Errorf("%v after the announcement the way is %+v", stagger, way)
		}
		took := await(t, 5*time.Second, "a direct path on the LAN", func() bool { return n.lanDirect(0, 1) })
		within(t, "meeting", took, 0, 500*time.Millisecond)
		if way := wayTo(t, n.edges[0], n.edges[1]); way.Kind != "lan" {
			t.Errorf("the way is %+v", way)
		}
		all := n.Flow(n.edges[0], protocol.Broadcast, n.sinks[1])
		back := n.flow(1, 0)
		for range 100 {
			all.Send()
			back.Send()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		for _, f := range []*Flow{all, back} {
			if lost, twice := f.Lost(0, f.Len()), f.Twice(); len(lost) > 0 || len(twice) > 0 {
				t.Errorf("lost %s, twice %s", brief(lost), brief(twice))
			}
		}
	})
}

// A newcomer is answered once by everybody, within half a second, and hears from
// each no sooner than its time comes; the newcomer speaks a second time, to those
// who were new to it.
func TestNewcomerIsAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNeighbours(t, false)
		defer n.end()
		const old = 5
		for range old {
			n.join()
		}
		time.Sleep(17 * time.Second) // nobody's next announcement comes before 24 s
		since := time.Since(n.heard.begun)
		n.join()
		time.Sleep(5 * time.Second)
		var answers []time.Duration
		for i := range old {
			times := n.heard.of(lanAddr(i), since)
			if len(times) != 1 {
				t.Fatalf("edge %d announced after %v, want once", i, times)
			}
			within(t, "an answer", times[0], 0, 501*time.Millisecond)
			answers = append(answers, times[0])
		}
		slices.Sort(answers)
		if answers[old-1]-answers[0] < 100*time.Millisecond {
			t.Errorf("all speak at once: %v", answers)
		}
		times := n.heard.of(lanAddr(old), since)
		if len(times) != 2 || times[0] != 0 {
			t.Fatalf("the newcomer announced after %v, want at once and once more", times)
		}
		within(t, "the second announcement", times[1], 2*time.Second, 2501*time.Millisecond)
		for i := range old {
			if !n.lanDirect(i, old) {
				t.Errorf("edge %d and the newcomer have not met", i)
			}
		}
	})
}

// Eight that start together announce themselves three times at most, however many
// are new to them, at least two seconds apart, and then every 24 to 36 s.
func TestAnnouncementsAreSuppressed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNeighbours(t, false)
		defer n.end()
		const all = 8
		for range all {
			n.join()
		}
		time.Sleep(5 * time.Minute)
		for i := range all {
			times := n.heard.of(lanAddr(i), time.Duration(i)*stagger)
			if len(times) < 2 || times[0] != 0 {
				t.Fatalf("edge %d announced after %v", i, times)
			}
			for k := range times[1:] {
				pause := times[k+1] - times[k]
				if k < 2 && pause < 24*time.Second {
					within(t, "a pause before an answer", pause, 2*time.Second, 2501*time.Millisecond)
					continue
				}
				within(t, "a pause", pause, 24*time.Second, 36*time.Second+time.Millisecond)
			}
			for k := range i {
				if !n.lanDirect(i, k) {
					t.Errorf("edges %d and %d have not met", i, k)
				}
			}
		}
	})
}

// On a LAN that loses every third packet and doubles every third one, members
// meet all the same, and nothing is delivered twice.
func TestPoorLAN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNeighbours(t, false)
		defer n.end()
		n.lan.SetLoss(0.3)
		n.lan.SetDuplication(0.3)
		for range 4 {
			n.join()
		}
		took := await(t, 10*time.Minute, "all have met", func() bool {
			time.Sleep(50 * time.Millisecond)
			for i := range n.edges {
				for k := range n.edges {
					if i != k && wayTo(t, n.edges[i], n.edges[k]).Path == control.PathNone {
						return false
					}
				}
			}
			return true
		})
		t.Logf("all have met after %v", took)
		n.lan.SetLoss(0)
		var flows []*Flow
		for i := range n.edges {
			flows = append(flows, n.flow(i, (i+1)%4))
		}
		for range 100 {
			for _, f := range flows {
				f.Send()
			}
			time.Sleep(50 * time.Millisecond)
		}
		for _, f := range flows {
			if lost, twice := f.Lost(50, f.Len()), f.Twice(); len(lost) > 0 || len(twice) > 0 {
				t.Errorf("lost %s, twice %s", brief(lost), brief(twice))
			}
		}
	})
}

// groupControl seals a control message as a member announces it.
func (w *World) groupControl(message func([]byte) []byte) []byte {
	g, err := crypto.NewGroupSender(crypto.GroupConfig{Community: w.Community, Epoch: w.Community.Epochs[0], XF: uint8(protocol.XFGroupGCM), Now: time.Now(), Random: w.random()})
	if err != nil {
		w.tb.Fatal(err)
	}
	ctr, err := g.Reserve(1)
	if err != nil {
		w.tb.Fatal(err)
	}
	return w.sealGroup(g, w.Community.Tag(), ctr, message(protocol.AppendControl(make([]byte, 32, 1400))))
}

// sealGroup makes a GROUP packet of an inner that follows 32 free bytes.
func (w *World) sealGroup(g *crypto.GroupSender, tag uint32, ctr uint64, pkt []byte) []byte {
	protocol.Header{Type: protocol.TypeGroup, XF: protocol.Transform(g.XF()), KI: g.KI(), RX: tag, CTR: ctr}.Put(pkt)
	salt := g.Salt()
	copy(pkt[protocol.HeaderLen:], salt[:])
	sc := crypto.NewScratch()
	pkt = g.Seal(sc, pkt)
	crypto.NewMask(w.Community.MaskKey()).Hide(sc, pkt)
	return pkt
}

// Whatever strangers, another community and dishonest members announce, the
// members keep their paths, know nobody that there is not, and answer nobody.
func TestForgedAnnouncements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNeighbours(t, false)
		defer n.end()
		n.join()
		n.join()
		other := n.join(func(o *Options) { o.Community = n.other("others") })
		time.Sleep(14 * time.Second)
		there, back := n.flow(0, 1), n.flow(1, 0)
		talk := func(d time.Duration) {
			for range d / (100 * time.Millisecond) {
				there.Send()
				back.Send()
				time.Sleep(100 * time.Millisecond)
			}
		}
		talk(time.Second)
		genuine := n.heard.last(lanAddr(0))
		bad := netip.MustParseAddrPort("192.168.1.99:7655")
		statement := func(id *crypto.Identity, cid [16]byte, seq uint64) []byte {
			return id.SignStatement(crypto.Statement{CID: cid, MAC: id.MAC(cid), Seq: seq, Expiry: 1 << 40})
		}
		announce := func(st []byte, port uint16) []byte {
			m := protocol.Announce{Statement: st, Port: port}
			return n.groupControl(m.Append)
		}
		cid := n.Community.ID()
		flipped := statement(n.edges[1].identity, cid, 9)
		flipped[40] ^= 1
		forgeries := map[string][]byte{
			"a replay":                        genuine,
			"garbage":                         bytes.Repeat([]byte{0x5a}, 200),
			"one byte":                        {1},
			"the others'":                     n.heard.last(lanAddr(2)),
			"another message":                 n.groupControl((&protocol.About{Name: "x"}).Append),
			"nothing":                         n.groupControl(func(b []byte) []byte { return b }),
			"a frame":                         n.groupFrame(),
			"a short announcement":            n.groupControl(func(b []byte) []byte { return append(b, byte(protocol.MsgAnnounce), 0, 2, 0, 0) }),
			"another community's statement":   announce(statement(n.edges[1].identity, [16]byte{1}, 9), 5000),
			"a statement with a wrong bit":    announce(flipped, 5000),
			"a port that nobody is probed at": announce(statement(n.edges[1].identity, cid, 1), 53),
			"the edge's own statement":        announce(statement(n.edges[0].identity, cid, 1), 5000),
		}
		for i := range genuine {
			b := bytes.Clone(genuine)
			b[i] ^= 0x10
			forgeries[fmt.Sprint("flipped byte ", i)] = b
		}
		ways := fmt.Sprint(n.lanDirect(0, 1), wayTo(t, n.edges[0], n.edges[1]).Endpoint, wayTo(t, n.edges[1], n.edges[0]).Endpoint)
		since := time.Since(n.heard.begun)
		for _, name := range slices.Sorted(maps.Keys(forgeries)) {
			n.lan.Forge(bad, forgeries[name])
			talk(100 * time.Millisecond) // 20 a second are opened
		}
		// An insider says that another member is where it is not.
		n.lan.Forge(bad, announce(statement(n.edges[1].identity, cid, 1), 5000))
		talk(2 * time.Second)
		if now := fmt.Sprint(n.lanDirect(0, 1), wayTo(t, n.edges[0], n.edges[1]).Endpoint, wayTo(t, n.edges[1], n.edges[0]).Endpoint); now != ways {
			t.Errorf("the ways were %s and are %s", ways, now)
		}
		for i, e := range []*Edge{n.edges[0], n.edges[1], other} {
			peers, err := e.Edge.Peers(context.Background())
			if want := []int{1, 1, 0}[i]; err != nil || len(peers) != want {
				t.Errorf("edge %d knows %d, want %d: %v", i, len(peers), want, err)
			}
			times := n.heard.of(lanAddr(i), since)
			for k := range times[min(1, len(times)):] {
				within(t, "a pause", times[k+1]-times[k], 24*time.Second, 36*time.Second+time.Millisecond)
			}
		}
		if lost, twice := there.Lost(0, there.Len()), back.Twice(); len(lost) > 0 || len(twice) > 0 {
			t.Errorf("lost %s, twice %s", brief(lost), brief(twice))
		}
		t.Logf("drops %v", n.edges[0].status().Drops)
	})
}

// groupFrame seals a frame as a member floods it.
func (w *World) groupFrame() []byte {
	g, err := crypto.NewGroupSender(crypto.GroupConfig{Community: w.Community, Epoch: w.Community.Epochs[0], XF: uint8(protocol.XFGroupGCM), Now: time.Now(), Random: w.random()})
	if err != nil {
		w.tb.Fatal(err)
	}
	ctr, err := g.Reserve(1)
	if err != nil {
		w.tb.Fatal(err)
	}
	frame := Frame(protocol.Broadcast, protocol.MAC{2, 1, 1, 1, 1, 1}, make([]byte, 50))
	buf := append(make([]byte, 64, 1400), frame...)
	start := protocol.EncodeFrame(buf, 64, len(frame), false)
	return w.sealGroup(g, w.Community.Tag(), ctr, append(make([]byte, 32, 1400), buf[start:]...))
}

// A newcomer has not heard what is replayed to it, and takes the stranger's address
// for a member's; it meets that member all the same.
func TestReplayToNewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNeighbours(t, false)
		defer n.end()
		n.join()
		time.Sleep(14 * time.Second)
		genuine := n.heard.last(lanAddr(0))
		n.join()
		n.lan.Forge(netip.MustParseAddrPort("192.168.1.99:7655"), genuine)
		took := await(t, time.Second, "a direct path on the LAN", func() bool { return n.lanDirect(0, 1) })
		t.Logf("met after %v", took)
	})
}

// Thousands of packets of a stranger, and of replays, do not keep members from
// hearing each other.
func TestAnnouncementFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNeighbours(t, false)
		defer n.end()
		n.join()
		stranger, genuine := netip.MustParseAddrPort("192.168.1.99:7655"), n.heard.last(lanAddr(0))
		time.Sleep(14 * time.Second)
		for i := range 6000 {
			n.lan.Forge(stranger, [][]byte{bytes.Repeat([]byte{byte(i)}, 200), genuine}[i%2])
			if i == 3000 {
				n.join()
			}
			time.Sleep(time.Millisecond)
		}
		if there, back := wayTo(t, n.edges[0], n.edges[1]), wayTo(t, n.edges[1], n.edges[0]); !n.lanDirect(0, 1) {
			t.Errorf("the ways are %+v and %+v", there, back)
		}
	})
}

// A LAN falls apart and heals. With a supernode the pair goes on through it within
// two seconds; without one it goes on within the 6 s between two INITs after the
// LAN is whole, whichever of the two once greeted the other.
func TestLANPartition(t *testing.T) {
	for _, c := range []struct {
		name      string
		supernode bool
		from      int
		away      time.Duration
	}{
		{"relayed meanwhile", true, 0, 30 * time.Second},
		{"alone for half a minute", false, 0, 30 * time.Second},
		{"alone for ten minutes", false, 0, 10 * time.Minute},
		{"alone for ten minutes, the other way", false, 1, 10 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNeighbours(t, c.supernode)
				defer n.end()
				if c.supernode {
					n.sn.Start()
					defer n.sn.Stop()
				}
				n.join()
				n.join()
				time.Sleep(10 * time.Second)
				partition(t, n, c.from, c.away, c.supernode)
			})
		})
	}
}

func partition(t *testing.T, n *neighbours, from int, away time.Duration, relay bool) {
	const every, healing = 50 * time.Millisecond, 6100 * time.Millisecond
	f := n.flow(from, 1-from)
	f.For(5*time.Second, every)
	if !n.lanDirect(0, 1) {
		t.Fatalf("before: %+v", wayTo(t, n.edges[0], n.edges[1]))
	}
	n.lan.Split(lanAddr(1))
	broken := time.Now()
	f.For(away, every)
	if relay {
		within(t, "going over to the relay", f.Resumed(broken), 0, 2*time.Second)
	}
	n.lan.Split()
	healed, second := time.Now(), f.Len()
	f.For(20*time.Second, every)
	time.Sleep(time.Second)
	t.Logf("carried again after %v", f.Resumed(healed))
	within(t, "healing", f.Resumed(healed), 0, healing)
	if lost := f.Lost(second+int(healing/every), f.Len()); len(lost) > 0 {
		t.Errorf("lost %s", brief(lost))
	}
	if !n.lanDirect(0, 1) {
		t.Errorf("the way is %+v", wayTo(t, n.edges[0], n.edges[1]))
	}
	if twice := f.Twice(); len(twice) > 0 {
		t.Errorf("delivered twice: %s", brief(twice))
	}
}
