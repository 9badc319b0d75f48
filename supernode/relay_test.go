package supernode

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

// junk returns a packet that nobody but its receiver could tell from any other.
func junk(n int) []byte {
	b := make([]byte, n)
	random := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func TestRelayUnicast(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	third := r.edge(c, "third", 3).join()
	guest := r.edge(c, "guest", 4)
	guest.connect()
	guest.ask() // confirmed, not registered
	for _, size := range []int{32, 33, 64, 1400, protocol.MaxDatagram - protocol.RelayOverhead} {
		packet := junk(size)
		got := r.deliver(a.addr, a.wrap(b.ack.Handle, 0, packet))
		from, inner := b.unwrap(got)
		if len(got) != 1 || len(inner) != 1 || from[0] != a.ack.Handle || !bytes.Equal(inner[0], packet) {
			t.Errorf("%d bytes: %d sent, from %v", size, len(got), from)
		}
	}
	type attempt struct {
		name   string
		from   *fakeEdge
		pkt    []byte
		reason dropReason
	}
	replayed := a.wrap(b.ack.Handle, 0, junk(50))
	r.deliver(a.addr, bytes.Clone(replayed))
	changed := a.wrap(b.ack.Handle, 0, junk(50))
	changed[len(changed)-1] ^= 1
	tag := a.wrap(b.ack.Handle, 0, junk(50))
	tag[20] ^= 1
	for _, test := range []attempt{
		{"to itself", a, a.wrap(a.ack.Handle, 0, junk(50)), dropRelayTarget},
		{"to nobody", a, a.wrap(12345, 0, junk(50)), dropRelayTarget},
		{"to handle 0", a, a.wrap(0, 0, junk(50)), dropRelayTarget},
		{"flag of a federation", a, a.wrap(b.ack.Handle, protocol.FlagFederated, junk(50)), dropRelayTarget},
		{"flood flag of a federation", a, a.wrap(protocol.HandleAll, protocol.FlagFederated, junk(50)), dropRelayTarget},
		{"too long", a, a.wrap(b.ack.Handle, 0, junk(protocol.MaxDatagram-protocol.RelayOverhead+1)), dropLong},
		{"replay", a, replayed, dropRelayTag},
		{"hop tag", a, tag, dropRelayTag},
		{"guest", guest, guest.wrap(b.ack.Handle, 0, junk(50)), dropUnregistered},
	} {
		before := r.dropped(test.reason)
		if got := r.deliver(test.from.addr, test.pkt); len(got) != 0 {
			t.Errorf("%s: sent %d", test.name, len(got))
		}
		if r.dropped(test.reason) != before+1 {
			t.Errorf("%s: not counted as %v: %v", test.name, test.reason, r.s.refused.drops.nonzero())
		}
	}
	// The last 16 bytes make the mask, so a change there breaks the header.
	if got := r.deliver(a.addr, changed); len(got) != 0 {
		t.Error("changed packet was relayed")
	}
	if got := r.deliver(third.addr, third.wrap(b.ack.Handle, 0, junk(50))); len(got) != 1 {
		t.Error("a third member cannot relay")
	}
	traffic := r.s.Status().Communities[0].Relayed
	if want := (admin.Traffic{Packets: 7, Bytes: 32 + 33 + 64 + 1400 + 2016 + 50 + 50}); traffic != want {
		t.Errorf("counted %+v, want %+v", traffic, want)
	}
}

func TestRelayedHandshakesAreNotParsed(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	_, init := a.initiate(nil) // any bytes will do, but let them be these
	_, got := b.unwrap(r.deliver(a.addr, a.wrap(b.ack.Handle, 0, bytes.Clone(init))))
	if len(got) != 1 || !bytes.Equal(got[0], init) {
		t.Error("the INIT did not arrive as it was")
	}
	if st := r.s.Status(); st.Guests != 0 || st.Sessions != 2 {
		t.Errorf("%+v", st)
	}
}

func TestFlood(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	const n = 200 // more than one batch
	var edges []*fakeEdge
	for i := range n {
		edges = append(edges, r.edge(c, string(rune('a'+i)), i).join())
	}
	gone := edges[n-1]
	gone.ask(&protocol.Unregister{})
	a := edges[0]
	direct := &protocol.Direct{}
	for _, e := range edges[100:] {
		direct.Handles = append(direct.Handles, e.ack.Handle)
	}
	a.ask(direct)
	for _, test := range []struct {
		flags protocol.Flags
		last  int
	}{{0, n - 2}, {protocol.FlagExceptDirect, 99}} {
		packet := junk(1000)
		got := r.deliver(a.addr, a.wrap(protocol.HandleAll, test.flags, packet))
		if len(got) != test.last {
			t.Errorf("flags %d: %d sent, want %d", test.flags, len(got), test.last)
		}
		for _, e := range edges[1 : test.last+1] {
			from, inner := e.unwrap(got)
			if len(inner) != 1 || from[0] != a.ack.Handle || !bytes.Equal(inner[0], packet) {
				t.Fatalf("flags %d: got %d", test.flags, len(inner))
			}
		}
	}
}

func TestOrderOfUnicastAndFlood(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	// One train of equal packets, as the kernel may hand it over.
	var train [][]byte
	for i := range 20 {
		handle := b.ack.Handle
		if i%3 == 1 {
			handle = protocol.HandleAll
		}
		packet := junk(64)
		packet[0] = byte(i)
		train = append(train, a.wrap(handle, 0, packet))
	}
	_, got := r.deliverTrain(a.addr, train...)
	_, inner := b.unwrap(got)
	if len(inner) != 20 {
		t.Fatalf("%d packets", len(inner))
	}
	for i, packet := range inner {
		if packet[0] != byte(i) {
			t.Fatalf("packet %d came as number %d", packet[0], i)
		}
	}
}

func TestRelayBudgets(t *testing.T) {
	count := func(limits Limits, edges int, send func(e *fakeEdge, to uint32) []byte) (delivered int) {
		r := newRig(t, Config{Limits: limits})
		c := testCommunity("c", "k")
		sink := r.edge(c, "sink", 99).join()
		for i := range edges {
			e := r.edge(c, string(rune('a'+i)), i).join()
			for range 100 {
				_, got := sink.unwrap(r.deliver(e.addr, send(e, sink.ack.Handle)))
				delivered += len(got)
			}
			if i == 0 {
				// A second later the bucket is full again.
				r.now = r.now.Add(time.Second)
			}
		}
		return delivered
	}
	unicast := func(e *fakeEdge, to uint32) []byte { return e.wrap(to, 0, junk(100)) }
	flood := func(e *fakeEdge, _ uint32) []byte { return e.wrap(protocol.HandleAll, 0, junk(100)) }
	for _, test := range []struct {
		name   string
		limits Limits
		send   func(*fakeEdge, uint32) []byte
		want   int
	}{
		{"bytes of an edge", Limits{EdgeBytes: 3000}, unicast, 90},
		{"bytes of a community", Limits{CommunityBytes: 5000}, unicast, 100},
		// With the sink, one, two and three receive what the next one floods.
		{"floods of an edge", Limits{EdgeFloods: 20}, flood, 20 + 20/2 + 20/3},
		{"floods of a source", Limits{SourceFloods: 20}, flood, 20 + 20/2 + 20/3},
		{"floods of a community", Limits{CommunityFloods: 15}, flood, 15 + 15/2},
		{"bytes of floods of an edge", Limits{EdgeBytes: 1000}, flood, 10 + 10/2 + 10/3},
		{"no limit in reach", Limits{}, unicast, 300},
	} {
		if got := count(test.limits, 3, test.send); got != test.want {
			t.Errorf("%s: %d delivered, want %d", test.name, got, test.want)
		}
	}
}

// sealMany makes n packets with one call each, so that a test of what relaying
// allocates does not count their making.
func sealMany(e *fakeEdge, n int, handle uint32, size int) [][]byte {
	all := make([][]byte, n)
	for i := range all {
		all[i] = e.wrap(handle, 0, junk(size))
	}
	return all
}

// null is a socket that takes everything.
type null struct{ *recorder }

func (null) WriteBatch(ds []transport.Datagram) (int, error) { return len(ds), nil }

func TestRelayAllocatesNothing(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a := r.edge(c, "a", 1).join()
	b := r.edge(c, "b", 2).join()
	for i := range 10 {
		r.edge(c, string(rune('m'+i)), 10+i).join()
	}
	r.s.sockets.conn = null{r.conn}
	for name, handle := range map[string]uint32{"unicast": b.ack.Handle, "flood": protocol.HandleAll} {
		const runs = 200
		packets := sealMany(a, runs+2, handle, 1300)
		next := 0
		relay := func() {
			r.in.N, r.in.Addr = copy(r.in.Buf, packets[next]), a.addr
			next++
			r.s.handleTrain(r.now, r.out, &r.in)
			r.s.sockets.flush(r.out)
		}
		relay()
		if n := testing.AllocsPerRun(runs, relay); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if n := r.s.Status().Communities[0].Relayed; n.Packets != 202 || n.Floods != 202 {
		t.Errorf("%+v, drops %v", n, r.s.refused.drops.nonzero())
	}
}

func TestHandlesAreRandom(t *testing.T) {
	r := newRig(t, Config{})
	seen := map[uint32]bool{}
	c := testCommunity("c", "k")
	var or, and uint32 = 0, 1<<32 - 1
	for i := range 64 {
		h := r.edge(c, string(rune('a'+i)), i).join().ack.Handle
		if seen[h] || h == 0 || h == protocol.HandleAll {
			t.Errorf("handle %08x", h)
		}
		seen[h], or, and = true, or|h, and&h
	}
	if or != 1<<32-1 || and != 0 {
		var b [8]byte
		binary.BigEndian.PutUint32(b[:], or)
		binary.BigEndian.PutUint32(b[4:], and)
		t.Errorf("bits that never change: %x", b)
	}
}
