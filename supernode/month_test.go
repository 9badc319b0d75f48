package supernode

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/quota"
)

// useMonth makes the table of the month one of a limit of all in which something was used.
func (r *rig) useMonth(limit, used uint64) {
	m := r.s.relayer.months
	m.table = quota.NewTable(r.now, quota.Limits{All: limit}, 1, 1, 1)
	var p quota.Payer
	m.table.SetPayer(&p, [16]byte{1}, [32]byte{1}, netip.Addr{}, netip.Addr{})
	m.table.Add(&p, used)
}

// monthsEnd is ten seconds before a month ends.
var monthsEnd = time.Date(2026, 3, 31, 23, 59, 50, 0, time.UTC)

// bulk is a packet that is no signalling, of which four are a limit of the tests.
const (
	bulk       = 1000
	bulkLimit  = 4 * (bulk + lineCost)
	bulkPlenty = 1000 * bulkLimit
)

// monthRig has two communities with two edges each, and in the first another edge at the
// address of the first one.
type monthRig struct {
	*rig
	a, b, beside, x, y *fakeEdge
}

func newMonthRig(t *testing.T, limits quota.Limits) *monthRig {
	m := &monthRig{rig: newRig(t, Config{Limits: Limits{Month: limits}})}
	m.now = monthsEnd
	one, two := testCommunity("one", "k"), testCommunity("two", "k")
	m.a, m.b, m.x, m.y = m.edge(one, "a", 1).join(), m.edge(one, "b", 2).join(), m.edge(two, "x", 3).join(), m.edge(two, "y", 4).join()
	m.beside = m.edge(one, "beside", 1)
	m.beside.addr = netip.AddrPortFrom(m.a.addr.Addr(), m.a.addr.Port()+2)
	m.beside.join()
	return m
}

// relays reports whether a packet of size bytes gets from one edge to another, and what the
// first is told of limits.
func (m *monthRig) relays(from, to *fakeEdge, size int) (ok bool, told []protocol.Limited) {
	m.t.Helper()
	got := m.deliver(from.addr, from.wrap(to.ack.Handle, 0, junk(size)))
	for _, r := range from.open(got) {
		if r.typ == protocol.MsgLimited {
			l, err := protocol.ParseLimited(r.value)
			if err != nil {
				m.t.Fatal(err)
			}
			told = append(told, l)
		}
	}
	_, inner := to.unwrap(got)
	return len(inner) == 1, told
}

// TestMonth: who has used up what may be relayed in a month is told so and relayed no more
// until the next one begins, and nobody else loses a packet.
func TestMonth(t *testing.T) {
	for scope, test := range []struct {
		limits         quota.Limits
		what           uint8
		b, beside, two bool // are relayed still
	}{
		quota.All:       {quota.Limits{All: bulkLimit, Community: bulkPlenty, Edge: bulkPlenty, Source: bulkPlenty}, protocol.LimitedMonth, false, false, false},
		quota.Community: {quota.Limits{Community: bulkLimit}, protocol.LimitedCommunityMonth, false, false, true},
		quota.Edge:      {quota.Limits{Edge: bulkLimit}, protocol.LimitedEdgeMonth, true, true, true},
		quota.Source:    {quota.Limits{Source: bulkLimit}, protocol.LimitedNetworkMonth, true, false, true},
	} {
		m := newMonthRig(t, test.limits)
		for i := range 4 {
			if ok, _ := m.relays(m.a, m.b, bulk); !ok {
				t.Fatalf("%d: packet %d is not relayed: %v", scope, i, m.s.refused.drops.nonzero())
			}
		}
		ok, told := m.relays(m.a, m.b, bulk)
		if ok || len(told) != 1 || told[0] != (protocol.Limited{Dropped: 1, What: test.what, Rate: 1}) || m.dropped(dropRelayMonth) != 1 {
			t.Errorf("%d: over the limit: relayed %v, told %+v, drops %v", scope, ok, told, m.s.refused.drops.nonzero())
		}
		if _, floods := m.b.unwrap(m.deliver(m.a.addr, m.a.wrap(protocol.HandleAll, 0, junk(100)))); len(floods) != 0 {
			t.Errorf("%d: a flood is relayed over the limit", scope)
		}
		for _, other := range []struct {
			from, to *fakeEdge
			want     bool
		}{{m.b, m.a, test.b}, {m.beside, m.b, test.beside}, {m.x, m.y, test.two}} {
			if ok, _ := m.relays(other.from, other.to, bulk); ok != other.want {
				t.Errorf("%d: from %v: relayed %v", scope, other.from.addr, ok)
			}
		}
		if st := m.s.Status(); len(st.Notes) != 1 || st.Totals.Month.Used == 0 {
			t.Errorf("%d: %q, %+v", scope, st.Notes, st.Totals)
		}
		m.now = monthsEnd.Add(10 * time.Second)
		if ok, _ := m.relays(m.a, m.b, bulk); !ok {
			t.Errorf("%d: not relayed in the next month: %v", scope, m.s.refused.drops.nonzero())
		}
		if all := m.s.Status().Totals; all.Month.Used != bulk+lineCost || !strings.HasPrefix(all.MonthEnds.String(), "2026-05-01 00:00:00") {
			t.Errorf("%d: in the next month %+v", scope, all)
		}
	}
}

// TestMonthByTURN: what the TURN server sends for an edge counts as what is relayed for it, and
// it sends no more when that is used up.
func TestMonthByTURN(t *testing.T) {
	m := newMonthRig(t, quota.Limits{Edge: bulkLimit})
	spend := func(e *fakeEdge, datagrams, bytes int) bool {
		return m.s.turn.spend(strconv.FormatUint(uint64(e.ack.Handle), 16), datagrams, bytes)
	}
	if !spend(m.a, 1, bulk) || m.s.Status().Totals.Month.Used != bulk+udpCost {
		t.Errorf("after one datagram %+v", m.s.Status().Totals)
	}
	if spend(m.a, 3, bulkLimit) || m.dropped(dropRelayMonth) != 1 {
		t.Error("it sends on over the limit")
	}
	if ok, _ := m.relays(m.a, m.b, bulk); ok {
		t.Error("what it has sent counts for nothing")
	}
	if !spend(m.b, 1, bulk) || !spend(m.x, 0, 0) {
		t.Error("others pay for it")
	}
	m.now = monthsEnd.Add(10 * time.Second)
	if !spend(m.a, 0, 0) {
		t.Error("it sends nothing in the next month")
	}
	if m.s.turn.spend("no handle", 1, 1) {
		t.Error("nobody may send")
	}
}

// TestMonthByAProxy: all that come by reverse proxies are counted together, and may use as much as
// several sources.
func TestMonthByAProxy(t *testing.T) {
	streams := newNoStreams()
	m := &monthRig{rig: newRig(t, Config{Streams: streams, Limits: Limits{Month: quota.Limits{Source: bulkLimit}}})}
	c := testCommunity("one", "k")
	a, b := m.edge(c, "a", 1), m.edge(c, "b", 2).join()
	a.addr = side(1)
	streams.from("127.0.0.1", a.addr)
	a.join()
	for i := range 4 * proxyShare {
		if ok, told := m.relays(a, b, bulk); !ok {
			t.Fatalf("packet %d is not relayed: %+v", i, told)
		}
	}
	if ok, told := m.relays(a, b, bulk); ok || len(told) != 1 || told[0].What != protocol.LimitedNetworkMonth {
		t.Errorf("over the limit: relayed %v, told %+v", ok, told)
	}
	want := admin.Month{Used: proxyShare * bulkLimit, Limit: proxyShare * bulkLimit}
	if got := m.edgesOf(c.ID())[hex.EncodeToString(a.id.ID)].SourceMonth; got != want {
		t.Errorf("the proxies have used %+v, want %+v", got, want)
	}
}

// TestNothingOfTheMonthBefore: when a month begins nothing is shown of what was used, or used up,
// in the one before.
func TestNothingOfTheMonthBefore(t *testing.T) {
	m := newMonthRig(t, quota.Limits{All: bulkLimit, Community: bulkPlenty, Edge: bulkPlenty, Source: bulkPlenty})
	for range 5 {
		m.relays(m.a, m.b, bulk)
	}
	if m.dropped(dropRelayMonth) != 1 {
		t.Fatal("the month is not used up")
	}
	m.now = monthsEnd.Add(12 * time.Second)
	for _, c := range m.s.Communities(0).Communities {
		if c.Month.Used != 0 {
			t.Errorf("community %s: %+v", c.ID, c.Month)
		}
	}
	if notes := m.s.Status().Notes; len(notes) != 0 {
		t.Errorf("%q", notes)
	}
}

// TestMonthLetsSignalsPass: beyond the limit handshakes and candidates are relayed, at a
// trickle, and a hundredth of the limit of them at most.
func TestMonthLetsSignalsPass(t *testing.T) {
	m := newMonthRig(t, quota.Limits{Edge: 5000 * bulkLimit})
	p := &m.a.reg().budget.payer
	m.relays(m.a, m.b, signalSize)
	m.s.relayer.months.table.Add(p, 5000*bulkLimit)
	count := func(n, size int) (passed int) {
		for range n {
			if ok, _ := m.relays(m.a, m.b, size); ok {
				passed++
			}
		}
		return passed
	}
	if n := count(5, signalSize+1); n != 0 {
		t.Errorf("%d packets too large for signalling pass", n)
	}
	first := count(200, 200)
	if first != signalBurst/200 {
		t.Errorf("%d small packets pass at once", first)
	}
	m.now = m.now.Add(5 * time.Second)
	if n := count(200, 200); first+n != (signalBurst+5*signalRate)/200 {
		t.Errorf("%d small packets pass in 5 s", n)
	}
	m.s.relayer.months.table.Add(p, 50*bulkLimit)
	if n := count(1, 200); n != 0 {
		t.Error("more than a hundredth of the limit passes beyond it")
	}
}

// reg is the registration of an edge.
func (e *fakeEdge) reg() *registration {
	return e.r.s.registry.communities[e.community.ID()].byOwner[[32]byte(e.id.ID)]
}

// TestMonthOutlivesKill: what was relayed is counted on when the process was killed after it
// was written, for everybody.
func TestMonthOutlivesKill(t *testing.T) {
	cfg := Config{StateDir: t.TempDir(), Limits: Limits{Month: quota.Limits{Community: bulkLimit}}}
	r := newRig(t, cfg)
	c := testCommunity("one", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	for range 5 {
		r.deliver(a.addr, a.wrap(b.ack.Handle, 0, junk(bulk)))
	}
	r.s.relayer.months.keeper.Save()
	was := r.s.Status().Totals.Month
	r = r.restart(cfg)
	a, b = r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	if is := r.s.Status().Totals.Month; is != was || is.Used != bulkLimit {
		t.Errorf("used %+v, and before the restart %+v", is, was)
	}
	if _, inner := b.unwrap(r.deliver(a.addr, a.wrap(b.ack.Handle, 0, junk(bulk)))); len(inner) != 0 {
		t.Error("a restart has given the community another month")
	}
}
