package supernode

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/supernode/admin"
)

// edgesOf returns what all documents say of the edges of a community, or of all, by their
// identities. No document may be longer than a page.
func (r *rig) edgesOf(id [16]byte) map[string]admin.Edge {
	r.t.Helper()
	all := make(map[string]admin.Edge)
	for from, first := 0, true; first || from > 0; first = false {
		doc := r.s.Edges(id, from)
		if len(doc.Edges) > walkPage || from > 0 && doc.Next >= from {
			r.t.Fatalf("%d edges in a document from %d to %d", len(doc.Edges), from, doc.Next)
		}
		for _, e := range doc.Edges {
			all[e.Identity] = e
		}
		from = doc.Next
	}
	return all
}

// TestListing has edges of several communities, one with a public address, one behind a NAT,
// one that comes by a stream, and one that has gone.
func TestListing(t *testing.T) {
	streams := newNoStreams()
	r := newRig(t, Config{Streams: streams, Rules: rulesOf(t, "allow community one label Roofs")})
	one, two := testCommunity("one", "k"), testCommunity("two", "k")
	public, behind, streamed := r.edge(one, "public", 1), r.edge(one, "behind", 2), r.edge(two, "streamed", 3)
	request := func(e *fakeEdge, features uint32, candidates ...netip.AddrPort) {
		e.connect()
		m := e.request()
		m.Features, m.Candidates = features, candidates
		if ack, nak := e.register(m); ack == nil {
			t.Fatalf("%+v", nak)
		}
	}
	request(public, protocol.FeatureBridge, netip.MustParseAddrPort("10.9.9.9:7000"), public.addr)
	request(behind, 0, netip.MustParseAddrPort("192.168.1.20:7000"))
	streams.from("203.0.113.9", side(1))
	streamed.addr = side(1)
	request(streamed, protocol.FeatureNoAddress, netip.MustParseAddrPort("192.168.1.21:7000"))
	r.edge(two, "gone", 4).join().ask(&protocol.Unregister{})

	public.ask(&protocol.Direct{Handles: []uint32{behind.ack.Handle}})
	r.now = r.now.Add(20 * time.Second)
	r.deliver(public.addr, public.wrap(behind.ack.Handle, 0, junk(100)))
	r.deliver(public.addr, public.wrap(protocol.HandleAll, 0, junk(50)))
	r.now = r.now.Add(10 * time.Second)

	all := r.edgesOf([16]byte{})
	if len(all) != 3 {
		t.Fatalf("%d edges: %+v", len(all), all)
	}
	check := func(e *fakeEdge, want admin.Edge) {
		t.Helper()
		want.Community, want.ID, want.Identity, want.MAC = communityText(e.community.ID()), e.id.ShortID(), hex.EncodeToString(e.id.ID), e.mac.String()
		want.Lease = e.ack.Lease
		got := all[want.Identity]
		rtt := got.Underlay.RTTms
		if got.Underlay.RTTms = nil; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || rtt != nil && *rtt <= 0 {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	month := admin.Month{Used: 100 + 50 + 2*lineCost}
	check(public, admin.Edge{
		Label: "Roofs", Underlay: admin.Underlay{Transport: admin.TransportUDP, Address: public.addr, NAT: admin.NATNone}, SinceS: 30, SilentS: 10, Direct: 1, Bridge: true,
		Relayed: admin.Traffic{Packets: 1, Bytes: 100, Floods: 1, FloodBytes: 50}, Month: month, SourceMonth: month,
	})
	check(behind, admin.Edge{Label: "Roofs", Underlay: admin.Underlay{Transport: admin.TransportUDP, Address: behind.addr, NAT: admin.NATBefore}, SinceS: 30, SilentS: 30})
	check(streamed, admin.Edge{Underlay: admin.Underlay{Transport: admin.TransportStream, Address: netip.MustParseAddrPort("203.0.113.9:0")}, SinceS: 30, SilentS: 30})

	if some := r.edgesOf(one.ID()); len(some) != 2 || some[hex.EncodeToString(streamed.id.ID)].ID != "" {
		t.Errorf("of one community: %+v", some)
	}
	if some := r.edgesOf([16]byte{9}); len(some) != 0 {
		t.Errorf("of none: %+v", some)
	}
	doc := r.s.Communities(0)
	if len(doc.Communities) != 2 || doc.Next != 0 || doc.UptimeS != 30 {
		t.Fatalf("%+v", doc)
	}
	for _, c := range doc.Communities {
		want := admin.CommunityStatus{ID: communityText(two.ID()), Edges: 1, Leases: 2, Pool: c.Pool, SinceS: 30}
		if c.ID != want.ID {
			want = admin.CommunityStatus{ID: communityText(one.ID()), Label: "Roofs", Edges: 2, Leases: 2, Pool: c.Pool, SinceS: 30, Relayed: all[hex.EncodeToString(public.id.ID)].Relayed, Month: month}
		}
		if c != want {
			t.Errorf("got %+v, want %+v", c, want)
		}
	}
	if all := r.s.registry.totals; all.accepted != 4 || all.traffic != (admin.Traffic{Packets: 1, Bytes: 100, Floods: 1, FloodBytes: 50}) {
		t.Errorf("in all %+v", all)
	}
	// A community without edges has nobody since.
	streamed.ask(&protocol.Unregister{})
	if st := r.s.Status(); st.Communities[0].ID != communityText(one.ID()) || st.Communities[1].SinceS != 0 || st.Communities[1].Edges != 0 {
		t.Errorf("%+v", st.Communities)
	}
}

// TestListingSaysWhoIsLimited: of each budget, the edge, and the community if it is that
// one's; a minute later it is not so any more, and still counted.
func TestListingSaysWhoIsLimited(t *testing.T) {
	for what, limits := range map[string]Limits{
		admin.LimitBytes: {EdgeBytes: 1000}, admin.LimitCommunityBytes: {CommunityBytes: 1000},
		admin.LimitCopies: {EdgeFloods: 10}, admin.LimitNetworkCopies: {SourceFloods: 10}, admin.LimitCommunityCopies: {CommunityFloods: 10},
	} {
		r := newRig(t, Config{Limits: limits})
		c := testCommunity("c", "k")
		e, sink := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
		for range 20 {
			r.deliver(e.addr, e.wrap(sink.ack.Handle, 0, junk(100)))
			r.deliver(e.addr, e.wrap(protocol.HandleAll, 0, junk(100)))
		}
		n := r.dropped(dropRelayBudget)
		all := r.edgesOf(c.ID())
		got, other := all[hex.EncodeToString(e.id.ID)].Limited, all[hex.EncodeToString(sink.id.ID)].Limited
		if n == 0 || got == nil || got.Packets != n || got.Limit != what || !got.Now() || other != nil {
			t.Errorf("%s: %d drops, %+v, of another edge %+v", what, n, got, other)
		}
		ofAll := what == admin.LimitCommunityBytes || what == admin.LimitCommunityCopies
		if in := r.s.Communities(0).Communities[0].Limited; ofAll != (in != nil) || ofAll && *in != *got {
			t.Errorf("%s: the community %+v", what, in)
		}
		r.now = r.now.Add(time.Minute)
		if got = r.edgesOf(c.ID())[hex.EncodeToString(e.id.ID)].Limited; got == nil || got.Packets != n || got.Now() {
			t.Errorf("%s: a minute later %+v", what, got)
		}
	}
}

// steps is the mutex of the tables: it measures how many entries are looked at while
// somebody has it, and lets the tables change in between.
type steps struct {
	w       *walker
	before  int
	longest int
	between func()
}

func (s *steps) Lock() { s.before = s.w.looked }

func (s *steps) Unlock() {
	s.longest = max(s.longest, s.w.looked-s.before)
	if s.between != nil {
		s.between()
	}
}

// crowded fills the tables with n edges in communities of up to each.
func (r *rig) crowded(n, each int) {
	g := r.s.registry
	for i := range n {
		id, owner := [16]byte{1, byte(i / each >> 8), byte(i / each)}, [32]byte{byte(i >> 16), byte(i >> 8), byte(i), 1}
		source := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		reg := &registration{
			community: g.community(id, [32]byte(append(id[:], id[:]...)), source), mac: protocol.MAC{2, 0, byte(i >> 16), byte(i >> 8), byte(i)}, owner: owner,
			handle: uint32(i + 1), seat: seat{source: source}, addr: netip.AddrPortFrom(source, 7000),
		}
		reg.hop = &hop{ends: ends{addr: reg.addr}, hopTimes: hopTimes{heard: r.now}, reg: reg}
		g.add(reg)
		g.setOnline(reg)
	}
}

// TestDocumentsLookInSteps: no document keeps packets waiting for longer than a train does,
// however many edges and communities there are, and each that stays is told however many
// others go meanwhile.
func TestDocumentsLookInSteps(t *testing.T) {
	const edges = 6000
	r := newRig(t, Config{})
	r.crowded(edges, 40)
	g := r.s.registry
	var last [16]byte
	for id := range g.communities {
		last = id
	}
	for name, look := range map[string]func() int{
		"edges":               func() int { return len(r.edgesOf([16]byte{})) },
		"edges of one":        func() int { return len(r.edgesOf(last)) },
		"communities":         func() int { return len(r.s.Communities(0).Communities) },
		"status":              func() int { return len(r.s.Status().Communities) },
		"nobody's":            func() int { return len(r.edgesOf([16]byte{7})) },
		"from beyond the end": func() int { return len(r.s.Edges([16]byte{}, 1<<40).Edges) },
	} {
		s := &steps{w: &r.s.health.listing.walker}
		r.s.health.listing.walker.tables = s
		before := r.s.health.listing.walker.looked
		n := look()
		want := map[string]int{"edges": edges, "edges of one": 40, "communities": edges / 40, "status": edges / 40, "nobody's": 0, "from beyond the end": walkPage}[name]
		if looked := r.s.health.listing.walker.looked - before; n != want || s.longest > walkStep || looked < want {
			t.Errorf("%s: %d of %d told, %d looked at, %d without a pause", name, n, want, looked, s.longest)
		}
	}

	// Every third edge goes, one after each step, wherever it stands in the tables.
	going := 0
	r.s.health.listing.walker.tables = &steps{w: &r.s.health.listing.walker, between: func() {
		if reg := g.byHandle[uint32(3*going+1)]; reg != nil {
			g.setOffline(reg)
			reg.hop = nil
			g.remove(reg)
		}
		going++
	}}
	all := r.edgesOf([16]byte{})
	if going < edges/walkStep {
		t.Fatalf("%d pauses", going)
	}
	for handle, reg := range g.byHandle {
		if _, told := all[hex.EncodeToString(reg.owner[:])]; !told {
			t.Errorf("edge %d stayed and was not told", handle)
		}
	}
}

// TestStatusIsBounded: status has the largest communities alone, and says how many there
// are; and what whoever runs the supernode has noted.
func TestStatusIsBounded(t *testing.T) {
	const more = 50
	r := newRig(t, Config{})
	r.crowded(2*(admin.StatusCommunities+more), 2)
	g := r.s.registry
	for i := range 2 * more { // a half of one each goes
		reg := g.byHandle[uint32(4*i+1)]
		g.setOffline(reg)
		reg.hop = nil
	}
	st := r.s.Status()
	if len(st.Communities) != admin.StatusCommunities || st.Totals.Communities != len(st.Communities)+more || st.Serving || len(st.Notes) != 0 {
		t.Errorf("%d of %d communities, serving %v, notes %q", len(st.Communities), st.Totals.Communities, st.Serving, st.Notes)
	}
	if last := st.Communities[len(st.Communities)-1]; st.Communities[0].Edges != 2 || last.Edges != 1 {
		t.Errorf("from %d to %d edges", st.Communities[0].Edges, last.Edges)
	}
	now := ""
	r.s.Note(func() string { return "The listener has failed." })
	r.s.Note(func() string { return now })
	for _, now = range []string{"", "The socket is gone.", ""} {
		want := []string{"The listener has failed."}
		if now != "" {
			want = append(want, now)
		}
		if notes := r.s.Status().Notes; !slices.Equal(notes, want) {
			t.Errorf("%q, want %q", notes, want)
		}
	}
}
