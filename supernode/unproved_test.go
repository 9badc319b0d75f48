package supernode

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// ledger is what came from addresses that never proved themselves, and what went there.
type ledger map[netip.AddrPort]*struct{ in, out traffic }

func (l ledger) of(a netip.AddrPort) *struct{ in, out traffic } {
	if l[a] == nil {
		l[a] = new(struct{ in, out traffic })
	}
	return l[a]
}

// liar is a registered edge, whose keys are right, at addresses that are not its own.
type liar struct {
	*fakeEdge
	random *rand.Rand
}

// packet makes a packet of the liar's, or of anybody.
func (l *liar) packet() []byte {
	pad := l.random.IntN(60)
	messages := []message{
		&protocol.Ping{Pad: pad}, manyPings(1+l.random.IntN(70), 0), manyPings(1+l.random.IntN(25), l.random.IntN(30)),
		&protocol.Whoami{Pad: pad}, many{&protocol.Whoami{}, 1 + l.random.IntN(60)}, &protocol.Query{}, &protocol.Query{MAC: l.mac},
		l.request(), many{l.request(), 2}, &protocol.Direct{}, &protocol.Pong{Pad: pad}, &protocol.Punch{Handle: 7}, raw{0x33, make([]byte, pad)}, raw{0xb0, nil},
	}
	switch l.random.IntN(10) {
	case 0:
		hello := protocol.AppendHello(nil, [16]byte(junk(16)))
		l.r.s.strangers.greeter.mask.Hide(l.sc, hello)
		return hello
	case 1:
		return stun.Request{ID: [12]byte{1}}.Append(nil)[:20]
	case 2:
		return stun.AppendRequest(nil, [12]byte{2})
	case 3:
		_, init := l.initiate(nil)
		l.index--
		return init
	case 4:
		data := junk(32 + l.random.IntN(40))
		protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: l.random.Uint32(), CTR: 1}.Put(data)
		return l.hide(data)
	case 5:
		return l.wrap(protocol.HandleAll, 0, junk(64))
	case 6:
		return l.seal()
	case 7:
		return l.seal(messages[l.random.IntN(len(messages))], messages[l.random.IntN(len(messages)-2)])
	}
	return l.seal(messages[l.random.IntN(len(messages))])
}

// TestUnprovedAddressesGetNoMoreThanTheySend has registered edges and strangers send
// everything there is, in any order, from addresses that never answer: none of them is
// ever sent more packets or more bytes than came from it.
func TestUnprovedAddressesGetNoMoreThanTheySend(t *testing.T) {
	streams := newNoStreams()
	r := newRig(t, Config{Streams: streams})
	random := rand.New(rand.NewPCG(8, 9))
	c := testCommunity("c", "k")
	var liars []*liar
	for i := range 40 {
		liars = append(liars, &liar{r.edge(c, fmt.Sprint("liar ", i), i).join(), random})
	}
	books := ledger{}
	victim := func() netip.AddrPort {
		n := random.IntN(200)
		switch n % 3 {
		case 0:
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(n)}), 9)
		case 1:
			side := side(100 + n)
			streams.from("203.0.113.9", side)
			return side
		}
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}), 9)
	}
	enter := func(packets []sent) {
		for _, p := range packets {
			if b := books[p.to]; b != nil {
				b.out.count(len(p.pkt))
			}
		}
	}
	steps := 20_000
	if race {
		steps = 1000
	} else if testing.Short() {
		steps = 4000
	}
	answered := 0
	for step := range steps {
		l, at := liars[random.IntN(len(liars))], victim()
		pkt := l.packet()
		books.of(at).in.count(len(pkt))
		before := books[at].out.packets
		enter(r.deliver(at, pkt))
		answered += books[at].out.packets - before
		if random.IntN(4) == 0 {
			enter(r.pass(time.Duration(random.IntN(300))*time.Millisecond, 10*time.Millisecond))
		}
		if random.IntN(200) == 0 { // its session has been replaced, or is old
			l.stamp, l.session = 0, nil
			at := l.addr
			l.connect()
			l.register(l.request())
			if l.addr != at {
				t.Fatal("it moved")
			}
		}
		for a, b := range books {
			if b.out.packets > b.in.packets || b.out.bytes > b.in.bytes {
				t.Fatalf("step %d: %+v to %v for %+v", step, b.out, a, b.in)
			}
		}
	}
	if answered < steps/10 {
		t.Errorf("%d answers only: this shows nothing", answered)
	}
}

// TestKeysAreBounded has one registered edge, and one that is none, make sessions
// without end, over all of which they register or not.
func TestKeysAreBounded(t *testing.T) {
	for _, registers := range []bool{false, true} {
		r := newRig(t, Config{Limits: Limits{Guests: 50}})
		e := r.edge(testCommunity("c", "k"), "e", 1).join()
		for i := range 300 {
			r.now = r.now.Add(30 * time.Millisecond)
			e.connect()
			r.deliver(e.addr, e.seal())
			if registers {
				e.register(e.request())
			}
			if n := len(r.s.sessions.byIdx); n > 2+waitingMost {
				t.Fatalf("registers %v: %d sessions of one key after %d", registers, n, i)
			}
		}
		if len(r.s.sessions.guests.waiting) > 1 || len(r.s.sessions.lanes) != 1 {
			t.Errorf("%d keys wait, %d lanes", len(r.s.sessions.guests.waiting), len(r.s.sessions.lanes))
		}
		// When the registration has gone nothing is left of it.
		r.pass(25*time.Hour, time.Minute)
		if s := r.s; len(s.sessions.byIdx)+len(s.sessions.lanes)+len(s.sessions.guests.waiting)+len(s.registry.statics) != 0 {
			t.Errorf("left: %d sessions, %d lanes, %d waiting, %d keys", len(s.sessions.byIdx), len(s.sessions.lanes), len(s.sessions.guests.waiting), len(s.registry.statics))
		}
	}
}

// TestTablesOfSourcesAreBounded fills every table that grows by senders from outside,
// from more sources than it has room for.
func TestTablesOfSourcesAreBounded(t *testing.T) {
	const guests, members = 40, 30
	r := newRig(t, Config{Limits: Limits{Guests: guests, InitRate: 1e6}, Streams: newNoStreams()})
	c := testCommunity("c", "k")
	var edges []*fakeEdge
	for i := range members {
		edges = append(edges, r.edge(c, fmt.Sprint("member ", i), i).join())
	}
	check := func(what string, n, most int) {
		t.Helper()
		if n > most {
			t.Errorf("%s: %d, at most %d", what, n, most)
		}
	}
	for i := range 600 {
		r.now = r.now.Add(20 * time.Millisecond)
		e := r.edge(c, fmt.Sprint("stranger ", i), 1)
		e.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, byte(i), byte(i >> 8), 1}), uint16(1+i))
		e.connect()
		if i%2 == 0 {
			r.deliver(e.addr, e.seal())
		}
		m := edges[i%members]
		m.addr = e.addr // it moves
		m.answerPings(m.open(r.deliver(m.addr, m.seal(&protocol.Whoami{Pad: 100}))))
		r.deliver(e.addr, junk(100))

		s := r.s.sessions
		check("guests", s.guests.crowd.Len(), guests)
		check("sessions", len(s.byIdx), guests+members*(2+waitingMost))
		check("waiting", len(s.guests.waiting), members)
		check("lanes", len(s.lanes), 2*members)
		check("keys", len(r.s.registry.statics), members)
		check("reasons with lines", len(r.s.refused.strangers), int(dropReasons)+64)
		check("buffers", len(r.out.own.all), 2*outboxFull+transportTrain)
		check("streams to tell", len(r.out.stays), transportTrain)
	}
	if r.s.sessions.guests.crowd.Len() != guests || len(r.s.sessions.lanes) < members/2 {
		t.Errorf("%d guests, %d lanes: nothing was filled", r.s.sessions.guests.crowd.Len(), len(r.s.sessions.lanes))
	}
	if hop := edges[0]; r.s.sessions.byIdx[hop.session.RemoteIndex()] == nil {
		t.Error("a member was displaced")
	}
	r.pass(5*time.Minute, time.Second)
	check("guests in the end", r.s.sessions.guests.count(), 0)
}

// transportTrain is how many datagrams one buffer holds at the most.
const transportTrain = 1985 // of 33 bytes in 64 KiB

// TestRegisteredKeysNeedNoPlace: with all places taken by strangers of one network, who
// go on, a registered edge makes its next session from where it is and from elsewhere.
func TestRegisteredKeysNeedNoPlace(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{Guests: 20}})
	c := testCommunity("c", "k")
	member := r.edge(c, "member", 1)
	member.addr = netip.MustParseAddrPort("192.0.2.7:7000") // a neighbour of the strangers
	member.join()
	flood := func(n int) {
		for i := range n {
			e := r.edge(c, fmt.Sprint("stranger ", i), 1)
			e.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i%100)}), 9)
			r.now = r.now.Add(10 * time.Millisecond)
			e.connect()
		}
	}
	for _, at := range []string{"192.0.2.7:7000", "192.0.2.7:7001", "[2001:db8::7]:9"} {
		flood(60)
		member.addr = netip.MustParseAddrPort(at)
		member.connect()
		flood(60)
		if ack, nak := member.register(member.request()); ack == nil {
			t.Errorf("at %s: %+v", at, nak)
		}
	}
}

// TestMembersHaveLanesOfTheirOwn: what strangers may cost is used up, and their network
// has had all that it may; an edge that is registered there gets its next session.
func TestMembersHaveLanesOfTheirOwn(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	member := r.edge(c, "member", 1).join()
	h := r.s.strangers.handshakes
	h.strangers.use(r.now)
	other := r.edge(c, "other", 1)
	other.addr = netip.AddrPortFrom(member.addr.Addr(), 1)
	cookie := other.cookie()
	if _, pkt := other.initiate(&cookie); len(r.deliver(other.addr, pkt)) != 0 {
		t.Fatal("a stranger is let in")
	}
	was := member.session
	member.connect()
	if member.session == was {
		t.Error("no session")
	}
	// One lane is no hole: it has a rate of its own.
	cookie = member.cookie()
	n := 0
	for range 100 {
		_, pkt := member.initiate(&cookie)
		n += len(r.deliver(member.addr, pkt))
	}
	if n >= laneBurst {
		t.Errorf("%d INITs of one member", n)
	}
}

// use uses up all the time that there is.
func (b *workBudget) use(now time.Time) {
	for b.common.spend(now, handshakeCost, workShare) {
	}
	for b.reserve.spend(now, handshakeCost, quietShare) {
	}
}

// TestManyMembersAreNoHole: anybody can register edges. Those of one address that all
// begin session after session cost no more than their share, and an edge elsewhere
// gets its own.
func TestManyMembersAreNoHole(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	honest := r.edge(testCommunity("other", "k"), "honest", 9).join()
	var edges []*fakeEdge
	for i := range 200 {
		r.now = r.now.Add(30 * time.Millisecond)
		e := r.edge(c, fmt.Sprint("e", i), 1)
		e.addr = netip.AddrPortFrom(e.addr.Addr(), uint16(1000+i))
		e.index = uint32(i) << 12
		edges = append(edges, e.join())
	}
	r.now = r.now.Add(10 * time.Second)
	r.s.strangers.handshakes.strangers.use(r.now) // now a cookie is asked of everybody
	begun := 0
	for _, e := range edges {
		cookie := e.cookie()
		for range laneBurst {
			_, pkt := e.initiate(&cookie)
			begun += len(r.deliver(e.addr, pkt))
		}
	}
	common := workShare * effortKept.Seconds() / handshakeCost.Seconds()
	if float64(begun) > common+4*quietBurst {
		t.Errorf("%d handshakes at once", begun)
	}
	was := honest.session
	honest.connect()
	if honest.session == was {
		t.Error("an honest edge gets no session")
	}
}

// guestLen is the most that one session without a registration takes, with its place:
// 96 MiB for all 16,384.
const guestLen = 6 << 10

// TestMemoryOfGuests makes guests from as many networks.
func TestMemoryOfGuests(t *testing.T) {
	const n = 1000
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1)

	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		e.addr = netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 2: byte(i >> 8), 3: byte(i)}), 9)
		r.now = r.now.Add(2 * time.Millisecond)
		e.connect()
		r.deliver(e.addr, e.seal())
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	if st := r.s.Status(); st.Guests != n || each > guestLen {
		t.Errorf("%d guests of %d bytes each", st.Guests, each)
	}
	t.Logf("%d bytes each", each)
}
