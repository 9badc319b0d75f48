package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// Sizes of the soak.
const (
	soakEdges  = 20
	soakPairs  = 10               // that talk at once
	soakTick   = time.Second      // of the driver
	soakQuiet  = 25 * time.Second // after which everything must arrive again
	soakEpoch  = 5 * time.Hour
	soakEvents = 4 * time.Minute // between two events, on average
)

// soakPaths are the paths that an edge may name.
var soakPaths = []control.Path{control.PathDirect, control.PathRelay, control.PathNone}

// soak is a community through a day: who runs, who talks, and what must hold.
type soak struct {
	*World
	t          *testing.T
	faults     Faults
	ledger     Ledger
	wire       *Wire
	random     *rand.Rand
	supernodes [2]*Supernode
	members    [soakEdges]*soaked
	routers    []*soakRouter
	talks      [soakPairs]talk
	settled    uint64    // frames up to here were checked
	calmFrom   time.Time // what is sent later must arrive
	until      time.Time
	history    []string
	stranger   *nattest.Conn
	events     map[string]int
	most       int // pairs that talked at once
}

// soaked is an edge of the soak.
type soaked struct {
	*Edge
	index   uint8
	knows   uint8 // supernodes, a bit for each
	up      bool
	back    time.Time // when it starts again
	address netip.Prefix
}

type soakRouter struct {
	*nattest.Router
	addr netip.Addr
}

// talk is a burst between two edges.
type talk struct {
	a, b  *soaked
	until time.Time
	rate  int // frames each way in a tick
}

// A community of twenty lives through a day with everything that happens to one,
// and what must never happen does not.
func TestSoak(t *testing.T) {
	t.Parallel()
	day, seed := 24*time.Hour, uint64(1)
	switch {
	case race:
		day = time.Hour
	case testing.Short():
		day = 2 * time.Hour
	}
	if s := os.Getenv("SIM_SEED"); s != "" {
		seed, _ = strconv.ParseUint(s, 10, 64)
	}
	if s := os.Getenv("SIM_HOURS"); s != "" {
		h, _ := strconv.Atoi(s)
		day = time.Duration(h) * time.Hour
	}
	began := time.Now()
	synctest.Test(t, func(t *testing.T) {
		s := newSoak(t, seed)
		s.until = time.Now().Add(day)
		s.run()
		s.end()
	})
	if t.Failed() {
		t.Logf("repeat with SIM_SEED=%d", seed)
	}
	t.Logf("%v in %v", day, time.Since(began).Round(time.Millisecond))
}

func newSoak(t *testing.T, seed uint64) *soak {
	s := &soak{World: New(t, seed), t: t, random: rand.New(rand.NewPCG(seed, 2)), events: make(map[string]int)}
	s.faults.start = time.Now()
	s.ledger.faults = &s.faults
	s.rolls(soakEpoch, soakEpoch, 6)
	s.supernodes[0] = s.Supernode(supernodeAddr, netip.MustParseAddr("2001:db8:ffff::1"))
	s.supernodes[1] = s.Supernode(netip.MustParseAddr("203.0.113.2"), netip.MustParseAddr("2001:db8:ffff::2"))
	s.wire = NewWire(&s.faults, s.Community, s.supernodes[:]...)
	s.Net.Tap(s.wire.Tap)
	var err error
	if s.stranger, err = s.Net.Host(intruderAddr).Listen(0); err != nil {
		t.Fatal(err)
	}
	for i := range s.members {
		s.members[i] = s.member(uint8(i), s.host(i))
	}
	s.calmFrom = time.Now().Add(soakQuiet)
	return s
}

// router adds a router that the soak may reboot.
func (s *soak) router(i int, b nattest.Behavior) *nattest.Router {
	r := &soakRouter{addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)})}
	r.Router = s.Net.Router(r.addr, b)
	s.routers = append(s.routers, r)
	return r.Router
}

// host gives every edge its place.
func (s *soak) host(i int) *nattest.Host {
	inside := netip.MustParseAddr("192.168.1.2")
	switch {
	case i < 3:
		return public4(s.Net, i)
	case i < 5:
		return public6(s.Net, i)
	case i == 5:
		return dual(s.Net, i)
	case i < 12:
		return s.router(i, nattest.PortRestricted).Host(inside)
	case i < 14:
		return s.router(i, nattest.FullCone).Host(inside)
	case i < 17:
		return s.router(i, nattest.Symmetric).Host(inside)
	case i == 17:
		return s.router(i, openInput).Host(inside)
	case i == 18:
		return s.router(i, nattest.PortRestricted).Host(inside)
	}
	return s.routers[len(s.routers)-1].Host(netip.MustParseAddr("192.168.1.3")) // beside 18
}

// asksHosts says whether a frame asks an edge's own hosts what multicasts they want, which
// nobody sent: it is to all hosts (RFC 3376 section 4.1.12, RFC 3810 section 5.1.15).
func asksHosts(frame []byte) bool {
	to := protocol.Frame(frame).Dst()
	return to == protocol.MAC{0x01, 0, 0x5e, 0, 0, 1} || to == protocol.MAC{0x33, 0x33, 0, 0, 0, 1}
}

func (s *soak) member(i uint8, h *nattest.Host) *soaked {
	m := &soaked{index: i, knows: 3, up: true}
	list := s.supernodes[:]
	switch i {
	case 7, 15:
		m.knows, list = 1, s.supernodes[:1]
	case 8, 16:
		m.knows, list = 2, s.supernodes[1:]
	}
	m.Edge = s.Edge(h, Options{
		Name: fmt.Sprint("edge", i), Supernodes: list, State: true,
		Deliver: func(frame []byte) {
			if !asksHosts(frame) {
				s.ledger.Deliver(i, frame)
			}
		},
		ClockOffset: s.skew(i),
		Report: func(ev control.Event) {
			switch ev.Kind {
			case control.EventLease:
				m.leased(s, ev.Prefix)
			case control.EventMACTaken, control.EventAddressRefused, control.EventRefused, control.EventWrongKey, control.EventKeyChanged:
				s.faults.Add("edge %d reports %d: %+v", i, ev.Kind, ev)
			}
		},
	})
	return m
}

// skew is how wrong an edge's clock is: most a little, every fifth by as much as
// twenty minutes, so that salts of strangers look stale.
func (s *soak) skew(i uint8) time.Duration {
	span := 2 * time.Minute
	if i%5 == 4 {
		span = 20 * time.Minute
	}
	return time.Duration(s.random.Int64N(2*int64(span)) - int64(span))
}

// leased notes an edge's address, which stays the same for good. It runs in the
// edge's own goroutine, and only that one writes it.
func (m *soaked) leased(s *soak, p netip.Prefix) {
	if m.address.IsValid() && m.address != p {
		s.faults.Add("edge %d had %v and has %v", m.index, m.address, p)
	}
	m.address = p
}

func (s *soak) note(format string, args ...any) {
	s.history = append(s.history, fmt.Sprintf("%v ", time.Since(s.faults.start).Round(time.Second))+fmt.Sprintf(format, args...))
}

// latest returns what happened last.
func (s *soak) latest() string {
	return "after " + strings.Join(s.history[max(0, len(s.history)-4):], "; ")
}

// run is the day.
func (s *soak) run() {
	next := time.Now().Add(time.Minute)
	for time.Now().Before(s.until) && len(s.faults.list) == 0 {
		s.speak()
		time.Sleep(soakTick)
		synctest.Wait()
		s.settle()
		for _, m := range s.members {
			if !m.up && !time.Now().Before(m.back) {
				s.pause()
				m.up = true
				m.Start()
				s.note("edge %d starts", m.index)
				s.disturbed()
			}
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(soakEvents/2 + time.Duration(s.random.Int64N(int64(soakEvents))))
		s.pause()
		s.event()
		s.disturbed()
		s.check()
	}
}

// pause lets what is under way arrive, and checks that it did.
func (s *soak) pause() {
	time.Sleep(time.Second)
	synctest.Wait()
	s.settle()
}

// settle checks that what was sent arrived where it had to. When something is
// missing it tells what the two ends know of each other.
func (s *soak) settle() {
	var from, to uint8
	if s.settled, from, to = s.ledger.Settle(s.settled, s.latest); from == to {
		return
	}
	before := s.dropped()
	s.inquire(from, to)
	s.send(s.members[from], s.members[to], false)
	time.Sleep(soakTick)
	for what, n := range s.dropped() {
		if n > before[what] {
			s.note("%s: %d drops", what, n-before[what])
		}
	}
	s.note("the next frame arrived: %v", s.ledger.Arrived())
	s.inquire(from, to)
}

// inquire notes what two edges know of each other.
func (s *soak) inquire(a, b uint8) {
	for _, ends := range [][2]uint8{{a, b}, {b, a}} {
		m := s.members[ends[0]]
		if !m.up {
			continue
		}
		peers, err := m.Edge.Edge.Peers(s.t.Context())
		for _, p := range peers {
			if p.MAC == s.members[ends[1]].MAC.String() {
				s.note("edge %d knows %d: %+v", ends[0], ends[1], p)
			}
		}
		if err != nil {
			s.note("edge %d: %v", m.index, err)
		}
	}
}

// dropped returns everybody's drops by reason.
func (s *soak) dropped() map[string]uint64 {
	now := make(map[string]uint64)
	for _, m := range s.members {
		if !m.up {
			continue
		}
		if st, err := m.Edge.Edge.Status(s.t.Context()); err == nil {
			for reason, n := range st.Drops {
				now[fmt.Sprint("edge ", m.index, " ", reason)] = n
			}
		}
	}
	for i, sn := range s.supernodes {
		for reason, n := range sn.Server.Status().Drops {
			now[fmt.Sprint("supernode ", i, " ", reason)] = n
		}
	}
	return now
}

// disturbed says that from now on for a while frames may get lost.
func (s *soak) disturbed() {
	if from := time.Now().Add(soakQuiet); from.After(s.calmFrom) {
		s.calmFrom = from
	}
}

// speak lets everybody who talks say what he has to in this tick.
func (s *soak) speak() {
	calm := !time.Now().Before(s.calmFrom)
	idle, talking := 600, 0 // ticks between two bursts, on average
	if time.Since(s.faults.start)%(30*time.Minute) < 5*time.Minute {
		idle = 15 // everybody comes to work
	}
	for i := range s.talks {
		k := &s.talks[i]
		if k.a == nil || time.Now().After(k.until) || !k.a.up || !k.b.up {
			if k.a != nil {
				k.a = nil
			}
			if s.random.IntN(idle) == 0 {
				s.begin(k)
			}
			continue
		}
		talking++
		for range k.rate {
			s.send(k.a, k.b, calm)
			s.send(k.b, k.a, calm)
		}
	}
	s.most = max(s.most, talking)
	if s.random.IntN(20) == 0 {
		if m := s.members[s.random.IntN(soakEdges)]; m.up {
			s.broadcast(m, calm)
		}
	}
	if s.random.IntN(10) == 0 {
		s.annoy()
	}
}

// begin begins a burst between two edges that share a supernode.
func (s *soak) begin(k *talk) {
	i := s.random.IntN(soakEdges)
	j := (i + []int{1, 3, 7}[s.random.IntN(3)]) % soakEdges // whom one mostly talks with
	if s.random.IntN(5) == 0 {
		j = s.random.IntN(soakEdges)
	}
	a, b := s.members[i], s.members[j]
	if a == b || !a.up || !b.up || a.knows&b.knows == 0 {
		return
	}
	*k = talk{a: a, b: b, until: time.Now().Add(time.Duration(5+s.random.IntN(60)) * time.Second), rate: 1}
	if s.random.IntN(6) == 0 {
		k.rate, k.until = 20, time.Now().Add(4*time.Second)
	}
}

func (s *soak) size() int {
	if s.random.IntN(4) == 0 {
		return 600 + s.random.IntN(760)
	}
	return 60
}

func (s *soak) send(from, to *soaked, calm bool) {
	expected := uint32(0)
	if calm {
		expected = 1 << to.index
	}
	from.Device.Inject(s.ledger.Enter(from.MAC, to.MAC, from.index, to.index, s.size(), expected))
}

func (s *soak) broadcast(from *soaked, calm bool) {
	expected := uint32(0)
	for _, m := range s.members {
		if calm && m != from && m.up && m.knows&from.knows != 0 {
			expected |= 1 << m.index
		}
	}
	from.Device.Inject(s.ledger.Enter(from.MAC, protocol.Broadcast, from.index, everybody, s.size(), expected))
}

// annoy sends a datagram of a stranger to a supernode.
func (s *soak) annoy() {
	lengths := []int{20, 32, 48, 64, 96, 96, 192, 192, 300}
	b := make([]byte, lengths[s.random.IntN(len(lengths))])
	for i := range b {
		b[i] = byte(s.random.Uint32())
	}
	to := s.supernodes[s.random.IntN(2)].Addr
	if s.random.IntN(2) == 0 {
		var nonce [16]byte
		b = protocol.AppendHello(nil, nonce)
		crypto.NewMask(crypto.HelloMaskKey(nil)).Hide(crypto.NewScratch(), b)
	}
	_, _ = s.stranger.WriteBatch([]transport.Datagram{{Buf: b, N: len(b), Addr: to}})
}

// event lets one thing happen.
func (s *soak) event() {
	what := ""
	switch n := s.random.IntN(20); {
	case n < 3:
		what = s.leave("stops", (*Edge).Stop)
	case n < 7:
		what = s.leave("is killed", (*Edge).Kill)
	case n < 11:
		r := s.routers[s.random.IntN(len(s.routers))]
		r.Reboot()
		what = "NAT reboots"
		s.note("router %v reboots", r.addr)
	case n < 12:
		r := s.routers[s.random.IntN(len(s.routers))]
		a := r.addr.As4()
		a[2] ^= 1
		r.addr = netip.AddrFrom4(a)
		r.SetAddr(r.addr)
		what = "renumbering"
		s.note("a line becomes %v", r.addr)
	case n < 16:
		what = "loss"
		s.lossy()
	case n < 18:
		what = "supernode restart"
		s.restart()
	default:
		what = "cut"
		s.cut()
	}
	s.events[what]++
}

// leave ends an edge for a while.
func (s *soak) leave(how string, end func(*Edge)) string {
	m := s.members[s.random.IntN(soakEdges)]
	if !m.up {
		return "nothing"
	}
	end(m.Edge)
	m.up = false
	away := time.Duration(0)
	if s.random.IntN(2) == 0 {
		away = time.Duration(s.random.IntN(900)) * time.Second
	}
	m.back = time.Now().Add(away)
	s.note("edge %d %s for %v", m.index, how, away)
	return how
}

// rough lets the members talk on while something is wrong.
func (s *soak) rough(d time.Duration) {
	s.disturbed()
	for range d / soakTick {
		s.calmFrom = time.Now().Add(soakQuiet)
		s.speak()
		time.Sleep(soakTick)
	}
}

func (s *soak) lossy() {
	p := 0.01 + 0.05*s.random.Float64()
	s.note("%.1f %% loss", 100*p)
	s.Net.SetLoss(p)
	s.rough(time.Duration(30+s.random.IntN(150)) * time.Second)
	s.Net.SetLoss(0)
	s.note("no more loss")
}

func (s *soak) restart() {
	n := s.random.IntN(2)
	sn := s.supernodes[n]
	away := time.Duration(s.random.IntN(60)) * time.Second
	if s.random.IntN(2) == 0 {
		s.note("supernode %d stops for %v", n, away)
		sn.Stop()
	} else {
		s.note("supernode %d is killed for %v", n, away)
		sn.Kill()
	}
	s.rough(away)
	sn.Start()
	s.note("supernode %d starts", n)
}

// cut lets one router's traffic die silently but for the supernodes'.
func (s *soak) cut() {
	r := s.routers[s.random.IntN(len(s.routers))]
	s.note("the direct ways of %v die", r.addr)
	hop := func(a netip.AddrPort) bool { return a.Port() == s.supernodes[0].Addr.Port() }
	s.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool {
		return (from.Addr() == r.addr || to.Addr() == r.addr) && !hop(from) && !hop(to)
	})
	s.rough(time.Duration(20+s.random.IntN(60)) * time.Second)
	s.Net.SetDrop(nil)
	s.note("they live")
}

// check looks at what everybody knows.
func (s *soak) check() {
	synctest.Wait()
	macs, ips := make(map[string]uint8), make(map[netip.Addr]uint8)
	for _, m := range s.members {
		if other, twice := macs[m.MAC.String()]; twice {
			s.faults.Add("edges %d and %d have MAC %v", m.index, other, m.MAC)
		}
		macs[m.MAC.String()] = m.index
		if !m.up {
			continue
		}
		for _, p := range m.Device.Addresses() {
			if other, twice := ips[p.Addr()]; twice {
				s.faults.Add("edges %d and %d have address %v", m.index, other, p)
			}
			ips[p.Addr()] = m.index
		}
	}
	for _, m := range s.members {
		if m.up {
			s.checkEdge(m)
		}
	}
	for i, sn := range s.supernodes {
		st := sn.Server.Status()
		if st.Edges > soakEdges || st.Leases > soakEdges || st.Sessions > 3*soakEdges || st.Guests > soakEdges || len(st.Communities) != 1 {
			s.faults.Add("supernode %d holds too much: %+v", i, st)
		}
	}
}

// checkEdge looks at the tables of an edge, and at whom it takes its peers for.
func (s *soak) checkEdge(m *soaked) {
	list, err := m.Edge.Edge.Ceilings(s.t.Context())
	if err != nil {
		s.faults.Add("edge %d: %v", m.index, err)
		return
	}
	for _, c := range list {
		if c.Count > c.Max || c.Table != "shared bytes for pieces" && c.Count > 8*soakEdges {
			s.faults.Add("edge %d holds %d %s", m.index, c.Count, c.Table)
		}
	}
	if err := m.Edge.Edge.Verify(s.t.Context()); err != nil {
		s.faults.Add("edge %d forgot something: %v", m.index, err)
	}
	peers, err := m.Edge.Edge.Peers(s.t.Context())
	if err != nil {
		s.faults.Add("edge %d: %v", m.index, err)
		return
	}
	owners := make(map[string]string)
	for _, p := range peers {
		owner := ""
		for _, o := range s.members {
			if o.MAC.String() == p.MAC {
				owner = o.identity.ShortID()
			}
		}
		if owners[p.MAC] != "" || owner != p.ID || !slices.Contains(soakPaths, p.Path) {
			s.faults.Add("edge %d knows the peer %+v", m.index, p)
		}
		owners[p.MAC] = p.ID
	}
}

func (s *soak) end() {
	s.pause()
	s.check()
	for _, m := range s.members {
		if m.up {
			m.Stop()
		}
	}
	for _, sn := range s.supernodes {
		sn.Stop()
	}
	s.stranger.Close()
	s.Close()
	for _, f := range s.faults.list {
		s.t.Error(f)
	}
	if s.faults.more > 0 {
		s.t.Errorf("and %d more", s.faults.more)
	}
	if s.t.Failed() {
		s.t.Log(strings.Join(s.history[max(0, len(s.history)-30):], "\n"))
	}
	s.t.Logf("%d frames sent, %d deliveries, %d of them elsewhere, %d datagrams, %d pairs at once, events %v",
		s.ledger.next, s.ledger.delivered, s.ledger.elsewhere, s.wire.seen, s.most, s.events)
}
