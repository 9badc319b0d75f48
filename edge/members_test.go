package edge

import (
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
	"hedgerow/roster"
)

var testAuthority = crypto.NewAuthority([32]byte{0xa1})

// listedCommunity is testCommunity with a list of members.
func listedCommunity() *crypto.Community {
	c := *testCommunity()
	c.Members, c.Authority = crypto.MembersList, testAuthority.Public()
	return &c
}

// listedConfig gives the edge under test a community with a list.
func listedConfig(c *Config) { c.Community = listedCommunity() }

// listed has the community of an edge that runs be another one, with a list.
func (v *testServer) listed() {
	v.tb.Helper()
	c := listedCommunity()
	v.keys.community, v.self.cid, v.peers.pins.cid, v.self.isolation.admission.on = c, c.ID(), c.ID(), true
	if err := v.replaceKeys(noon, c, nil); err != nil {
		v.tb.Fatal(err)
	}
	v.data.lists.begin(noon)
	v.settle(noon)
}

// entry is the entry of a test identity.
func entry(n byte, role roster.Role) roster.Entry {
	return roster.Entry{ID: [32]byte(testIdentity(n).ID), Role: role}
}

// signedList is a list of test identities, those of the fillers among them.
func signedList(tb testing.TB, serial uint64, entries ...roster.Entry) *roster.List {
	tb.Helper()
	l, err := roster.Sign(testAuthority, listedCommunity().ID(), serial, noon, noon.Add(30*24*time.Hour), entries)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// fillers are further entries, so that a list has several pieces.
func fillers(n byte) (list []roster.Entry) {
	for i := range n {
		list = append(list, entry(100+i, 0))
	}
	return list
}

// adopts has the edge take a list as from its user.
func (e *testEdge) adopts(l *roster.List) {
	e.tb.Helper()
	if err := e.data.lists.install(noon, (&roster.File{List: l}).Append(nil)); err != nil {
		e.tb.Fatal(err)
	}
	e.settle(noon)
	e.consistent()
}

// arrives gives somebody a session, in which the first packet says which list he has and
// who he is.
func (e *testEdge) arrives(now time.Time, n byte, list protocol.List) *peer {
	e.tb.Helper()
	id := testIdentity(n)
	p := e.peers.meet(now, id.Static)
	e.hop()
	e.promote(p, e.session(p, now, uint32(n)*100, true))
	e.peers.setHandle(p, 0, uint32(n))
	e.settle(now)
	_, raw := e.sign(id, id.MAC(e.self.cid), 2)
	e.says(now, p, (&protocol.Statement{Signed: raw}).Append(list.Append(nil)))
	return p
}

// gives has a peer send pieces of a list.
func (e *testEdge) gives(now time.Time, p *peer, l *roster.List, indices ...int) {
	e.tb.Helper()
	for _, i := range indices {
		m, _ := l.Part(i)
		e.says(now, p, m.Append(nil))
	}
}

func (p *peer) exchanging() bool { return p.view.Standing().Rights.Has(bridge.Exchange) }

// TestNewcomerBringsList: somebody who is in no list here, and names a newer one that the
// authority has signed, stays for as long as it takes to fetch that. One who names none, an
// old one, or one with another's signature has no session the moment he has said who he is.
func TestNewcomerBringsList(t *testing.T) {
	e := newEdge(t, listedConfig)
	old := signedList(t, 2, entry(1, 0), entry(2, 0))
	e.adopts(old)
	list := signedList(t, 3, append(fillers(40), entry(1, 0), entry(2, 0), entry(3, 0))...)
	forged := list.Head
	forged.Serial++
	n := byte(10)
	for name, m := range map[string]protocol.List{"none": {}, "an old one": {Head: &signedList(t, 1, entry(4, 0)).Head}, "the same": {Head: &old.Head}, "a forged one": {Head: &forged}} {
		n++
		if p := e.arrives(noon, n, m); !p.sessions.idle() || p.exchanging() {
			t.Errorf("somebody with %s has a session", name)
		}
	}
	p := e.arrives(noon, 3, protocol.List{Head: &list.Head})
	if p.sessions.idle() || p.exchanging() || e.data.lists.fetch.from != p {
		t.Fatal("the list of a newcomer is not fetched")
	}
	e.gives(noon, p, list, 2, 0, 1)
	if e.self.isolation.admission.list.Head != list.Head || !p.exchanging() {
		t.Error("the newcomer is no member, though its list says so")
	}
	slow := e.arrives(noon, 5, protocol.List{Head: &signedList(t, 9, entry(5, 0)).Head})
	e.pass(noon.Add(bringWithin + listLook))
	if !slow.sessions.idle() {
		t.Error("who never sends the list that he named keeps his session")
	}
}

// TestRevokedAtOnce: the moment a list comes the sessions of whoever is revoked by it end,
// its address is nobody's, and it is not answered; what the supernode says of it is not
// believed. Its role ends as well, and that of who has another one now.
func TestRevokedAtOnce(t *testing.T) {
	v := registered(t, func(c *Config) { listedConfig(c); c.Ethernet.Bridge = true })
	v.adopts(signedList(t, 1, entry(1, roster.Bridge), entry(2, roster.Bridge), entry(3, roster.Bridge)))
	gone, other := v.met(2, "gone"), v.met(3, "other")
	for _, p := range []*peer{gone, other} {
		p.view.SetFeatures(protocol.FeatureBridge)
		v.peers.mark(p)
	}
	v.settle(noon)
	if !gone.exchanging() || !gone.view.Standing().Rights.Has(bridge.SpeakForHosts) || gone.view.Standing().Alone {
		t.Fatalf("a bridge may not be one: %+v", gone.view.Standing())
	}
	v.adopts(signedList(t, 2, entry(1, roster.Bridge), entry(2, roster.Bridge|roster.Revoked), entry(3, 0)))
	if !gone.sessions.idle() || gone.exchanging() || gone.identity.bound {
		t.Error("who was revoked has a session or its address")
	}
	if s := other.view.Standing(); !other.exchanging() || s.Rights.Has(bridge.SpeakForHosts) || !s.Alone {
		t.Errorf("who is no bridge any more: %+v", s)
	}
	psk, _ := v.keys.PSK(noon, v.keys.group.KI())
	init := v.initOf(testIdentity(2), v.keys.group.KI(), psk, noon)
	v.handle(noon, dataplane.InitReceived{Origin: atPeer, Packet: init})
	if !gone.sessions.idle() {
		t.Error("who was revoked is answered")
	}
	v.claims(9, protocol.MAC(testIdentity(9).MAC(v.self.cid)))
	if p := v.peers.byStatic[testIdentity(9).Static]; p != nil {
		t.Error("a stranger that a supernode tells of is in the book")
	}
	v.adopts(signedList(t, 3, entry(1, roster.Bridge), entry(3, 0)))
	if e := v.data.lists.install(noon, (&roster.File{List: signedList(t, 2, entry(1, 0), entry(2, 0))}).Append(nil)); e == nil {
		t.Error("an old list was taken from the user")
	}
}

// TestHeardOnceAMinute: who was barred may say once a minute which list he has.
func TestHeardOnceAMinute(t *testing.T) {
	v := registered(t, listedConfig)
	v.adopts(signedList(t, 1, entry(1, 0)))
	p := v.arrives(noon, 2, protocol.List{})
	for _, after := range []time.Duration{30 * time.Second, hearsAgain + time.Second} {
		now, want := noon.Add(after), after > hearsAgain
		psk, _ := v.keys.PSK(now, v.keys.group.KI())
		v.handle(now, dataplane.InitReceived{Origin: atPeer, Packet: v.initOf(testIdentity(2), v.keys.group.KI(), psk, now)})
		if got := !p.sessions.idle(); got != want {
			t.Errorf("after %v there is a session: %v", after, got)
		}
	}
}

// TestUnprovenKeptShort: who does not say who he is hears nothing but who we are, arranges
// no path, sends no frame, and has no session after ten seconds.
func TestUnprovenKeptShort(t *testing.T) {
	e := newEdge(t, listedConfig)
	e.adopts(signedList(t, 1, entry(1, 0), entry(2, 0)))
	p := e.peers.meet(noon, testIdentity(2).Static)
	e.hop()
	e.promote(p, e.session(p, noon, 200, true))
	p.sessions.introduce = true
	e.peers.setHandle(p, 0, 2)
	e.settle(noon)
	if p.identity.listing.full || p.exchanging() {
		t.Error("somebody unknown was told all")
	}
	e.paths.routing.start(noon, p)
	call := protocol.Candidates{Gen: 1, List: []protocol.Candidate{{Kind: 2, Addr: netip.MustParseAddrPort("198.51.100.77:4000")}}}
	e.says(noon, p, call.Append(nil))
	if p.reach.path.Knows(netip.MustParseAddrPort("198.51.100.77:4000")) || e.drops()["unlisted-session"] == 0 {
		t.Error("somebody unknown has us look for a path")
	}
	e.pass(noon.Add(proveWithin + 2*listLook))
	if !p.sessions.idle() {
		t.Error("somebody unknown keeps his session")
	}
	p = e.arrives(noon, 2, protocol.List{})
	if !p.exchanging() || !p.identity.listing.full {
		t.Error("a member that has said who it is was not told all")
	}
}

// TestLyingMember: a member that sends wrong pieces is found out and asked no more; the
// list comes from another one. What it sends costs no memory and changes nothing.
func TestLyingMember(t *testing.T) {
	var log strings.Builder
	e := newEdge(t, func(c *Config) { listedConfig(c); c.Host.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	e.adopts(signedList(t, 1, entry(1, 0), entry(2, 0), entry(3, 0)))
	list := signedList(t, 2, append(fillers(60), entry(1, 0), entry(2, 0), entry(3, 0))...)
	liar := e.arrives(noon, 2, protocol.List{Head: &list.Head})
	honest := e.arrives(noon, 3, protocol.List{Head: &list.Head})
	if e.data.lists.fetch.from != liar {
		t.Fatal("the list is fetched from somebody else")
	}
	e.gives(noon, liar, list, 0)
	m, _ := list.Part(1)
	m.Entries[0].Roles ^= uint8(roster.Revoked)
	e.says(noon, liar, m.Append(nil))
	if e.drops()["list-piece"] != 1 || !liar.identity.listing.lied || e.data.lists.fetch.from != honest || !strings.Contains(log.String(), "wrong pieces") {
		t.Errorf("a wrong piece: %v, %s", e.drops(), &log)
	}
	if liar.sessions.idle() || !liar.exchanging() {
		t.Error("a member that lies about a list is a member all the same")
	}
	e.gives(noon, honest, list, 1, 2, 3)
	if e.self.isolation.admission.list.Head.Serial != 2 {
		t.Error("the list did not come from the other one")
	}
	// Replayed heads and pieces of the lists before.
	e.says(noon, honest, (&protocol.List{Head: &signedList(t, 1, entry(1, 0), entry(2, 0), entry(3, 0)).Head}).Append(nil))
	e.gives(noon, honest, list, 0, 1)
	if e.self.isolation.admission.list.Head.Serial != 2 || e.data.lists.fetch.of != nil {
		t.Error("an old list changed something")
	}
	last := signedList(t, 3, append(fillers(60), entry(1, 0))...)
	e.says(noon, liar, (&protocol.List{Head: &last.Head}).Append(nil))
	if e.data.lists.fetch.of != nil || e.drops()["list-liar"] != 1 {
		t.Error("the liar is asked again")
	}
}

// TestListsBounded: heads that nobody has signed are verified a few times alone, pieces
// that nobody asked for are not kept, and who asks for pieces gets a ration.
func TestListsBounded(t *testing.T) {
	e := newEdge(t, listedConfig)
	list := signedList(t, 2, append(fillers(100), entry(1, 0), entry(2, 0))...)
	e.adopts(list)
	p := e.arrives(noon, 2, protocol.List{Head: &list.Head})
	before := e.drops()["list-signature"]
	for i := range uint64(200) {
		h := list.Head
		h.Serial += i + 1
		e.says(noon, p, (&protocol.List{Head: &h}).Append(nil))
	}
	if n := e.drops()["list-signature"] - before; n > headsBurst || e.drops()["list-rate"] < 200-headsBurst {
		t.Errorf("%d forged heads were verified: %v", n, e.drops())
	}
	if e.data.lists.fetch.of != nil {
		t.Error("a forged list is fetched")
	}
	e.gives(noon, p, signedList(t, 3, append(fillers(50), entry(1, 0))...), 0, 1, 2)
	if e.data.lists.fetch.of != nil {
		t.Error("pieces that nobody asked for are kept")
	}
	e.conn.take()
	want := protocol.ListWant{Tag: roster.Tag(&list.Head)}
	for range protocol.MaxWanted {
		want.Indices = append(want.Indices, 0)
	}
	for range 100 {
		e.says(noon, p, want.Append(nil))
	}
	if n := len(e.sentNow()); n < roster.PiecesBurst || n > roster.PiecesBurst+20 {
		t.Errorf("%d packets for one who asks for 3200 pieces", n)
	}
}

// TestKeyOfAuthority: a key counts with the authority's signature and a higher version
// alone; it goes to members, and to nobody else.
func TestKeyOfAuthority(t *testing.T) {
	e := newEdge(t, listedConfig)
	e.adopts(signedList(t, 5, entry(1, 0), entry(2, 0)))
	p := e.arrives(noon, 2, protocol.List{})
	cid := e.self.cid
	roll := func(serial uint64, ki uint8, by *crypto.Authority) protocol.KeyUpdate {
		return roster.SignRoll(by, cid, serial, crypto.Epoch{Index: ki, Key: [32]byte{0x99, ki}, From: noon.Add(roster.RollAhead(2))})
	}
	forged := roll(5, 9, crypto.NewAuthority([32]byte{1}))
	e.says(noon, p, forged.Append(nil))
	if e.data.lists.store.file.Keys() != 0 || e.drops()["list-signature"] != 1 {
		t.Error("a key of somebody else was taken")
	}
	good, old := roll(5, 9, testAuthority), roll(4, 8, testAuthority)
	e.says(noon, p, good.Append(nil))
	e.says(noon, p, old.Append(nil))
	if e.data.lists.store.file.Keys() != 5 || len(e.keys.community.Epochs) != len(testCommunity().Epochs)+1 {
		t.Errorf("keys %d, epochs %v", e.data.lists.store.file.Keys(), e.keys.community.Epochs)
	}
	if e.keys.sendingIndex() == 9 {
		t.Error("the key is sent under before its time")
	}
	at := noon.Add(roster.RollAhead(2) + time.Second)
	e.pass(at)
	e.pass(at.Add(2 * saltAhead))
	if e.keys.sendingIndex() != 9 {
		t.Errorf("it is sent under %d", e.keys.sendingIndex())
	}
	if was := e.cfg.Community.Epochs[0].Index; !e.data.draft.CanReceive(was) {
		t.Error("the old key ends before the others have the new one")
	}
	e.pass(at.Add(crypto.RollGrace))
	if was := e.cfg.Community.Epochs[0].Index; e.data.draft.CanReceive(was) {
		t.Error("frames under the key of whoever was revoked are received")
	} else if _, ok := e.keys.PSK(at.Add(crypto.RollGrace), was); !ok {
		t.Error("a member that was away cannot be greeted")
	}
}

// TestListOnDisk: list and keys are there after a restart. An old file that is put back
// counts no more, and a damaged one is set aside and said.
func TestListOnDisk(t *testing.T) {
	dir := t.TempDir()
	start := func() *testEdge { return newEdge(t, func(c *Config) { listedConfig(c); c.StateDir = dir }) }
	path := filepath.Join(dir, listFile)
	kept := func(e *testEdge, l *roster.List) {
		e.adopts(l)
		e.await(noon)
		e.state.keepNow()
	}
	e := start()
	kept(e, signedList(t, 1, entry(1, 0), entry(2, 0)))
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kept(e, signedList(t, 2, entry(1, 0)))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	if again := start(); again.self.isolation.admission.list.Head.Serial != 2 {
		t.Error("after a restart there is another list")
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	again := start()
	if a := again.self.isolation.admission; a.list != nil || a.floor != 2 {
		t.Error("an old list that somebody put back counts")
	}
	if notes := strings.Join(again.status(noon).Notes, " "); !strings.Contains(notes, "older than serial 2") {
		t.Errorf("notes: %s", notes)
	}
	if again.data.lists.install(noon, before) == nil {
		t.Error("a list below the highest that was here was taken")
	}
	for name, b := range map[string][]byte{"cut": before[:len(before)-1], "empty": {}, "changed": append(slices.Clone(before[:len(before)-1]), 0xff)} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		e := start()
		if notes := strings.Join(e.status(noon).Notes, " "); !strings.Contains(notes, "is now "+path+".damaged-") {
			t.Errorf("%s: %s", name, notes)
		}
	}
}

// TestMembershipNotes: the user is told when there is no list, when this edge is not in it,
// or may not be what it is, and when there should be a newer one.
func TestMembershipNotes(t *testing.T) {
	e := newEdge(t, func(c *Config) { listedConfig(c); c.Ethernet.Bridge = true })
	for _, tt := range []struct {
		list *roster.List
		says string
	}{
		{nil, "none is here yet"},
		{signedList(t, 1, entry(2, 0)), "this edge is not in the list of members (serial 1"},
		{signedList(t, 2, entry(1, roster.Revoked)), "this edge was revoked"},
		{signedList(t, 3, roster.Entry{ID: entry(1, 0).ID, Role: roster.Bridge, Expires: noon}), "the membership of this edge ended"},
		{signedList(t, 4, entry(1, 0)), "this edge is a bridge, and the list of members does not let it be one"},
	} {
		if tt.list != nil {
			e.adopts(tt.list)
		}
		if notes := strings.Join(e.status(noon).Notes, " "); !strings.Contains(notes, tt.says) {
			t.Errorf("%s, want %q", notes, tt.says)
		}
	}
	e.adopts(signedList(t, 5, entry(1, roster.Bridge), entry(2, 0)))
	if notes := e.data.lists.notes(roster.Bridge); len(notes) != 0 {
		t.Errorf("nothing is wrong, and it says %q", notes)
	}
	p := e.arrives(noon, 2, protocol.List{})
	e.says(noon, p, (&protocol.Close{Reason: protocol.CloseRevoked}).Append(nil))
	if notes := strings.Join(e.data.lists.notes(roster.Bridge), " "); !strings.Contains(notes, "says that this edge is no member") {
		t.Errorf("shut out: %q", notes)
	}
	later := noon.Add(31 * 24 * time.Hour)
	e.data.lists.look(later)
	if notes := strings.Join(e.data.lists.notes(roster.Bridge), " "); !strings.Contains(notes, "no list of members newer than serial 5 of 2026-03-01 12:00 UTC") || !strings.Contains(notes, "something withholds it") {
		t.Errorf("a stale list: %q", notes)
	}
}

// TestProbesOfTheRevoked: a bridge on our LAN that is no member keeps ours from nothing.
func TestProbesOfTheRevoked(t *testing.T) {
	e := newEdge(t, func(c *Config) { listedConfig(c); c.Ethernet.Bridge = true })
	e.adopts(signedList(t, 1, entry(1, roster.Bridge), entry(2, roster.Bridge), entry(3, roster.Bridge|roster.Revoked)))
	epoch := e.cfg.Community.Epochs[0]
	for _, n := range []byte{3, 4, 2} {
		id := testIdentity(n)
		s := bridge.Prober{Identity: id, CID: e.self.cid, Tag: e.cfg.Community.Tag(), Boot: 1}
		probe := protocol.Probe{State: protocol.ProbeForwarding, Rank: protocol.ProbeRank{ID: [32]byte(id.ID)}}
		e.handle(noon, dataplane.ProbeHeard{Frame: s.Frame(probe, epoch.Index, e.cfg.Community.ProbeKey(epoch))})
		want := 0
		if n == 2 {
			want = 1
		}
		if got := len(e.paths.segment.machine.Neighbours(noon)); got != want {
			t.Errorf("after the probe of %d there are %d bridges", n, got)
		}
	}
	if got := e.drops()["probe"]; got != 2 {
		t.Errorf("%d probes are refused", got)
	}
}

// TestMembershipEnds: a session ends when the membership does.
func TestMembershipEnds(t *testing.T) {
	e := newEdge(t, listedConfig)
	e.adopts(signedList(t, 1, entry(1, 0), roster.Entry{ID: entry(2, 0).ID, Expires: noon.Add(time.Minute)}))
	p := e.arrives(noon, 2, protocol.List{})
	if e.pass(noon.Add(30 * time.Second)); !p.exchanging() {
		t.Fatal("the membership ends early")
	}
	if e.pass(noon.Add(time.Minute + listRest)); !p.sessions.idle() || p.exchanging() {
		t.Error("who is a member no more has a session")
	}
}

// TestListNamesHubs: hubs of the list count before those of the file, and routes are taken
// of routers alone.
func TestListNamesHubs(t *testing.T) {
	e := newEdge(t, func(c *Config) { listedConfig(c); c.Ethernet.Hubs = hubsOf(5) })
	e.adopts(signedList(t, 1, entry(1, 0), entry(2, roster.Hub), entry(3, 0)))
	if !e.self.isolation.on() || !slices.Equal(e.self.isolation.hubs, hubsOf(2)) || !e.data.draft.Isolated() {
		t.Errorf("the hubs are %v", e.self.isolation.names())
	}
	if leaf := e.arrives(noon, 3, protocol.List{}); !leaf.sessions.idle() {
		t.Error("two leaves have a session")
	}
	if hub := e.arrives(noon, 2, protocol.List{}); !hub.exchanging() {
		t.Error("a hub has none")
	}
	e = newEdge(t, listedConfig)
	e.adopts(signedList(t, 1, entry(1, 0), entry(2, roster.Router), entry(3, 0)))
	for n, want := range map[byte]bool{2: true, 3: false} {
		p := e.arrives(noon, n, protocol.List{})
		p.place.router = true
		e.peers.mark(p)
		e.settle(noon)
		if _, got := e.paths.subnets.of[p]; got != want {
			t.Errorf("networks behind %d are asked for: %v", n, got)
		}
	}
}

// TestSlowHolder: who sends a list a piece at a time keeps it from nobody: after a while it
// comes from another member that has it, and what has come stays.
func TestSlowHolder(t *testing.T) {
	e := newEdge(t, listedConfig)
	e.adopts(signedList(t, 1, entry(1, 0), entry(2, 0), entry(3, 0)))
	list := signedList(t, 2, append(fillers(150), entry(1, 0), entry(2, 0), entry(3, 0))...)
	slow := e.arrives(noon, 2, protocol.List{Head: &list.Head})
	other := e.arrives(noon, 3, protocol.List{Head: &list.Head})
	now := noon
	for i := 0; e.data.lists.fetch.from == slow && i < 60; i++ {
		now = now.Add(listWait)
		if i%4 == 0 {
			e.gives(now, slow, list, i/4)
		}
		e.pass(now)
	}
	if e.data.lists.fetch.from != other || now.Sub(noon) > listFrom+2*listWait {
		t.Errorf("after %v it comes from %v", now.Sub(noon), e.data.lists.fetch.from)
	}
	if n := len(e.data.lists.fetch.of.Want(true).Indices); n >= list.Head.Pieces() {
		t.Error("what had come is gone")
	}
}
