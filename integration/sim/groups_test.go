package sim

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// film is the group of these tests.
var film = [4]byte{239, 1, 2, 3}

// audience is a host that joins the group of the tests, with IGMPv2 (RFC 2236): it answers
// queries after a while, unless it hears another one's report.
type audience struct {
	lan  *Segment
	port *port
	mac  protocol.MAC
	wait time.Duration

	mu     sync.Mutex
	in     bool
	answer *time.Timer
	got    []time.Time
}

func (s *Segment) audience(n byte) *audience {
	a := &audience{lan: s, mac: protocol.MAC{2, 0, 0, 0, 7, n}, wait: time.Duration(n) * 100 * time.Millisecond}
	a.port = &port{out: a.receive}
	s.plug(a.port)
	return a
}

// igmp sends a message of a type about the group.
func (a *audience) igmp(typ byte, to [4]byte) {
	b := []byte{typ, 0, 0, 0, film[0], film[1], film[2], film[3]}
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	a.lan.receive(a.port, packet(a.mac, to, 2, b))
}

// packet returns the frame of a packet to a group.
func packet(src protocol.MAC, to [4]byte, proto byte, body []byte) []byte {
	p := append(make([]byte, 20), body...)
	p[0], p[8], p[9] = 0x45, 1, proto
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[16:], to[:])
	binary.BigEndian.PutUint16(p[10:], checksum(p[:20]))
	f := append([]byte{1, 0, 0x5e, to[1] & 0x7f, to[2], to[3]}, src[:]...)
	return append(append(f, 8, 0), p...)
}

func checksum(b []byte) uint16 {
	s := uint32(0)
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	return ^uint16(s>>16 + s&0xffff)
}

func (a *audience) join() {
	a.mu.Lock()
	a.in = true
	a.mu.Unlock()
	a.igmp(0x16, film)
}

func (a *audience) leave() {
	a.mu.Lock()
	a.in = false
	a.mu.Unlock()
	a.igmp(0x17, [4]byte{224, 0, 0, 2})
}

func (a *audience) receive(frame []byte) {
	if len(frame) < 34 || protocol.Frame(frame).EtherType() != protocol.EtherTypeIPv4 {
		return
	}
	p := frame[14:]
	body := p[int(p[0]&15)*4:]
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case p[9] == 17 && [4]byte(p[16:]) == film:
		a.got = append(a.got, time.Now())
	case p[9] != 2 || !a.in:
	case body[0] == 0x16 && a.answer != nil:
		a.answer.Stop() // somebody else has said it
	case body[0] == 0x11 && (binary.BigEndian.Uint32(body[4:]) == 0 || [4]byte(body[4:]) == film):
		a.answer = time.AfterFunc(a.wait, func() { a.igmp(0x16, film) })
	}
}

// between returns how many frames of the group came in an interval.
func (a *audience) between(from, to time.Time) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, at := range a.got {
		if !at.Before(from) && at.Before(to) {
			n++
		}
	}
	return n
}

// play sends the group twenty times a second until stop is called.
func play(a *audience) (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for frame := packet(a.mac, film, 17, make([]byte, 200)); ; {
			a.lan.receive(a.port, frame)
			select {
			case <-end:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() { close(end); <-done }
}

// expect fails the test unless in a time from now on these hosts, and no others, get the
// whole film, but for a few frames that are under way.
func expect(t *testing.T, d time.Duration, all []*audience, want ...*audience) {
	t.Helper()
	from := time.Now()
	time.Sleep(d)
	sent := int(d / (50 * time.Millisecond))
	for i, a := range all {
		n := a.between(from, time.Now())
		if in := slices.Contains(want, a); in && (n < sent-2 || n > sent+2) || !in && n != 0 {
			t.Errorf("host %d, which is to get the film: %v, got %d frames of %d", i, in, n, sent)
		}
	}
}

// theatre is a stream from the first LAN, and a host on each LAN that may join.
func theatre(w *bridged) (all []*audience, stop func()) {
	for i, lan := range w.lans {
		all = append(all, lan.audience(byte(i+1)))
	}
	return all, play(w.lans[0].audience(200))
}

// eachTheatre has a stream played behind each kind of router, to bridges of LANs with these
// numbers.
func eachTheatre(t *testing.T, lanOf []int, f func(t *testing.T, w *bridged, all []*audience)) {
	eachBehavior(t, func(t *testing.T, b nattest.Behavior) {
		w := newBridged(t, b, lanOf...)
		defer w.end()
		time.Sleep(30 * time.Second)
		all, stop := theatre(w)
		defer stop()
		f(t, w, all)
	})
}

// groups returns what an edge knows of groups.
func (w *bridged) groups(i int) control.Groups {
	w.t.Helper()
	fdb, err := w.edges[i].Edge.FDB(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return fdb.Groups
}

// TestStreamGoesToMembers plays a stream on one LAN of six for half an hour, with the race
// detector for longer than any membership is kept: it reaches those where a host has joined,
// without a frame missing, and comes to no other edge. Who joins late has it within a
// second, and who leaves is rid of it soon, unless somebody beside him stays.
func TestStreamGoesToMembers(t *testing.T) {
	long, then := span(30*time.Minute, 5*time.Minute), span(10*time.Minute, 5*time.Minute)
	eachTheatre(t, []int{0, 1, 2, 3, 4, 5}, func(t *testing.T, w *bridged, all []*audience) {
		all[2].join()
		all[5].join()
		time.Sleep(time.Second)
		expect(t, long, all[1:], all[2], all[5])
		if g := w.groups(0); len(g.Members) != 2 || g.Members[0].Edge != "edge2" || g.Members[1].Edge != "edge5" || len(g.All) != 0 || g.Flooded {
			t.Errorf("the sender's edge knows %+v", g)
		}

		joined := time.Now()
		all[3].join()
		time.Sleep(time.Second)
		if all[3].between(joined, time.Now()) < 15 {
			t.Error("who joined late did not have the stream within a second")
		}
		beside := w.lans[2].audience(9)
		beside.join()
		time.Sleep(time.Second)
		all[2].leave()
		all[5].leave()
		time.Sleep(5 * time.Second)
		expect(t, then, []*audience{all[1], beside, all[3], all[4], all[5]}, beside, all[3])
		beside.leave()
		all[3].leave()
		time.Sleep(6 * time.Second)
		suppressed := w.groups(0).Suppressed
		expect(t, time.Minute, all[1:])
		if n := w.groups(0).Suppressed - suppressed; n < 1190 || n > 1210 {
			t.Errorf("%d of 1200 frames count as suppressed", n)
		}
	})
}

// TestStreamWithAQuerier has a multicast router ask on one LAN, which thereby gets all.
func TestStreamWithAQuerier(t *testing.T) {
	eachTheatre(t, []int{0, 1, 2, 3}, func(t *testing.T, w *bridged, all []*audience) {
		router := w.lans[3].audience(100)
		query := func(group, to [4]byte) {
			q := append([]byte{0x11, 100, 0, 0}, group[:]...)
			binary.BigEndian.PutUint16(q[2:], checksum(q))
			frame := packet(router.mac, to, 2, q)
			copy(frame[26:], []byte{10, 0, 0, 1})
			clear(frame[24:26])
			binary.BigEndian.PutUint16(frame[24:], checksum(frame[14:34]))
			w.lans[3].receive(router.port, frame)
		}
		query([4]byte{}, [4]byte{224, 0, 0, 1})
		all[2].join()
		time.Sleep(time.Second)
		const asked = 125 * time.Second // RFC 3376, section 8.2
		for range span(10*asked, 3*asked) / asked {
			expect(t, asked, all[1:], all[2], all[3])
			query([4]byte{}, [4]byte{224, 0, 0, 1})
		}
		time.Sleep(time.Second)
		all[2].leave()
		time.Sleep(500 * time.Millisecond) // the router hears of it, and asks
		query(film, film)
		time.Sleep(5 * time.Second)
		expect(t, time.Minute, all[1:], all[3])
	})
}

// TestStreamSurvives has the edge of a member's LAN be killed and come back, and the
// forwarder of one with two edges succeeded by the other.
func TestStreamSurvives(t *testing.T) {
	eachTheatre(t, []int{0, 1, 2, 2, 3}, func(t *testing.T, w *bridged, all []*audience) {
		all[1].join()
		all[2].join()
		time.Sleep(time.Second)
		long := span(10*time.Minute, 5*time.Minute)
		expect(t, long, all[1:], all[1], all[2])
		w.edges[2].Kill() // the forwarder of LAN 2
		w.edges[1].Kill()
		time.Sleep(2 * time.Second)
		w.edges[1].Start()
		time.Sleep(10 * time.Second)
		expect(t, long, all[1:3], all[1], all[2])
		time.Sleep(time.Minute)
		expect(t, time.Minute, all[3:])
	})
}

// TestTransparentGetsAll has an edge that does not look at memberships send to all, and get
// all.
func TestTransparentGetsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBridgedWith(t, nattest.PortRestricted, func(i int, o *Options) { o.Ethernet.Transparent = i == 1 }, 0, 1, 2)
		defer w.end()
		time.Sleep(time.Minute)
		all, stop := theatre(w)
		time.Sleep(time.Second)
		expect(t, time.Minute, all[1:], all[1])
		stop()
		stop = play(w.lans[1].audience(201))
		time.Sleep(time.Second)
		expect(t, time.Minute, all, all...)
		stop()
		if g := w.groups(1); !g.Transparent {
			t.Errorf("%+v", g)
		}
		if g := w.groups(0); !slices.Equal(g.All, []string{"edge1"}) {
			t.Errorf("%+v", g)
		}
	})
}
