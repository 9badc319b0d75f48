package supernode

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/supernode/admission"
)

// rulesOf returns the rules of a text.
func rulesOf(t testing.TB, text string) *admission.Rules {
	t.Helper()
	l, err := admission.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	rules, err := admission.NewRules(l)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// setRules replaces the rules and returns what was sent while the registrations were
// looked at.
func (r *rig) setRules(text string) []sent {
	r.t.Helper()
	r.s.reviews.registrar.policy.Replace(rulesOf(r.t, text))
	return r.review()
}

// review looks at the registrations and returns what was sent meanwhile.
func (r *rig) review() (all []sent) {
	r.t.Helper()
	over := r.s.reviews.start(r.now)
	for range 100_000 {
		select {
		case <-over:
			r.verify()
			return all
		default:
			all = append(all, r.pass(time.Millisecond, time.Millisecond)...)
		}
	}
	r.t.Fatal("the review does not end")
	return nil
}

// testTokens admit whoever shows "good".
type testTokens struct{ note string }

func (testTokens) Redeem(_ time.Time, r *admission.Request) admission.Reason {
	switch string(r.Token) {
	case "good":
		return admission.Admitted
	case "":
		return admission.NotServed
	case "waits":
		return admission.Waiting
	case "unsaved":
		return admission.Unsaved
	}
	return admission.BadToken
}

func (t testTokens) Note() string { return t.note }

// testUsers know who has shown "good", and look at "waits" for ever.
type testUsers struct {
	has map[[32]byte]string // the user of an identity
}

func (u testUsers) Of(_ time.Time, id [32]byte) (user, hash string) {
	if user = u.has[id]; user == "" {
		return "", ""
	}
	return user, testHash
}

func (u testUsers) Prove(_ time.Time, r *admission.Request, hash string) admission.Reason {
	switch {
	case r.Password == "waits":
		return admission.Waiting
	case r.Password == "many":
		return admission.Limited
	case r.Password == "good" && hash != "":
		u.has[r.Identity] = r.User
		return admission.Waiting
	}
	return admission.BadUser
}

func (testUsers) Note() string { return "" }

// testHash is the hash of some password.
const testHash = "$argon2id$v=19$m=64,t=3,p=2$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA"

// A user is let in by a closed supernode, once the password has been looked at, and by the
// identity alone from then on; until the user has another password, or none. While a
// password is looked at nothing is said, and whoever is registered stays it.
func TestUsers(t *testing.T) {
	const closed = "mode closed\nallow user ana " + testHash
	r := newRig(t, Config{Rules: rulesOf(t, closed), Proofs: admission.Proofs{Tokens: testTokens{}, Users: testUsers{make(map[[32]byte]string)}}})
	e := r.edge(testCommunity("ours", "k"), "e", 1)
	e.connect()
	m := e.request()
	for _, step := range []struct {
		what, rules, user, password string
		nak                         uint8 // 0: none
		in                          bool  // an ACK
		online                      int
	}{
		{"nobody", closed, "", "", protocol.CodeNotServed, false, 0},
		{"no such user", closed, "bob", "good", protocol.CodeUser, false, 0},
		{"another password", closed, "ana", "bad", protocol.CodeUser, false, 0},
		{"too many", closed, "ana", "many", protocol.CodeRate, false, 0},
		{"it is looked at", closed, "ana", "good", 0, false, 0},
		{"it was right", closed, "ana", "good", 0, true, 1},
		{"without it", closed, "", "", 0, true, 1},
		{"it has another password", strings.Replace(closed, "AA", "AB", 1), "ana", "waits", 0, false, 1},
		{"it has the first one again", closed, "ana", "good", 0, true, 1},
		{"denied", closed + "\ndeny user ana", "ana", "bad", protocol.CodeUser, false, 0},
	} {
		r.s.reviews.registrar.policy.Replace(rulesOf(t, step.rules))
		m.User, m.Password = step.user, step.password
		r.pass(2*time.Second, time.Second)
		ack, nak := e.register(m)
		if (ack != nil) != step.in || (nak != nil) != (step.nak != 0) || nak != nil && nak.Code != step.nak || r.s.Status().Edges != step.online {
			t.Errorf("%s: %+v, %+v, %d edges", step.what, ack, nak, r.s.Status().Edges)
		}
	}
}

// countingUsers note as how many sources the last password counted.
type countingUsers struct {
	testUsers
	sources *int
}

func (u countingUsers) Prove(now time.Time, r *admission.Request, hash string) admission.Reason {
	*u.sources = r.Sources
	return u.testUsers.Prove(now, r, hash)
}

// Users who log in from behind a front, or by a proxy, are not counted as one source.
func TestUsersBehindAFront(t *testing.T) {
	sources := 0
	rules := "mode closed\nallow user ana " + testHash + "\nallow community c"
	r := newRig(t, Config{Rules: rulesOf(t, rules), Proofs: admission.Proofs{Tokens: testTokens{}, Users: countingUsers{testUsers{make(map[[32]byte]string)}, &sources}}})
	shows := func(e *fakeEdge) int {
		e.connect()
		m := e.request()
		m.User, m.Password = "ana", "bad"
		if _, nak := e.register(m); nak == nil || nak.Code != protocol.CodeUser {
			t.Fatalf("%+v", nak)
		}
		return sources
	}
	const front = "172.17.0.1"
	if n := shows(r.behind(front, "ours", "e", 100)); n != 1 {
		t.Errorf("one of a private address counts as %d", n)
	}
	for i := range frontMany {
		r.behind(front, "c", fmt.Sprint("c", i), i+1).join()
	}
	if n := shows(r.behind(front, "ours", "f", 101)); n != proxyShare {
		t.Errorf("one behind a front counts as %d", n)
	}
	if n := shows(r.edge(testCommunity("ours", "k"), "g", 102)); n != 1 {
		t.Errorf("one elsewhere counts as %d", n)
	}
}

// While the use of a token is being written the edge hears nothing, and asks again; when it
// cannot be written it is told to come later. Nothing is entered in either case.
func TestTokensOnTheirWayToTheDisk(t *testing.T) {
	r := newRig(t, Config{Rules: rulesOf(t, "mode closed"), Proofs: admission.Proofs{Tokens: testTokens{}}})
	e := r.edge(testCommunity("ours", "k"), "e", 1)
	e.connect()
	m := e.request()
	for _, step := range []struct {
		token string
		count dropReason
		want  *protocol.Nak
	}{
		{"waits", answered, nil},
		{"unsaved", dropTokenUnsaved, &protocol.Nak{Code: protocol.CodeFull, Retry: retryFull}},
	} {
		m.Token = []byte(step.token)
		ack, nak := e.register(m)
		if ack != nil || (nak == nil) != (step.want == nil) || nak != nil && *nak != *step.want || step.count != answered && r.dropped(step.count) != 1 {
			t.Errorf("%s: %+v, %+v", step.token, ack, nak)
		}
		if st := r.s.Status(); st.Leases != 0 || len(st.Communities) != 0 {
			t.Errorf("%s: something was entered: %+v", step.token, st)
		}
	}
	m.Token = []byte("good")
	if ack, nak := e.register(m); ack == nil {
		t.Errorf("when it is written: %+v", nak)
	}
}

// What each rule has an edge told, and that it is in once the rule is gone.
func TestRefusedByRule(t *testing.T) {
	c := testCommunity("ours", "k")
	for _, test := range []struct {
		rules string
		token string
		nak   protocol.Nak // Code 0: none
		count dropReason
	}{
		{"mode closed", "", protocol.Nak{Code: protocol.CodeNotServed, Retry: retryRefused}, dropNotServed},
		{"mode closed", "bad", protocol.Nak{Code: protocol.CodeToken, Retry: retryRefused}, dropToken},
		{"mode closed", "good", protocol.Nak{}, answered},
		{"mode closed\nallow community ours", "", protocol.Nak{}, answered},
		{"mode closed\nallow id " + communityText(c.ID()), "", protocol.Nak{}, answered},
		{"deny community ours", "", protocol.Nak{Code: protocol.CodeNotServed, Retry: retryRefused}, dropNotServed},
		{"ban edge " + identity("e").ShortID() + " since 2026-02-01", "", protocol.Nak{Code: protocol.CodeRemoved, Retry: retryRefused, Since: 1769904000}, dropRemoved},
		{"ban source 198.18.0.0/15", "", protocol.Nak{Code: protocol.CodeRemoved, Retry: retryRefused}, dropRemoved},
	} {
		r := newRig(t, Config{Rules: rulesOf(t, test.rules), Proofs: admission.Proofs{Tokens: testTokens{}}})
		e := r.edge(c, "e", 1)
		e.connect()
		m := e.request()
		m.Token = []byte(test.token)
		ack, nak := e.register(m)
		if test.nak.Code == 0 {
			if ack == nil {
				t.Errorf("%q: %+v", test.rules, nak)
			}
			continue
		}
		if nak == nil || *nak != test.nak || r.dropped(test.count) != 1 {
			t.Errorf("%q: %+v, want %+v; drops %v", test.rules, nak, test.nak, r.s.refused.drops.nonzero())
		}
		if st := r.s.Status(); st.Totals.Rules != strings.Count("\n"+test.rules, "\n")-strings.Count(test.rules, "mode") || st.Totals.Closed != strings.Contains(test.rules, "closed") {
			t.Errorf("%q: status says %+v", test.rules, st.Totals)
		}
		if st := r.s.Status(); st.Leases != 0 || len(st.Communities) != 0 {
			t.Errorf("%q: something was entered: %+v", test.rules, st)
		}
		r.setRules("")
		if ack, nak := e.register(e.request()); ack == nil {
			t.Errorf("without %q: %+v", test.rules, nak)
		}
	}
}

// A rule that comes later ends registrations, tells their edges why, and touches nobody
// else's.
func TestRulesEndRegistrations(t *testing.T) {
	ours, theirs := testCommunity("ours", "k"), testCommunity("theirs", "k")
	for _, test := range []struct {
		rules string
		code  uint8
		both  bool // both edges of ours have to go
	}{
		{"deny community ours", protocol.CodeNotServed, true},
		{"mode closed\nallow community theirs", protocol.CodeNotServed, true},
		{"ban edge " + identity("one").ShortID(), protocol.CodeRemoved, false},
		{"ban source " + address(1).Addr().String(), protocol.CodeRemoved, false},
	} {
		r := newRig(t, Config{})
		one, two, other := r.edge(ours, "one", 1).join(), r.edge(ours, "two", 2).join(), r.edge(theirs, "other", 3).join()
		got := r.setRules(test.rules)
		for e, gone := range map[*fakeEdge]bool{one: true, two: test.both, other: false} {
			var codes []uint8
			for _, m := range e.open(got) {
				nak, err := protocol.ParseNak(m.value)
				if m.typ != protocol.MsgNak || err != nil {
					t.Fatalf("%q: %v, %v", test.rules, m, err)
				}
				codes = append(codes, nak.Code)
			}
			if gone && (len(codes) != 1 || codes[0] != test.code) || !gone && codes != nil {
				t.Errorf("%q: told %v, to go: %v", test.rules, codes, gone)
			}
			if here := r.s.registry.byHandle[e.ack.Handle] != nil; here == gone {
				t.Errorf("%q: registered: %v, to go: %v", test.rules, here, gone)
			}
			if answers := e.ask(&protocol.Ping{Pad: 100}); (len(answers) == 0) != gone {
				t.Errorf("%q: %d answers, to go: %v", test.rules, len(answers), gone)
			}
		}
	}
}

// An edge that is kicked keeps its address and is in again a minute later.
func TestKick(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("ours", "k")
	e, other := r.edge(c, "e", 1).join(), r.edge(c, "other", 2).join()
	lease := e.ack.Lease
	if err := r.s.reviews.registrar.policy.Kick(r.now, e.id.ShortID()); err != nil {
		t.Fatal(err)
	}
	got := r.review()
	if told := e.open(got); len(told) != 1 || told[0].typ != protocol.MsgNak {
		t.Fatalf("told %v", told)
	}
	if len(other.open(got)) != 0 || len(other.ask(&protocol.Ping{Pad: 100})) == 0 {
		t.Error("another edge was touched")
	}
	e.connect()
	_, nak := e.register(e.request())
	if nak == nil || nak.Code != protocol.CodeRemoved || nak.Retry == 0 || nak.Retry > 60 || nak.Since != uint64(epoch.Unix()) {
		t.Fatalf("%+v", nak)
	}
	r.pass(time.Duration(nak.Retry)*time.Second, time.Second)
	e.join()
	if e.ack.Lease != lease {
		t.Errorf("lease %v, it was %v", e.ack.Lease, lease)
	}
}

// A review of a large table is many short goes, and an end of many a paced one.
func TestReviewIsPaced(t *testing.T) {
	r := newRig(t, Config{})
	const edges = 300
	for i := range edges {
		r.edge(testCommunity(fmt.Sprint("c", i%2), "k"), fmt.Sprint("e", i), i).join()
	}
	v := r.s.reviews
	v.registrar.policy.Replace(rulesOf(t, "deny community c0"))
	over, most, goes := v.start(r.now), 0, 0
	for ; ; goes++ {
		before := len(r.s.registry.all)
		if goes > 10_000 {
			t.Fatal("it does not end")
		}
		got := r.pass(time.Millisecond, time.Millisecond)
		most = max(most, len(got))
		if ended := before - len(r.s.registry.all); ended > packetsAPace {
			t.Fatalf("%d ended in one go", ended)
		}
		select {
		case <-over:
		default:
			continue
		}
		break
	}
	if n := len(r.s.registry.all); n != edges/2 || v.ended != edges/2 {
		t.Errorf("%d are left, %d have ended", n, v.ended)
	}
	if most > packetsAPace || goes < edges/2/packetsAPace {
		t.Errorf("%d packets at once, %d goes", most, goes)
	}
}

// Identities that are refused leave nothing behind: neither memory nor anything for the
// disk, and no table grows.
func TestRefusedIdentitiesCostNothing(t *testing.T) {
	r := newRig(t, Config{StateDir: t.TempDir(), Rules: rulesOf(t, "mode closed\nallow community served")})
	c := testCommunity("ours", "k")
	e := r.edge(c, "e", 1)
	e.connect()
	g := r.s.reviews.registrar
	m := e.request()
	ask := func(n int) {
		m.CID[0], m.CID[1], m.CID[2] = byte(n), byte(n>>8), byte(n>>16)
		a := applicant{hop: g.sessions.byIdx[e.session.RemoteIndex()], request: m}
		a.statement.ID[0], a.statement.ID[1], a.statement.ID[2] = byte(n), byte(n>>8), byte(n>>16)
		why := g.ask(&exchange{now: r.now}, a)
		if why == nil || why.nak.Code != protocol.CodeNotServed {
			t.Fatalf("%d: %+v", n, why)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	ask(0)
	before := heap()
	for n := range 100_000 {
		ask(n)
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("%d bytes more on the heap", after-before)
	}
	if st := r.s.Status(); st.Leases != 0 || len(st.Communities) != 0 || len(r.s.store.dirty) != 0 {
		t.Errorf("%d leases, %d communities, %d for the disk", st.Leases, len(st.Communities), len(r.s.store.dirty))
	}
	for range 100 { // the whole way as well, as fast as the edge may ask
		r.pass(time.Second, time.Second)
		if _, nak := e.register(e.request()); nak == nil || nak.Code != protocol.CodeNotServed {
			t.Fatalf("%+v", nak)
		}
	}
	if len(r.s.store.dirty) != 0 || len(r.s.registry.all) != 0 {
		t.Errorf("%d for the disk, %d registrations", len(r.s.store.dirty), len(r.s.registry.all))
	}
}

// An edge that is registered and asks again without what admitted it is registered no more,
// so that nothing is relayed for it in the session that it has.
func TestRefusedWhileRegistered(t *testing.T) {
	r := newRig(t, Config{Rules: rulesOf(t, "mode closed"), Proofs: admission.Proofs{Tokens: testTokens{}}})
	c := testCommunity("ours", "k")
	e, other := r.edge(c, "e", 1), r.edge(c, "other", 2)
	for _, edge := range []*fakeEdge{e, other} {
		edge.connect()
		m := edge.request()
		m.Token = []byte("good")
		if ack, nak := edge.register(m); ack == nil {
			t.Fatalf("%+v", nak)
		}
	}
	if _, nak := e.register(e.request()); nak == nil || nak.Code != protocol.CodeNotServed {
		t.Fatalf("without its token: %+v", nak)
	}
	if _, inner := other.unwrap(r.deliver(e.addr, e.wrap(other.ack.Handle, 0, make([]byte, 100)))); len(inner) != 0 || r.s.registry.byHandle[e.ack.Handle] != nil {
		t.Errorf("%d packets were relayed for it", len(inner))
	}
	if r.s.registry.byHandle[other.ack.Handle] == nil {
		t.Error("another edge has gone")
	}
}

// Who is stored and not admitted any more when the supernode starts again is forgotten.
func TestRulesOfTheNextStart(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, Config{StateDir: dir})
	gone, stays := r.edge(testCommunity("gone", "k"), "e", 1).join(), r.edge(testCommunity("stays", "k"), "e", 2).join()
	r = r.restart(Config{StateDir: dir, Rules: rulesOf(t, "deny community gone")})
	r.pass(time.Second, 10*time.Millisecond)
	if n := len(r.s.registry.all); n != 1 || r.s.registry.communities[gone.community.ID()] != nil || r.s.registry.communities[stays.community.ID()] == nil {
		t.Errorf("%d registrations are left", n)
	}
}

// Whoever does not wait for the end of a review has changed the rules all the same.
func TestReviewGoesOn(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("ours", "k"), "e", 1).join()
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("gone")
	cancel(gone)
	if ended, err := r.s.SetRules(ctx, rulesOf(t, "deny community ours")); ended != 0 || !errors.Is(err, gone) {
		t.Errorf("%d have ended, %v", ended, err)
	}
	r.pass(time.Second, 10*time.Millisecond)
	if r.s.registry.byHandle[e.ack.Handle] != nil {
		t.Error("the edge is still registered")
	}
}
