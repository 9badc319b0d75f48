package supernode

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/transport"
)

// screen hands in an INIT of an edge, and answers none. It returns what was sent at once.
func (r *rig) screen(e *fakeEdge, cookie *[16]byte) []sent {
	_, pkt := e.initiate(cookie)
	return r.deliverUnproved(e.addr, pkt)
}

// answerNext answers the INIT that is next, and returns whom that was sent to.
func (r *rig) answerNext() (to netip.AddrPort) {
	r.t.Helper()
	a := r.s.strangers.handshakes.answerer
	in, ok := a.waiting(r.now)
	if !ok {
		r.t.Fatal("no INIT waits")
	}
	a.answer(r.now, r.out, &in)
	r.s.sockets.flush(r.out)
	if !slices.ContainsFunc(r.conn.drain(), func(s sent) bool { return s.to == in.addr }) {
		r.t.Error("no RESP")
	}
	return in.addr
}

// TestMembersAreAnsweredFirst: what strangers ask for waits until registered edges have
// their sessions. Where many wait each shows a cookie, and no more of it waits than there are
// places; who finds none has used up no time of others.
func TestMembersAreAnsweredFirst(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	h := r.s.strangers.handshakes
	a := h.answerer
	member, late := r.edge(c, "member", 1).join(), r.edge(c, "late", 2)
	h.strangers.use(r.now) // a cookie is asked of everybody
	cookie, lateCookie := member.cookie(), late.cookie()
	r.now = r.now.Add(2 * effortKept) // there is time again
	stranger := r.edge(c, "stranger", 2)
	asked := 0
	for i := range 2 * admittedMost / cookieShare {
		stranger.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(i >> 8), byte(i), 1}), 4000)
		for _, s := range r.screen(stranger, nil) {
			if len(s.pkt) == protocol.CookieLen {
				asked++
			}
		}
	}
	if n := a.count(false); n != admittedMost/cookieShare || asked != n {
		t.Errorf("%d INITs without a cookie wait, of %d", n, n+asked)
	}
	for i := range admittedMost {
		a.put(r.now, false, netip.AddrPortFrom(netip.AddrFrom4([4]byte{12, byte(i >> 8), byte(i), 1}), 4000), admitted{})
	}
	left, before := h.strangers.common.spent, r.dropped(dropGuests)
	r.screen(late, &lateCookie)
	if n := r.dropped(dropGuests) - before; a.count(false) != admittedMost || n != 1 || h.strangers.common.spent != left {
		t.Errorf("%d INITs of strangers wait, %d found no room, %v is left, and was %v", a.count(false), n, h.strangers.common.spent, left)
	}
	r.screen(member, &cookie)
	if to := r.answerNext(); to != member.addr {
		t.Errorf("%v is answered first", to)
	}
}

// TestInitsKeepTheirPlace: an edge that shows a cookie and sends its INIT again while it
// waits is answered once, where it was, by its newest INIT, and costs strangers no more time.
// An INIT in its name without a cookie changes nothing; one whose edge waits for it no more is
// not answered.
func TestInitsKeepTheirPlace(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	h := r.s.strangers.handshakes
	first, second, gone := r.edge(c, "first", 1), r.edge(c, "second", 2), r.edge(c, "gone", 3)
	h.strangers.use(r.now)
	cookies := [][16]byte{first.cookie(), second.cookie(), gone.cookie()}
	r.now = r.now.Add(2 * effortKept)
	r.screen(gone, &cookies[2])
	r.now = r.now.Add(admittedTime - time.Second)
	r.screen(first, &cookies[0])
	r.screen(second, &cookies[1])
	left := h.strangers.common.spent
	r.now = r.now.Add(time.Second)
	i, pkt := first.initiate(&cookies[0])
	r.deliverUnproved(first.addr, pkt)
	if h.strangers.common.spent != left {
		t.Error("a repeated INIT has used up time")
	}
	forger := r.edge(c, "forger", 4)
	forger.addr = first.addr
	r.screen(forger, nil)
	r.now = r.now.Add(1)
	before := r.dropped(dropGuests)
	a := h.answerer
	in, _ := a.waiting(r.now)
	a.answer(r.now, r.out, &in)
	r.s.sockets.flush(r.out)
	if got := r.conn.drain(); in.addr != first.addr || len(got) != 1 || !first.finish(i, got[0].pkt) {
		t.Fatalf("%v is answered first, by %d packets", in.addr, len(got))
	}
	if n := r.dropped(dropGuests) - before; n != 1 {
		t.Errorf("%d INITs were too late", n)
	}
	if to := r.answerNext(); to != second.addr {
		t.Errorf("%v is answered second", to)
	}
	if n := a.count(false); n != 1 { // the forger's
		t.Errorf("%d INITs wait", n)
	}
}

// batch is a socket that has one batch of datagrams.
type batch struct {
	*recorder
	waits []sent
}

func (b *batch) ReadBatch(ds []transport.Datagram) (n int, err error) {
	for n < min(len(ds), len(b.waits)) {
		d := &b.waits[n]
		ds[n].N, ds[n].Addr, ds[n].Seg, ds[n].Local = copy(ds[n].Buf, d.pkt), d.to, 0, asked(d.to)
		n++
	}
	b.waits = b.waits[n:]
	return n, nil
}

// TestRelayGoesBeforeInits: a relayed packet that was read behind INITs leaves with their
// batch, before any of them is opened, and before what tells strangers to show a cookie.
func TestRelayGoesBeforeInits(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	socket := &batch{recorder: r.conn}
	for i := range readBatch - 1 {
		e := r.edge(c, fmt.Sprint("stranger ", i), 3+i)
		_, pkt := e.initiate(nil)
		socket.waits = append(socket.waits, sent{e.addr, pkt})
	}
	socket.waits = append(socket.waits, sent{a.addr, a.wrap(b.ack.Handle, 0, make([]byte, 100))})
	r.s.sockets.conn = socket
	h := r.s.strangers.handshakes
	h.strangers.use(r.now)
	r.now = r.now.Add(time.Duration(3 * float64(handshakeCost) / workShare)) // for three of them
	in := make([]transport.Datagram, readBatch)
	for i := range in {
		in[i].Buf = make([]byte, transport.ReadBufferLen)
	}
	if n, err := r.s.readOnce(in, r.out); n != readBatch || err != nil {
		t.Fatal(n, err)
	}
	got := r.conn.drain()
	if waiting := h.answerer.count(false); waiting == 0 || len(got) != readBatch-waiting || got[0].to != b.addr {
		t.Errorf("%d INITs wait, %d packets have left, the first to %v", waiting, len(got), got[0].to)
	}
}
