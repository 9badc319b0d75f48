package supernode

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"hedgerow/protocol"
)

func TestInitChecks(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1)
	raw := func(change func(pkt []byte) []byte) []byte {
		_, pkt := e.initiate(nil)
		e.mask.Show(e.sc, pkt)
		return e.hide(change(pkt))
	}
	other := newRig(t, Config{Identity: identity("another supernode")})
	for _, test := range []struct {
		name   string
		pkt    []byte
		reason dropReason
	}{
		{"too long", raw(func(p []byte) []byte { return append(p, 0) }), dropLength},
		{"too short", raw(func(p []byte) []byte { return p[:len(p)-1] }), dropLength},
		{"version", raw(func(p []byte) []byte { p[0] ^= 0x60; return p }), dropHeader},
		{"transform", raw(func(p []byte) []byte { p[1] = uint8(protocol.XFPair); return p }), dropTransform},
		{"key index", raw(func(p []byte) []byte { p[2] = 0; return p }), dropTransform},
		{"flag", raw(func(p []byte) []byte { p[3] = 1; return p }), dropHeader},
		{"mac1", raw(func(p []byte) []byte { p[165] ^= 1; return p }), dropMAC1},
		{"body", raw(func(p []byte) []byte { p[60] ^= 1; return p }), dropMAC1},
		{"for another supernode", func() []byte {
			f := other.edge(e.community, "e", 1)
			_, pkt := f.initiate(nil)
			f.mask.Show(f.sc, pkt)
			return e.hide(pkt)
		}(), dropMAC1},
	} {
		before := r.dropped(test.reason)
		if got := r.deliver(e.addr, test.pkt); len(got) != 0 || r.dropped(test.reason) != before+1 {
			t.Errorf("%s: %d answers, drops %v", test.name, len(got), r.s.refused.drops.nonzero())
		}
	}
	if st := r.s.Status(); st.Sessions != 0 {
		t.Errorf("%d sessions", st.Sessions)
	}
}

func TestStaleStampIsChallenged(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1)
	e.stamp = 1000
	e.connect()
	for range 3 { // each challenge works once
		e.stamp, e.challenge = 500, [16]byte{}
		i, pkt := e.initiate(nil)
		got := r.deliver(e.addr, pkt)
		if len(got) != 1 || e.finish(i, got[0].pkt) {
			t.Fatal("an old stamp made a session")
		}
		used := e.challenge
		e.connect()
		e.challenge = used
		i, pkt = e.initiate(nil)
		if got := r.deliver(e.addr, pkt); len(got) != 1 || e.finish(i, got[0].pkt) {
			t.Fatal("a challenge worked twice")
		}
	}
	if st := r.s.Status(); st.Sessions != 4 || r.dropped(dropStamp) != 6 {
		t.Errorf("%d sessions, drops %v", st.Sessions, r.s.refused.drops.nonzero())
	}
}

func TestReplayedInitMakesNoSession(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1)
	_, pkt := e.initiate(nil)
	r.deliver(e.addr, bytes.Clone(pkt))
	for i := range 5 {
		if got := r.deliver(address(50+i), bytes.Clone(pkt)); len(got) != 1 || len(got[0].pkt) > len(pkt) {
			t.Fatalf("%d answers", len(got))
		}
	}
	if st := r.s.Status(); st.Sessions != 1 {
		t.Errorf("%d sessions", st.Sessions)
	}
}

func TestCookieUnderLoad(t *testing.T) {
	for _, rate := range []int{-1, 3} {
		r := newRig(t, Config{Limits: Limits{InitRate: rate}})
		c := testCommunity("c", "k")
		var asked int
		for n := range 20 {
			e := r.edge(c, fmt.Sprint("e", n), n)
			i, pkt := e.initiate(nil)
			got := r.deliver(e.addr, pkt)
			if len(got) != 1 || len(got[0].pkt) > len(pkt) {
				t.Fatalf("%d answers", len(got))
			}
			if len(got[0].pkt) != protocol.CookieLen {
				if !e.finish(i, got[0].pkt) {
					t.Fatal("no session")
				}
				continue
			}
			asked++
			if h := e.show(got[0].pkt); h.Type != protocol.TypeCookie || h.RX != e.index {
				t.Fatalf("%+v", h)
			}
			cookie, err := i.OpenCookie(got[0].pkt)
			if err != nil {
				t.Fatal(err)
			}
			// The cookie is bound to the port as well.
			_, pkt = e.initiate(&cookie)
			elsewhere := address(n + 1000*n)
			if got := r.deliver(elsewhere, pkt); n > 0 && len(got[0].pkt) != protocol.CookieLen {
				t.Error("the cookie of another address was taken")
			}
			i, pkt = e.initiate(&cookie)
			if got := r.deliver(e.addr, pkt); !e.finish(i, got[0].pkt) {
				t.Error("the cookie was not taken")
			}
		}
		want := 20
		if rate > 0 {
			want -= rate
		}
		if asked != want {
			t.Errorf("rate %d: %d were asked for a cookie, want %d", rate, asked, want)
		}
		// Two quiet seconds later nobody is, if it is a matter of rate.
		r.now = r.now.Add(2 * time.Second)
		e := r.edge(c, "late", 30)
		_, pkt := e.initiate(nil)
		if got := r.deliver(e.addr, pkt); (len(got[0].pkt) == protocol.CookieLen) != (rate < 0) {
			t.Errorf("rate %d: answer of %d bytes after the load", rate, len(got[0].pkt))
		}
	}
}

func TestInitRateOfOneSource(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "e", 1)
	// handshakes is how many of INITs make a session.
	handshakes := func(cookie *[16]byte) (n int) {
		for range 500 {
			_, pkt := e.initiate(cookie)
			for _, p := range r.deliver(e.addr, pkt) {
				if len(p.pkt) == protocol.RespLen {
					n++
				}
			}
		}
		return n
	}
	if n := handshakes(nil); n >= 250 || r.dropped(dropCookie) == 0 {
		t.Errorf("%d handshakes, drops %v", n, r.s.refused.drops.nonzero())
	}
	cookie := e.cookie()
	if n := handshakes(&cookie); n >= 250 || r.dropped(dropInitRate) == 0 {
		t.Errorf("%d handshakes with a cookie, drops %v", n, r.s.refused.drops.nonzero())
	}
	// Another source is not concerned.
	e.addr = address(2)
	e.connect()
}

// cookie has the supernode, which demands one, give the edge a cookie.
func (e *fakeEdge) cookie() [16]byte {
	e.r.t.Helper()
	i, pkt := e.initiate(nil)
	got := e.r.deliver(e.addr, pkt)
	if len(got) != 1 || len(got[0].pkt) != protocol.CookieLen {
		e.r.t.Fatalf("%d answers, no COOKIE", len(got))
	}
	e.show(got[0].pkt)
	cookie, err := i.OpenCookie(got[0].pkt)
	if err != nil {
		e.r.t.Fatal(err)
	}
	return cookie
}

func TestGuestsAreBounded(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{Guests: 10, InitRate: 1e6}})
	c := testCommunity("c", "k")
	var edges []*fakeEdge
	for n := range 10 {
		e := r.edge(c, fmt.Sprint("e", n), n) // all of one /24
		e.connect()
		edges = append(edges, e)
	}
	// One registers, one confirms only, the rest is never heard of again.
	if ack, _ := edges[0].register(edges[0].request()); ack == nil {
		t.Fatal("not registered")
	}
	edges[1].ask()
	for n := range 3 { // the first finds the place of the one that registered
		r.edge(c, fmt.Sprint("late", n), 11+n).connect()
	}
	if st := r.s.Status(); st.Guests != 10 || r.dropped(dropDisplaced) != 2 {
		t.Fatalf("%d guests, drops %v", st.Guests, r.s.refused.drops.nonzero())
	}
	for n, e := range edges {
		// The oldest that never said anything made room.
		if gone := r.s.sessions.byIdx[e.session.RemoteIndex()] == nil; gone != (n == 2 || n == 3) {
			t.Errorf("%d is gone: %v", n, gone)
		}
	}
	r.pass(handshakeTime+sweepPause, time.Second)
	if st := r.s.Status(); st.Sessions != 2 || st.Guests != 1 {
		t.Errorf("after %v: %+v", handshakeTime, st)
	}
	if got := r.deliver(edges[4].addr, edges[4].seal(edges[4].request())); len(got) != 0 {
		t.Error("a handshake was confirmed after its time")
	}
	r.pass(guestTime, time.Second)
	if st := r.s.Status(); st.Sessions != 1 || st.Guests != 0 {
		t.Errorf("after %v: %+v", guestTime, st)
	}
}

func TestTalkativeGuestsGoWhenItIsCrowded(t *testing.T) {
	for _, test := range []struct{ limit, want int }{{100, 10}, {12, 0}} {
		r := newRig(t, Config{Limits: Limits{Guests: test.limit}})
		c := testCommunity("c", "k")
		var edges []*fakeEdge
		for n := range 10 {
			e := r.edge(c, fmt.Sprint("e", n), n)
			e.connect()
			edges = append(edges, e)
		}
		for range 9 {
			for _, e := range edges {
				r.deliver(e.addr, e.seal())
			}
			r.pass(10*time.Second, sweepPause)
		}
		if st := r.s.Status(); st.Guests != test.want {
			t.Errorf("limit %d: %d guests are left", test.limit, st.Guests)
		}
	}
}

func TestIndexesCarryTheBoot(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	for boot := uint8(1); boot < 4; boot++ {
		e := r.edge(testCommunity("c", "k"), "e", 1)
		e.connect()
		if got := uint8(e.session.RemoteIndex() >> 24); got != boot {
			t.Errorf("boot %d gave an index of boot %d", boot, got)
		}
		r = r.restart(cfg)
	}
}
