package edge

import (
	"bytes"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// numbered returns a frame that can be told from others.
func numbered(n int) []byte { return []byte{byte(n >> 8), byte(n)} }

// stagedAlone returns staged frames without an edge around them, and their timers.
func stagedAlone() (*staged, *timer.Queue, *dataplane.Drops) {
	q, s := new(timer.Queue), new(staged)
	plane := dataplane.New(dataplane.Config{Community: testCommunity(), Started: noon})
	s.open(q, plane)
	return s, q, plane.Drops()
}

// TestStagedPerPeer stages more for one peer than it may: the oldest go.
func TestStagedPerPeer(t *testing.T) {
	s, _, d := stagedAlone()
	p, other := new(peer), new(peer)
	s.add(noon, other, numbered(9999))
	for n := range stagedPerPeer + 10 {
		s.add(noon, p, numbered(n))
	}
	if got := d.Count(dataplane.DropStageFull); got != 10 {
		t.Errorf("%d drops, want 10", got)
	}
	got := s.remove(p)
	if len(got) != stagedPerPeer || !bytes.Equal(got[0], numbered(10)) || !bytes.Equal(got[len(got)-1], numbered(stagedPerPeer+9)) {
		t.Errorf("%d frames from %x", len(got), got[0])
	}
	if s.remove(p) != nil {
		t.Error("removed twice")
	}
	if got := s.remove(other); len(got) != 1 || len(s.frames) != 0 || len(s.count) != 0 {
		t.Errorf("%d frames of the other peer, %d left", len(got), len(s.frames))
	}
}

// TestStagedInAll stages more than there is room for: the oldest of all go,
// and the counts follow.
func TestStagedInAll(t *testing.T) {
	s, _, d := stagedAlone()
	peers := make([]peer, 20)
	n := 0
	for range stagedPerPeer {
		for i := range peers {
			s.add(noon, &peers[i], numbered(n))
			n++
		}
	}
	if len(s.frames) != stagedMax || d.Count(dataplane.DropStageFull) != uint64(n-stagedMax) {
		t.Errorf("%d frames, %d drops of %d", len(s.frames), d.Count(dataplane.DropStageFull), n)
	}
	if !bytes.Equal(s.frames[0].frame, numbered(n-stagedMax)) {
		t.Errorf("the oldest is %x", s.frames[0].frame)
	}
	left := 0
	for i := range peers {
		left += s.count[&peers[i]]
		left -= len(s.remove(&peers[i]))
	}
	if left != 0 || len(s.frames) != 0 || len(s.count) != 0 {
		t.Errorf("counts are off by %d, %d frames left", left, len(s.frames))
	}
}

// TestStagedExpiry holds how long a frame waits: ten seconds.
func TestStagedExpiry(t *testing.T) {
	s, timers, d := stagedAlone()
	p, q := new(peer), new(peer)
	if !timers.Next().IsZero() {
		t.Error("a deadline for nothing")
	}
	s.add(noon, p, numbered(1))
	s.add(noon.Add(time.Second), q, numbered(2))
	s.add(noon.Add(2*time.Second), p, numbered(3))
	if got := timers.Next(); !got.Equal(noon.Add(stagedWait)) {
		t.Errorf("deadline %v", got)
	}
	for i, c := range []struct {
		at   time.Duration
		want int
	}{{stagedWait - 1, 3}, {stagedWait, 2}, {stagedWait + time.Second, 1}, {stagedWait + time.Hour, 0}} {
		timers.Run(noon.Add(c.at))
		if len(s.frames) != c.want || d.Count(dataplane.DropStageFull) != uint64(3-c.want) {
			t.Errorf("step %d: %d frames, %d drops", i, len(s.frames), d.Count(dataplane.DropStageFull))
		}
	}
	if !timers.Next().IsZero() {
		t.Error("a deadline for nothing at the end")
	}
	s.add(noon, p, numbered(4))
	s.add(noon, q, numbered(5))
	s.discard(p)
	if len(s.frames) != 1 || s.frames[0].peer != q || d.Count(dataplane.DropStageFull) != 4 {
		t.Errorf("%d frames after discard", len(s.frames))
	}
}

// TestWhatIsCarried checks when staged frames can be sent: inside a session by any
// path, as GROUP packets through a supernode that knows the peer, and by no
// supernode where none may carry frames.
func TestWhatIsCarried(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Config)
		prepare func(e *testEdge, p *peer)
		want    bool
	}{
		{"nobody knows it", nil, func(*testEdge, *peer) {}, false},
		{"a supernode knows it", nil, func(e *testEdge, p *peer) { e.hop(); e.peers.setHandle(p, 0, 5) }, true},
		{"of listed members alone", func(c *Config) { c.Community.Members = crypto.MembersList },
			func(e *testEdge, p *peer) { e.hop(); e.peers.setHandle(p, 0, 5) }, false},
		{"with a session and no path", nil, func(e *testEdge, p *peer) { e.promote(p, e.session(p, noon, 1, true)) }, false},
		{"with a session and a relay", nil, func(e *testEdge, p *peer) { e.met(2, "") }, true},
		{"with a session of a listed member", listedConfig,
			func(e *testEdge, p *peer) { e.adopts(signedList(t, 1, entry(2, 0))); e.met(2, "") }, true},
		{"with a session and no list yet", listedConfig, func(e *testEdge, p *peer) { e.met(2, "") }, false},
		{"without a relay", func(c *Config) { c.Reach.NoRelay = true }, func(e *testEdge, p *peer) { e.met(2, "") }, false},
	} {
		e := newEdge(t, c.change)
		p := e.introduced(2)
		c.prepare(e, p)
		e.settle(noon)
		if e.sessions.carries(p) {
			t.Errorf("%s: nothing waits", c.name)
		}
		e.sessions.staged.add(noon, p, numbered(1))
		if got := e.sessions.carries(p); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// TestReleaseStaged sends what waited for a peer once it can be reached, in order
// and sealed for it.
func TestReleaseStaged(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	e.conn.take()
	for n := range 3 {
		f := ethernet(p.view.MAC(), e.self.mac, protocol.EtherTypeIPv4, 100+n)
		e.handle(noon, dataplane.Staged{Peer: p.view, Frame: f})
	}
	e.conn.take() // the INIT that the need for a session made
	if !p.sessions.init.active() || len(e.sessions.staged.frames) != 3 {
		t.Error("no session is asked for")
	}
	s := e.hop()
	e.promote(p, e.session(p, noon, 1, true))
	e.peers.setHandle(p, 0, 77)
	e.settle(noon)
	if len(e.sessions.staged.frames) != 0 {
		t.Fatalf("%d frames left", len(e.sessions.staged.frames))
	}
	sent := e.conn.take()[:3] // before what the loop has to say
	for n, d := range sent {
		if want := protocol.RelayOverhead + 33 + 100 + n; len(d.pkt) != want || d.to != s.hop.at {
			t.Errorf("datagram %d has %d bytes, want %d", n, len(d.pkt), want)
		}
	}
}

// TestStagedAreDiscarded drops what waits for a peer that does not answer.
func TestStagedAreDiscarded(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	e.handle(noon, dataplane.Staged{Peer: p.view, Frame: ethernet(p.view.MAC(), e.self.mac, 0x0806, 46)})
	e.sessions.retryInit(noon.Add(handshake.GiveUpAfter-1), p)
	if !p.sessions.init.active() || len(e.sessions.staged.frames) != 1 {
		t.Fatal("given up too early")
	}
	e.sessions.retryInit(noon.Add(handshake.GiveUpAfter), p)
	if p.sessions.init.active() || len(e.sessions.staged.frames) != 0 || e.dropped(dataplane.DropStageFull) != 1 || len(e.sessions.pending) != 0 {
		t.Errorf("active %v, %d staged", p.sessions.init.active(), len(e.sessions.staged.frames))
	}
	if e.drops()["handshake-given-up"] != 1 {
		t.Errorf("counted %v", e.drops())
	}
}
