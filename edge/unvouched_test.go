package edge

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// numbered returns a frame that can be told from others.
func numbered(n int) []byte { return []byte{byte(n >> 8), byte(n)} }

// TestStagedPerPeer stages more for one peer than it may: the oldest go.
func TestStagedPerPeer(t *testing.T) {
	var s staged
	var d dataplane.Drops
	p, other := new(dataplane.Peer), new(dataplane.Peer)
	s.add(noon, other, numbered(9999), &d)
	for n := range stagedPerPeer + 10 {
		s.add(noon, p, numbered(n), &d)
	}
	if got := d.Count(dataplane.DropStageFull); got != 10 {
		t.Errorf("%d drops, want 10", got)
	}
	got := s.take(p)
	if len(got) != stagedPerPeer || !bytes.Equal(got[0], numbered(10)) || !bytes.Equal(got[len(got)-1], numbered(stagedPerPeer+9)) {
		t.Errorf("%d frames from %x", len(got), got[0])
	}
	if s.take(p) != nil {
		t.Error("taken twice")
	}
	if got := s.take(other); len(got) != 1 || len(s.frames) != 0 || len(s.count) != 0 {
		t.Errorf("%d frames of the other peer, %d left", len(got), len(s.frames))
	}
}

// TestStagedInAll stages more than there is room for: the oldest of all go,
// and the counts follow.
func TestStagedInAll(t *testing.T) {
	var s staged
	var d dataplane.Drops
	peers := make([]dataplane.Peer, 20)
	n := 0
	for range stagedPerPeer {
		for i := range peers {
			s.add(noon, &peers[i], numbered(n), &d)
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
		left -= len(s.take(&peers[i]))
	}
	if left != 0 || len(s.frames) != 0 || len(s.count) != 0 {
		t.Errorf("counts are off by %d, %d frames left", left, len(s.frames))
	}
}

// TestStagedExpiry holds how long a frame waits: ten seconds.
func TestStagedExpiry(t *testing.T) {
	var s staged
	var d dataplane.Drops
	p, q := new(dataplane.Peer), new(dataplane.Peer)
	if !s.deadline().IsZero() {
		t.Error("a deadline for nothing")
	}
	s.add(noon, p, numbered(1), &d)
	s.add(noon.Add(time.Second), q, numbered(2), &d)
	s.add(noon.Add(2*time.Second), p, numbered(3), &d)
	if got := s.deadline(); !got.Equal(noon.Add(stagedWait)) {
		t.Errorf("deadline %v", got)
	}
	for i, c := range []struct {
		at   time.Duration
		want int
	}{{stagedWait - 1, 3}, {stagedWait, 2}, {stagedWait + time.Second, 1}, {stagedWait + time.Hour, 0}} {
		s.expire(noon.Add(c.at), &d)
		if len(s.frames) != c.want || d.Count(dataplane.DropStageFull) != uint64(3-c.want) {
			t.Errorf("step %d: %d frames, %d drops", i, len(s.frames), d.Count(dataplane.DropStageFull))
		}
	}
	s.add(noon, p, numbered(4), &d)
	s.add(noon, q, numbered(5), &d)
	s.discard(p, &d)
	if len(s.frames) != 1 || s.frames[0].peer != q || d.Count(dataplane.DropStageFull) != 4 {
		t.Errorf("%d frames after discard", len(s.frames))
	}
	s.move(q, p)
	if got := s.take(p); len(got) != 1 || len(s.count) != 0 {
		t.Errorf("%d frames moved", len(got))
	}
}

// TestUnvouchedExpiry holds how long a stranger's frame waits: two seconds.
func TestUnvouchedExpiry(t *testing.T) {
	var u unvouched
	var d dataplane.Drops
	for n := range 3 {
		u.waiting = append(u.waiting, waitingFrame{since: noon.Add(time.Duration(n) * time.Second)})
	}
	if got := u.deadline(); !got.Equal(noon.Add(unvouchedWait)) {
		t.Errorf("deadline %v", got)
	}
	for i, c := range []struct {
		at   time.Duration
		want int
	}{{unvouchedWait - 1, 3}, {unvouchedWait, 2}, {unvouchedWait + time.Second - 1, 2}, {time.Hour, 0}} {
		u.expire(noon.Add(c.at), &d)
		if len(u.waiting) != c.want || d.Count(dataplane.DropGroupUnvouched) != uint64(3-c.want) {
			t.Errorf("step %d: %d frames, %d drops", i, len(u.waiting), d.Count(dataplane.DropGroupUnvouched))
		}
	}
	if !u.deadline().IsZero() {
		t.Error("a deadline for nothing")
	}
}

// stranger is a peer of an edge at an underlay address, and what it sends.
type stranger struct {
	*testEdge
	p    *peer
	salt [16]byte
}

func newStranger(t *testing.T, change func(*Config)) *stranger {
	e := newEdge(t, change)
	s := &stranger{testEdge: e, p: e.introduced(2), salt: [16]byte{1, 2, 3}}
	s.p.view.SetRoute(dataplane.Route{Direct: elsewhere})
	return s
}

// says returns the event of an unvouched GROUP packet of the stranger.
func (s *stranger) says(inner []byte) dataplane.Unvouched {
	return dataplane.Unvouched{Inner: inner, Origin: dataplane.Origin{Addr: elsewhere}, XF: 2, KI: 7, Salt: s.salt, Run: 5}
}

func (s *stranger) frame(src protocol.MAC) []byte {
	return fullFrame(ethernet(protocol.Broadcast, src, 0x0806, 46))
}

func (s *stranger) vouch() { s.plane.Groups().Vouch(noon, s.p.view.Static(), 7, 2, s.salt) }

// TestUnvouchedRules checks when an unvouched frame is delivered: at once,
// after its very salt was vouched for, or never.
func TestUnvouchedRules(t *testing.T) {
	const atOnce, vouched, never = "at once", "when vouched for", "never"
	members := func(m crypto.Members) func(*Config) { return func(c *Config) { c.Community.Members = m } }
	for _, c := range []struct {
		name    string
		change  func(*Config)
		prepare func(s *stranger)
		stale   bool
		want    string
	}{
		{"first contact, tofu", nil, func(*stranger) {}, false, atOnce},
		{"first contact, open", members(crypto.MembersOpen), func(*stranger) {}, false, atOnce},
		{"first contact, list", members(crypto.MembersList), func(*stranger) {}, false, vouched},
		{"outside its time", nil, func(*stranger) {}, true, vouched},
		{"with a session", nil, func(s *stranger) { s.p.sessions.promote(s.session(s.p, noon, 1, true)) }, false, vouched},
		{"outside its time, with a session", nil, func(s *stranger) { s.p.sessions.promote(s.session(s.p, noon, 1, true)) }, true, vouched},
		{"a sender without a statement", nil, func(s *stranger) {
			s.forget(noon, s.p)
			s.p = s.meet(noon, testIdentity(3).Static)
			s.p.view.SetRoute(dataplane.Route{Direct: elsewhere})
		}, false, never},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStranger(t, c.change)
			c.prepare(s)
			s.publish(noon)
			ev := s.says(s.frame(s.p.view.MAC()))
			ev.Stale = c.stale
			s.handleEvent(noon, ev)
			if got := len(s.device.take()); got != map[string]int{atOnce: 1}[c.want] {
				t.Errorf("%d frames at once", got)
			}
			s.releaseUnvouched(noon, s.p) // a statement came, or another salt
			if got := len(s.device.take()); got != 0 {
				t.Errorf("%d frames without a reason", got)
			}
			s.vouch()
			s.releaseUnvouched(noon, s.p)
			if got := len(s.device.take()); got != map[string]int{vouched: 1}[c.want] {
				t.Errorf("%d frames when vouched for", got)
			}
			s.unvouched.expire(noon.Add(unvouchedWait), s.drops)
			if len(s.unvouched.waiting) != 0 || s.hosts() != 0 {
				t.Errorf("%d still wait, %d learned", len(s.unvouched.waiting), s.hosts())
			}
		})
	}
}

// TestUnvouchedSource checks that an unvouched frame carries just the address
// of its sender's statement.
func TestUnvouchedSource(t *testing.T) {
	s := newStranger(t, nil)
	third := s.introduced(3)
	for _, src := range []protocol.MAC{host(1), third.view.MAC(), s.plane.Self(), protocol.Broadcast} {
		s.handleEvent(noon, s.says(s.frame(src)))
		if got := s.dropped(dataplane.DropGroupUnvouched); got != 1 {
			t.Errorf("%v: %d drops", src, got)
		}
	}
	s.unbind(s.p)
	s.handleEvent(noon, s.says(s.frame(s.p.view.MAC())))
	if got := s.dropped(dataplane.DropGroupUnvouched); got != 1 {
		t.Errorf("unbound: %d drops", got)
	}
	if got := s.device.take(); len(got) != 0 || s.hosts() != 0 {
		t.Errorf("delivered %d, learned %d", len(got), s.hosts())
	}
}

// TestUnvouchedInner gives malformed inners, and such as have no business in a
// first contact.
func TestUnvouchedInner(t *testing.T) {
	s := newStranger(t, nil)
	frame := s.frame(s.p.view.MAC())
	elided := append([]byte{1 << 6}, bytes.Repeat([]byte{0x45}, 40)...)
	for i, inner := range [][]byte{nil, {0}, {0, 1, 2}, {2 << 6}, {3<<6 | 1, 0, 0}, elided, append([]byte{1}, frame[1:]...)} {
		s.handleEvent(noon, s.says(inner))
		if got := s.dropped(dataplane.DropInner); got != 1 {
			t.Errorf("%d: %v", i, s.drops.Counts())
		}
	}
	s.device.err = errors.New("refused")
	s.handleEvent(noon, s.says(frame))
	if got := s.drops.Count(dataplane.DropDeviceWrite); got != 1 {
		t.Errorf("%d failed writes", got)
	}
}

// TestUnvouchedFragments joins the pieces of a long frame of a first contact.
func TestUnvouchedFragments(t *testing.T) {
	s := newStranger(t, nil)
	frame := ethernet(protocol.Broadcast, s.p.view.MAC(), protocol.EtherTypeIPv4, 3000)
	other := ethernet(protocol.Broadcast, s.p.view.MAC(), protocol.EtherTypeIPv6, 3000)
	for i := range 3 {
		// Pieces under another salt with the same numbers come in between.
		mixed := s.says(protocol.AppendPiece(nil, fullFrame(other), i, 3))
		ev := s.says(protocol.AppendPiece(nil, fullFrame(frame), i, 3))
		ev.CTR, mixed.CTR, mixed.Run = 40+uint64(i), 40+uint64(i), 6
		if i < 2 {
			s.handleEvent(noon, mixed)
		}
		s.handleEvent(noon, ev)
	}
	if got := s.device.take(); len(got) != 1 || !bytes.Equal(got[0], frame) {
		t.Errorf("%d frames", len(got))
	}
}

// TestUnvouchedBound keeps 64 frames of strangers, and drops the oldest.
func TestUnvouchedBound(t *testing.T) {
	e := newEdge(t, nil)
	for n := range unvouchedMax + 6 {
		e.handleEvent(noon, dataplane.Unvouched{Inner: numbered(n), Origin: dataplane.Origin{Addr: netip.AddrPortFrom(elsewhere.Addr(), uint16(2000+n))}})
	}
	if len(e.unvouched.waiting) != unvouchedMax || e.drops.Count(dataplane.DropStageFull) != 6 {
		t.Errorf("%d wait, drops %v", len(e.unvouched.waiting), e.drops.Counts())
	}
	if got := e.unvouched.waiting[0].event.Inner; !bytes.Equal(got, numbered(6)) {
		t.Errorf("the oldest is %x", got)
	}
}

// TestReleaseStaged sends what waited for a peer once there is a way to it,
// in order and sealed for it.
func TestReleaseStaged(t *testing.T) {
	s := newStranger(t, nil)
	s.conn.take()
	for n := range 3 {
		f := ethernet(s.p.view.MAC(), s.plane.Self(), protocol.EtherTypeIPv4, 100+n)
		s.handleEvent(noon, dataplane.Staged{Peer: s.p.view, Frame: f})
	}
	s.send.Flush()
	s.conn.take() // the INIT that the need for a session made
	if !s.p.handshake.active {
		t.Error("no session is asked for")
	}
	entry := s.session(s.p, noon, 1, true)
	s.p.sessions.promote(entry)
	s.p.view.SetRoute(dataplane.Route{Session: entry.Crypto(), Direct: elsewhere, Limit: dataplane.MaxDatagramIPv4})
	s.releaseStaged(noon, s.p)
	sent := s.conn.take()
	if len(sent) != 3 || len(s.staged.frames) != 0 {
		t.Fatalf("%d datagrams, %d frames left", len(sent), len(s.staged.frames))
	}
	for n, d := range sent {
		if want := 33 + 100 + n; len(d.pkt) != want || d.to != elsewhere {
			t.Errorf("datagram %d has %d bytes, want %d", n, len(d.pkt), want)
		}
	}
}

// TestStagedAreDiscarded drops what waits for a peer that does not answer.
func TestStagedAreDiscarded(t *testing.T) {
	s := newStranger(t, nil)
	s.handleEvent(noon, dataplane.Staged{Peer: s.p.view, Frame: ethernet(s.p.view.MAC(), s.plane.Self(), 0x0806, 46)})
	s.retryInit(noon.Add(handshakeFor), s.p)
	if !s.p.handshake.active || len(s.staged.frames) != 1 {
		t.Fatal("given up too early")
	}
	s.retryInit(noon.Add(handshakeFor+1), s.p)
	if s.p.handshake.active || len(s.staged.frames) != 0 || s.drops.Count(dataplane.DropStageFull) != 1 {
		t.Errorf("active %v, %d staged", s.p.handshake.active, len(s.staged.frames))
	}
}
