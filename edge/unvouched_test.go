package edge

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// TestUnvouchedExpiry holds how long a stranger's frame waits: two seconds.
func TestUnvouchedExpiry(t *testing.T) {
	var u unvouched
	var timers timer.Queue
	plane := dataplane.New(dataplane.Config{Community: testCommunity(), Started: noon})
	u.open(&timers, plane)
	for n := range 3 {
		u.add(noon.Add(time.Duration(n)*time.Second), dataplane.Unvouched{}, false)
	}
	if got := timers.Next(); !got.Equal(noon.Add(unvouchedWait)) {
		t.Errorf("deadline %v", got)
	}
	for i, c := range []struct {
		at   time.Duration
		want int
	}{{unvouchedWait - 1, 3}, {unvouchedWait, 2}, {unvouchedWait + time.Second - 1, 2}, {time.Hour, 0}} {
		timers.Run(noon.Add(c.at))
		if len(u.waiting) != c.want || plane.Drops().Count(dataplane.DropGroupUnvouched) != uint64(3-c.want) {
			t.Errorf("step %d: %d frames, %d drops", i, len(u.waiting), plane.Drops().Count(dataplane.DropGroupUnvouched))
		}
	}
	if !timers.Next().IsZero() {
		t.Error("a deadline for nothing")
	}
}

// stranger is a peer of an edge that a supernode knows, and what it sends.
type stranger struct {
	*testEdge
	p    *peer
	salt [16]byte
}

func newStranger(t *testing.T, change func(*Config)) *stranger {
	e := newEdge(t, change)
	s := &stranger{testEdge: e, p: e.introduced(2), salt: [16]byte{1, 2, 3}}
	tag := e.keys.community.SenderTag(s.p.view.Static())
	copy(s.salt[8:], tag[:])
	e.peers.setHandle(s.p, 0, strangersHandle)
	e.settle(noon)
	return s
}

// strangersHandle is by what the supernode knows the stranger.
const strangersHandle = 5

// says returns the event of an unvouched GROUP packet of the stranger.
func (s *stranger) says(inner []byte) dataplane.Unvouched {
	return dataplane.Unvouched{Inner: inner, Origin: dataplane.Origin{Supernode: s.servers.list[0].view, Handle: strangersHandle}, XF: 2, KI: 7, Salt: s.salt, Run: 5}
}

func (s *stranger) frame(src protocol.MAC) []byte {
	return fullFrame(ethernet(protocol.Broadcast, src, 0x0806, 46))
}

func (s *stranger) vouch() {
	s.data.plane.Groups().Vouch(noon, s.p.view.Static(), crypto.GroupVouch{KI: 7, XF: 2, Salt: s.salt})
}

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
		{"first contact, list", listedConfig, func(s *stranger) { s.adopts(signedList(t, 1, entry(2, 0))) }, false, vouched},
		{"first contact, not in the list", listedConfig, func(s *stranger) { s.adopts(signedList(t, 1, entry(3, 0))) }, false, never},
		{"first contact, no list yet", listedConfig, func(*stranger) {}, false, never},
		{"outside its time", nil, func(*stranger) {}, true, vouched},
		{"with a session", nil, func(s *stranger) { s.promote(s.p, s.session(s.p, noon, 1, true)) }, false, vouched},
		{"outside its time, with a session", nil, func(s *stranger) { s.promote(s.p, s.session(s.p, noon, 1, true)) }, true, vouched},
		{"a sender without a statement", nil, func(s *stranger) {
			s.peers.forget(s.p)
			s.p = s.peers.meet(noon, testIdentity(3).Static)
			s.peers.setHandle(s.p, 0, strangersHandle)
		}, false, never},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStranger(t, c.change)
			c.prepare(s)
			s.settle(noon)
			ev := s.says(s.frame(s.p.view.MAC()))
			ev.Stale = c.stale
			s.handle(noon, ev)
			if got := len(s.device.take()); got != map[string]int{atOnce: 1}[c.want] {
				t.Errorf("%d frames at once", got)
			}
			s.sessions.releaseUnvouched(noon, s.p) // a statement came, or another salt
			if got := len(s.device.take()); got != 0 {
				t.Errorf("%d frames without a reason", got)
			}
			s.vouch()
			s.sessions.releaseUnvouched(noon, s.p)
			if got := len(s.device.take()); got != map[string]int{vouched: 1}[c.want] {
				t.Errorf("%d frames when vouched for", got)
			}
			s.pass(noon.Add(unvouchedWait))
			if len(s.sessions.unvouched.waiting) != 0 || s.hosts() != 0 {
				t.Errorf("%d still wait, %d learned", len(s.sessions.unvouched.waiting), s.hosts())
			}
		})
	}
}

// TestUnvouchedHost has a frame of a host behind a peer wait for the peer's word, whole
// or in pieces: a session is made for it, and only what the peer vouches for in that
// counts.
func TestUnvouchedHost(t *testing.T) {
	long := ethernet(protocol.Broadcast, host(1), protocol.EtherTypeIPv4, 3000)
	for name, inners := range map[string]func(s *stranger) [][]byte{
		"whole": func(s *stranger) [][]byte { return [][]byte{s.frame(host(1))} },
		"in pieces": func(*stranger) (pieces [][]byte) {
			for i := range 3 {
				pieces = append(pieces, protocol.AppendPiece(nil, fullFrame(long), i, 3))
			}
			return pieces
		},
	} {
		s := newStranger(t, nil)
		for i, inner := range inners(s) {
			ev := s.says(inner)
			ev.CTR = 40 + uint64(i)
			s.handle(noon, ev)
		}
		s.settle(noon)
		if !s.p.sessions.init.active() || !s.sessions.withheld(s.p) {
			t.Errorf("%s: no session is made", name)
		}
		if len(s.device.take()) != 0 || s.hosts() != 0 || len(s.sessions.unvouched.waiting) != 1 {
			t.Errorf("%s: %d learned, %d wait", name, s.hosts(), len(s.sessions.unvouched.waiting))
		}
		s.vouch()
		s.p.view.SetFeatures(protocol.FeatureBridge) // as the session says
		s.data.guard.settle(s.p)
		s.sessions.releaseUnvouched(noon, s.p)
		if got := len(s.device.take()); got != 1 || s.hosts() != 1 {
			t.Errorf("%s: %d delivered, %d learned", name, got, s.hosts())
		}
	}
}

// TestUnvouchedSource checks that an unvouched frame carries no address that its sender
// may not send from, vouched for or not.
func TestUnvouchedSource(t *testing.T) {
	third := testIdentity(3).MAC(testCommunity().ID())
	s := newStranger(t, nil)
	for src, want := range map[protocol.MAC]dataplane.DropReason{
		third:               dataplane.DropSpoofedSource,
		s.data.plane.Self(): dataplane.DropOwnSource,
		protocol.Broadcast:  dataplane.DropFrameInvalid,
		{3, 0, 0, 0, 0, 1}:  dataplane.DropFrameInvalid,
	} {
		s = newStranger(t, nil)
		s.introduced(3)
		s.handle(noon, s.says(s.frame(src)))
		s.vouch()
		s.sessions.releaseUnvouched(noon, s.p)
		if got := s.dropped(want); got != 1 {
			t.Errorf("%v: %d drops, want one for %v", src, got, want)
		}
	}
	s = newStranger(t, nil)
	s.peers.unbind(s.p)
	s.handle(noon, s.says(s.frame(s.p.view.MAC())))
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
		s.handle(noon, s.says(inner))
		if got := s.dropped(dataplane.DropInner); got != 1 {
			t.Errorf("%d: %v", i, s.drops())
		}
	}
	s.device.err = errors.New("refused")
	s.handle(noon, s.says(frame))
	if got := s.data.plane.Drops().Count(dataplane.DropDeviceWrite); got != 1 {
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
			s.handle(noon, mixed)
		}
		s.handle(noon, ev)
	}
	if got := s.device.take(); len(got) != 1 || !bytes.Equal(got[0], frame) {
		t.Errorf("%d frames", len(got))
	}
}

// TestUnvouchedBound keeps 64 frames of strangers, and drops the oldest.
func TestUnvouchedBound(t *testing.T) {
	e := newEdge(t, nil)
	for n := range unvouchedMax + 6 {
		e.handle(noon, dataplane.Unvouched{Inner: numbered(n), Origin: dataplane.Origin{Addr: netip.AddrPortFrom(elsewhere.Addr(), uint16(2000+n))}})
	}
	if len(e.sessions.unvouched.waiting) != unvouchedMax || e.data.plane.Drops().Count(dataplane.DropStageFull) != 6 {
		t.Errorf("%d wait, drops %v", len(e.sessions.unvouched.waiting), e.drops())
	}
	if got := e.sessions.unvouched.waiting[0].event.Inner; !bytes.Equal(got, numbered(6)) {
		t.Errorf("the oldest is %x", got)
	}
}

// TestUnvouchedCrowd: one origin that sends without end costs the frames of another
// one nothing.
func TestUnvouchedCrowd(t *testing.T) {
	e := newEdge(t, nil)
	other := dataplane.Origin{Addr: netip.AddrPortFrom(elsewhere.Addr(), 2000)}
	e.handle(noon, dataplane.Unvouched{Inner: numbered(1), Origin: other})
	for n := range 10 * unvouchedMax {
		e.handle(noon, dataplane.Unvouched{Inner: numbered(n), Origin: dataplane.Origin{Addr: elsewhere}})
	}
	if len(e.sessions.unvouched.waiting) != unvouchedMax || e.sessions.unvouched.waiting[0].event.Origin != other {
		t.Error("the frame of another origin is gone")
	}
}

// A peer's path to us may be direct while ours to it is not: what comes from an
// address that its path knows is its own, but for a peer whose direct path leads
// there.
func TestSenderOf(t *testing.T) {
	e := newEdge(t, nil)
	p, q := e.neighbour(2), e.neighbour(3)
	at := p.view.Route().Direct
	if got := e.sessions.senderOf(dataplane.Origin{Addr: at}); got != p {
		t.Error("not the peer whose path leads there")
	}
	q.reach.path.Received(noon, destination(7))
	if got := e.sessions.senderOf(dataplane.Origin{Addr: destination(7)}); got != q {
		t.Error("not the peer whose path knows the address")
	}
	if got := e.sessions.senderOf(dataplane.Origin{Addr: destination(8)}); got != nil {
		t.Error("a stranger's address is a peer's")
	}
	view := e.servers.list[0].view
	if got := e.sessions.senderOf(dataplane.Origin{Supernode: view, Handle: 3}); got != q || !q.sent(dataplane.Origin{Supernode: view, Handle: 3}) {
		t.Error("not the peer that the supernode means")
	}
	if p.sent(dataplane.Origin{Supernode: view}) || p.sent(dataplane.Origin{Supernode: view, Handle: 3}) {
		t.Error("another handle is the peer's")
	}
}

// A supernode is asked who has sent a packet through it that waits for its sender's
// statement; a known sender is asked to vouch for its salt.
func TestUnvouchedAsks(t *testing.T) {
	s := newStranger(t, nil)
	ev := s.says(s.frame(s.p.view.MAC()))
	ev.Stale = true
	unknown := s.sessions.handleUnvouched(noon, ev)
	if s.settle(noon); unknown || !s.p.sessions.init.active() || !s.sessions.withheld(s.p) {
		t.Error("a known sender is not asked to vouch")
	}
	ev.Origin.Handle = 99
	if !s.sessions.handleUnvouched(noon, ev) {
		t.Error("nobody asks who the sender is")
	}
}
