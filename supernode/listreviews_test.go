package supernode

import (
	"fmt"
	"os"
	"testing"
	"time"

	"hedgerow/roster"
)

// TestReviewsEnd: a community whose review is begun again before it has ended keeps no other
// community waiting, and all its members are told of the newest list.
func TestReviewsEnd(t *testing.T) {
	r := newRig(t, Config{})
	large, small := newListed(r, "large"), newListed(r, "small")
	names := []string{"a"}
	for n := range 3 * packetsAPace {
		names = append(names, fmt.Sprint("m", n))
	}
	old := large.sign(1, names...)
	var edges []*listedEdge
	for n, name := range names {
		e := large.edge(name, n)
		if got := e.bring(old); got.ack == nil {
			t.Fatalf("%s: %+v", name, got)
		}
		edges = append(edges, e)
	}
	a, x := small.edge("a", 1000), small.edge("x", 1001)
	both := small.sign(1, "a", "x")
	if a.bring(both); x.bring(both).ack == nil {
		t.Fatal("x is not in")
	}
	reviews, list := r.s.reviews.lists, large.sign(2, names...)
	edges[0].give(list, edges[0].say(edges[0].claim(list)).wants)
	alone := small.sign(2, "a")
	a.give(alone, a.say(a.claim(alone)).wants)
	var sent []sent
	const goes = 20
	for n := range goes { // shorter than a review
		reviews.review(r.now, large.c.ID(), 0, true)
		if sent = append(sent, r.pass(pace, pace)...); n == 1 && x.here() {
			t.Error("who is in the list of a small community no more is there while a large one is told of its own")
		}
	}
	for _, e := range edges {
		told := e.open(sent)
		if e.hear(told); e.told == nil || *e.told != list.Head || len(told) < goes*packetsAPace/len(edges)-1 {
			t.Fatalf("edge %v was told %d times, of %+v", e.mac, len(told), e.told)
		}
	}
	if r.pass(20*pace, pace); len(reviews.waiting) != 0 || len(reviews.listings.reviews) != 0 {
		t.Errorf("%d reviews wait", len(reviews.waiting))
	}
}

// TestEndedMembershipTellsNobody: a member whose time is over costs the others no packet.
func TestEndedMembershipTellsNobody(t *testing.T) {
	r := newRig(t, Config{})
	l := newListed(r, "listed")
	list := l.signed(1, []roster.Entry{
		{ID: [32]byte(identity("a").ID)}, {ID: [32]byte(identity("b").ID), Expires: r.now.Add(10 * time.Second)},
	})
	a, b := l.edge("a", 1), l.edge("b", 2)
	a.bring(list)
	b.bring(list)
	r.pass(5*time.Second, time.Second)
	a.told = nil
	sent := r.pass(10*time.Second, time.Second)
	if a.hear(a.open(sent)); a.told != nil || b.here() || !a.here() {
		t.Errorf("a was told of %+v, b is here: %v", a.told, b.here())
	}
}

// TestHandOverEndsReview: who is in a newer list no more is ended by the successor, if the
// predecessor had no time for it.
func TestHandOverEndsReview(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	l := newListed(r, "listed")
	old := l.sign(1, "a", "x")
	a, x := l.edge("a", 1), l.edge("x", 2)
	a.bring(old)
	x.bring(old)
	list := l.sign(2, "a", "-x")
	a.give(list, a.say(a.claim(list)).wants)
	if got := r.s.registry.lists.List(l.c.ID()); got == nil || got.Head != list.Head || !x.here() {
		t.Fatalf("the list is %+v, x is here: %v", got, x.here())
	}
	next := r.handOver(cfg, a.fakeEdge, x.fakeEdge)
	if !x.here() {
		t.Fatal("x was not handed over")
	}
	sent := next.pass(10*pace, pace)
	if a.hear(a.open(sent)); x.here() || !a.here() || a.told == nil || *a.told != list.Head {
		t.Errorf("x is here: %v; a was told of %+v", x.here(), a.told)
	}
}

// TestListsInRemovedDirectory: a state directory that was removed while the supernode runs has all
// lists again.
func TestListsInRemovedDirectory(t *testing.T) {
	dir := t.TempDir() + "/state"
	r := newRig(t, Config{StateDir: dir})
	l := newListed(r, "listed")
	list := l.sign(1, "a")
	l.edge("a", 1).bring(list)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	r.s.store.again = r.now
	r.edge(testCommunity("c", "k"), "c", 2).join()
	r.s.store.write()
	for r.s.reviews.lists.do() {
	}
	r = r.restart(Config{StateDir: dir})
	if got := r.s.registry.lists.List(l.c.ID()); got == nil || got.Head != list.Head {
		t.Errorf("after a restart: %+v", got)
	}
}

// A supernode without lists looks at them when it looks for dead sessions, and one with lists
// every second.
func TestListsLookedAt(t *testing.T) {
	r := newRig(t, Config{})
	looks := func() (in time.Duration) {
		r.pass(sweepPause, sweepPause)
		return r.s.reviews.lists.looking.At().Sub(r.now)
	}
	if in, sweep := looks(), r.s.sessions.sweeping.At().Sub(r.now); in != sweepPause || in != sweep {
		t.Errorf("without lists: in %v, the sweep in %v", in, sweep)
	}
	l := newListed(r, "listed")
	l.edge("a", 1).bring(l.sign(1, "a"))
	if in := looks(); in != listsPause {
		t.Errorf("with a list: in %v", in)
	}
}
