package supernode

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// listed is a community with a list of members, and who signs that.
type listed struct {
	r  *rig
	c  *crypto.Community
	by *crypto.Authority
}

func newListed(r *rig, name string) *listed {
	l := &listed{r: r, c: testCommunity(name, "k"), by: crypto.NewAuthority([32]byte{7})}
	l.c.Authority, l.c.Members = l.by.Public(), crypto.MembersList
	return l
}

// sign makes a list of members by their names; those that begin with "-" are revoked.
func (l *listed) sign(serial uint64, names ...string) *roster.List {
	l.r.t.Helper()
	var entries []roster.Entry
	for _, name := range names {
		e := roster.Entry{}
		if name[0] == '-' {
			name, e.Role = name[1:], roster.Revoked
		}
		e.ID = [32]byte(identity(name).ID)
		entries = append(entries, e)
	}
	return l.signed(serial, entries)
}

func (l *listed) signed(serial uint64, entries []roster.Entry) *roster.List {
	l.r.t.Helper()
	list, err := roster.Sign(l.by, l.c.ID(), serial, l.r.now, l.r.now.Add(720*time.Hour), entries)
	if err != nil {
		l.r.t.Fatal(err)
	}
	return list
}

// listedEdge is an edge of such a community.
type listedEdge struct {
	*fakeEdge
	l    *listed
	told *protocol.ListHead // of the list that the supernode says it has
}

func (l *listed) edge(name string, n int) *listedEdge {
	return &listedEdge{fakeEdge: l.r.edge(l.c, name, n), l: l}
}

// claim is a REGISTER that says that the edge has a list, or none.
func (e *listedEdge) claim(list *roster.List) *protocol.Register {
	m := e.request()
	m.Listing = &protocol.Listing{NameHash: e.community.NameHash(), Authority: [32]byte(e.l.by.Public())}
	if list != nil {
		m.Listing.Head = &list.Head
	}
	return m
}

// answers are what a supernode says to a REGISTER, and which pieces it asks for.
type listAnswers struct {
	ack   *protocol.Ack
	nak   *protocol.Nak
	wants []protocol.ListWant
	parts []protocol.ListPart
}

// say sends messages, and returns what comes back.
func (e *listedEdge) say(messages ...message) (got listAnswers) {
	e.r.t.Helper()
	return e.hear(e.ask(messages...))
}

func (e *listedEdge) hear(replies []reply) (got listAnswers) {
	e.r.t.Helper()
	for _, a := range replies {
		var err error
		switch a.typ {
		case protocol.MsgAck:
			var m protocol.Ack
			m, err = protocol.ParseAck(a.value)
			e.ack, got.ack = m, &m
		case protocol.MsgNak:
			var m protocol.Nak
			m, err = protocol.ParseNak(a.value)
			got.nak = &m
		case protocol.MsgList:
			var m protocol.List
			m, err = protocol.ParseList(a.value)
			e.told = m.Head
		case protocol.MsgListWant:
			var m protocol.ListWant
			m, err = protocol.ParseListWant(a.value)
			got.wants = append(got.wants, m)
		case protocol.MsgListPart:
			var m protocol.ListPart
			m, err = protocol.ParseListPart(a.value)
			got.parts = append(got.parts, m)
		}
		if err != nil {
			e.r.t.Fatal(err)
		}
	}
	return got
}

// give answers the questions for pieces of a list, and those that follow.
func (e *listedEdge) give(list *roster.List, wants []protocol.ListWant) {
	e.r.t.Helper()
	for len(wants) > 0 {
		var next []protocol.ListWant
		for _, w := range wants {
			for _, i := range w.Indices {
				part, ok := list.Part(int(i))
				if !ok {
					e.r.t.Fatalf("asked for piece %d", i)
				}
				next = append(next, e.say(&part).wants...)
			}
		}
		wants = next
	}
}

// bring makes a session if there is none, and registers with a list as edges do.
func (e *listedEdge) bring(list *roster.List) listAnswers {
	e.r.t.Helper()
	if e.session == nil {
		e.connect()
	}
	got := e.say(e.claim(list))
	if len(got.wants) > 0 {
		e.give(list, got.wants)
		e.r.pass(100*time.Millisecond, 10*time.Millisecond)
		if got.ack == nil {
			got = e.say(e.claim(list))
		}
	}
	return got
}

func (e *listedEdge) here() bool {
	return e.ack.Handle != 0 && e.r.s.registry.byHandle[e.ack.Handle] != nil
}

// code returns the code of a refusal, 0: there is none.
func (a *listAnswers) code() uint8 {
	if a.nak == nil {
		return 0
	}
	return a.nak.Code
}

// TestRevokedAtSupernode: whoever is in the list no more loses registration and session when a
// newer list comes, and gets neither again, with the authority, without it, with the old list
// and as somebody else. Nobody else notices.
func TestRevokedAtSupernode(t *testing.T) {
	r := newRig(t, Config{StateDir: t.TempDir()})
	l := newListed(r, "listed")
	old := l.sign(1, "a", "b", "x")
	a, b, x := l.edge("a", 1), l.edge("b", 2), l.edge("x", 3)
	for _, e := range []*listedEdge{a, b, x} {
		if got := e.bring(old); got.ack == nil || *e.told != old.Head {
			t.Fatalf("%+v, told of %v", got, e.told)
		}
	}
	recorded := x.seal(x.claim(old))
	list := l.sign(2, "a", "b", "-x")
	got := a.say(a.claim(list))
	if got.ack == nil || len(got.wants) == 0 {
		t.Fatalf("%+v", got)
	}
	a.give(list, got.wants)
	sent := r.pass(100*time.Millisecond, 10*time.Millisecond)
	if end := x.hear(x.open(sent)); end.code() != protocol.CodeNotListed || x.here() {
		t.Fatalf("%+v, here %v", end, x.here())
	}
	if b.hear(b.open(sent)); b.told == nil || *b.told != list.Head || !b.here() {
		t.Fatalf("b was told of %+v", b.told)
	}
	// What it had is worth nothing.
	if out := r.deliver(x.addr, recorded); len(out) != 0 || x.here() {
		t.Fatalf("%d packets for a packet of a session that has ended", len(out))
	}
	if out := r.deliver(x.addr, x.wrap(a.ack.Handle, 0, junk(64))); len(out) != 0 {
		t.Fatalf("%d packets for a relayed one", len(out))
	}
	for name, m := range map[string]func(e *listedEdge) *protocol.Register{
		"with the old list": func(e *listedEdge) *protocol.Register { return e.claim(old) },
		"with the new list": func(e *listedEdge) *protocol.Register { return e.claim(list) },
		"without a list":    func(e *listedEdge) *protocol.Register { return e.claim(nil) },
		"without a claim":   func(e *listedEdge) *protocol.Register { return e.request() },
	} {
		for _, who := range []string{"x", "new"} {
			e := l.edge(who, 4)
			e.connect()
			if got := e.say(m(e)); got.code() != protocol.CodeNotListed || len(got.wants) > 0 {
				t.Errorf("%s as %s: %+v", name, who, got)
			}
			if got := e.ask(&protocol.Query{}, &protocol.ListWant{Tag: roster.Tag(&list.Head), Indices: []uint16{0}}); len(got) > 0 {
				t.Errorf("%s as %s: asked, it got %v", name, who, got)
			}
		}
	}
	// In the community of before the list nobody is.
	plain := r.edge(testCommunity("listed", "k"), "x", 5).join()
	if got := plain.ask(&protocol.Query{}); len(got) > 0 || plain.ack.Members != 1 {
		t.Errorf("without the authority it is told %v of %d members", got, plain.ack.Members)
	}
	r.pass(5*time.Second, time.Second)
	x = l.edge("x", 40)
	x.connect()
	forged := x.claim(old)
	forged.Listing.Authority[0] ^= 1
	if got := x.say(forged); got.code() != protocol.CodeProof {
		t.Errorf("another authority: %+v, code %d", got, got.code())
	}
	unsigned := *old
	unsigned.Head.Serial = 9
	if got := x.say(x.claim(&unsigned)); got.code() != protocol.CodeProof {
		t.Errorf("a head that nobody signed: %+v, code %d", got, got.code())
	}
	if !a.here() || !b.here() {
		t.Error("members are gone")
	}
}

// TestFirstListAtSupernode: whoever came before anybody had shown a list, without a word of it,
// is gone before the first member is there.
func TestFirstListAtSupernode(t *testing.T) {
	r := newRig(t, Config{})
	l := newListed(r, "listed")
	x := l.edge("x", 1)
	x.connect()
	if got := x.say(x.request()); got.ack == nil {
		t.Fatalf("%+v", got)
	}
	a, list := l.edge("a", 2), l.sign(1, "a")
	a.connect()
	for _, m := range []*protocol.Register{a.claim(nil), a.claim(list)} {
		if got := a.say(m); got.code() != protocol.CodeListWanted || (len(got.wants) > 0) != (m.Listing.Head != nil) {
			t.Fatalf("%+v", got)
		}
		if got := x.ask(&protocol.Query{MAC: a.mac}); len(got) > 0 {
			t.Fatalf("the stranger is told %v", got)
		}
	}
	a.give(list, a.hear(a.open(r.pass(3*time.Second, 100*time.Millisecond))).wants) // the first question was lost
	r.pass(100*time.Millisecond, 10*time.Millisecond)
	if got := a.say(a.claim(list)); got.ack == nil || x.here() || got.ack.Members != 1 {
		t.Fatalf("%+v, stranger here %v", got, x.here())
	}
	if c := r.s.registry.communities[l.c.ID()]; c.nameHash != l.c.NameHash() {
		t.Error("the community has not the hash of its name")
	}
}

// TestNewcomerBringsListToSupernode: who was just admitted brings the list that says so; and who
// has an older list, or none, gets the newest one from the supernode alone.
func TestNewcomerBringsListToSupernode(t *testing.T) {
	r := newRig(t, Config{StateDir: t.TempDir()})
	l := newListed(r, "listed")
	names := []string{"a", "b"}
	for n := range 100 {
		names = append(names, fmt.Sprint("m", n))
	}
	old, list := l.sign(1, names[:1]...), l.sign(2, names...)
	a := l.edge("a", 1)
	a.bring(old)
	b := l.edge("b", 2)
	if got := b.bring(old); got.code() != protocol.CodeNotListed {
		t.Fatalf("%+v", got)
	}
	if got := b.bring(list); got.ack == nil {
		t.Fatalf("%+v", got)
	}
	a.ask(&protocol.Unregister{})
	b.ask(&protocol.Unregister{})
	r.pass(time.Hour, time.Minute)
	for n, has := range []*roster.List{old, nil} {
		e := l.edge(names[2+n], 10+n)
		if got := e.bring(has); got.ack == nil || *e.told != list.Head {
			t.Fatalf("%+v, told of %+v", got, e.told)
		}
		g := roster.Gather(*e.told)
		for !g.Whole() {
			want := g.Want(false)
			for _, part := range e.say(&want).parts {
				if _, err := g.Add(&part); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got, err := g.List(); err != nil || len(got.Entries()) != len(names) {
			t.Fatalf("%v", err)
		}
	}
}

// TestListRestart: a supernode that starts anew has the newest list, and its successor after
// a hand-over as well; a damaged one is set aside.
func TestListRestart(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	l := newListed(r, "listed")
	old, list := l.sign(1, "a", "x"), l.sign(2, "a", "-x")
	l.edge("a", 1).bring(old)
	l.edge("a", 2).bring(list)
	refuses := func(when string, r *rig) {
		t.Helper()
		l.r = r
		for _, m := range []*roster.List{old, nil} {
			x := l.edge("x", 3)
			if got := x.bring(m); got.code() != protocol.CodeNotListed {
				t.Errorf("%s: %+v", when, got)
			}
		}
	}
	refuses("at first", r)
	r = r.restart(cfg)
	refuses("after a restart", r)
	released := make(chan struct{})
	close(released)
	cfg.Conn, cfg.Now = newRecorder(), func() time.Time { return r.now }
	next, err := Resume(cfg, r.s.state(), released)
	if err != nil {
		t.Fatal(err)
	}
	if got := next.registry.lists.List(l.c.ID()); got == nil || got.Head != list.Head {
		t.Errorf("after a hand-over: %+v", got)
	}
	files, _ := filepath.Glob(filepath.Join(cfg.StateDir, "members-*"))
	if len(files) != 1 {
		t.Fatalf("%v", files)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-9] ^= 0x80 // x is not revoked
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	r = r.restart(Config{StateDir: cfg.StateDir})
	if r.s.registry.lists.List(l.c.ID()) != nil {
		t.Error("a list that nobody signed counts")
	}
	l.r = r
	if got := l.edge("a", 9).bring(list); got.ack == nil {
		t.Errorf("%+v", got)
	}
	refuses("after damage", r)
}

// TestMembershipEnds: a member whose time is over is ended; a list that goes on for longer
// lets it come again.
func TestMembershipEnds(t *testing.T) {
	r := newRig(t, Config{})
	l := newListed(r, "listed")
	a := roster.Entry{ID: [32]byte(identity("a").ID)}
	b := roster.Entry{ID: [32]byte(identity("b").ID), Expires: r.now.Add(time.Minute)}
	old := l.signed(1, []roster.Entry{a, b})
	ea, eb := l.edge("a", 1), l.edge("b", 2)
	ea.bring(old)
	if got := eb.bring(old); got.ack == nil {
		t.Fatalf("%+v", got)
	}
	r.pass(59*time.Second, time.Second)
	if !eb.here() {
		t.Fatal("it has gone before")
	}
	sent := r.pass(3*time.Second, 100*time.Millisecond)
	if end := eb.hear(eb.open(sent)); end.code() != protocol.CodeNotListed || eb.here() || !ea.here() {
		t.Fatalf("%+v, here %v", end, eb.here())
	}
	b.Expires = time.Time{}
	eb.session = nil
	if got := eb.bring(l.signed(2, []roster.Entry{a, b})); got.ack == nil {
		t.Fatalf("%+v", got)
	}
}

// TestLargeListAtSupernode: a list of the greatest size comes from an edge without a
// registration as fast as it answers, and who is not in it is ended a few at a time.
func TestLargeListAtSupernode(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{SourceEdges: 1000}})
	l := newListed(r, "listed")
	var strangers []*listedEdge
	for n := range 300 {
		x := l.edge(fmt.Sprint("x", n), 10+n)
		x.connect()
		if got := x.say(x.request()); got.ack == nil {
			t.Fatalf("%d: %+v", n, got)
		}
		strangers = append(strangers, x)
	}
	entries := []roster.Entry{{ID: [32]byte(identity("a").ID)}}
	for n := range protocol.MaxListed - 1 {
		e := roster.Entry{ID: [32]byte{byte(n), byte(n >> 8), 1}}
		if crypto.UsableID(e.ID) {
			entries = append(entries, e)
		}
	}
	list := l.signed(1, entries)
	a := l.edge("a", 1)
	a.connect()
	a.give(list, a.say(a.claim(list)).wants)
	if got := a.say(a.claim(list)); got.code() != protocol.CodeListWanted {
		t.Fatalf("let in beside strangers: %+v", got)
	}
	r.pass(5*pace, pace)
	if n := slices.IndexFunc(strangers, func(e *listedEdge) bool { return !e.here() }); n < 0 {
		t.Error("nobody was ended")
	}
	r.pass(20*pace, pace)
	if got := a.say(a.claim(list)); got.ack == nil || got.ack.Members != 1 {
		t.Fatalf("%+v", got)
	}
}
