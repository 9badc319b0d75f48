package supernode

import (
	"net/netip"
	"slices"
	"testing"
)

// TestMembersAreAnsweredFirst: what strangers ask for waits until registered edges have
// their sessions, and no more of it waits than there are places.
func TestMembersAreAnsweredFirst(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	member := r.edge(c, "member", 1).join()
	r.s.strangers.handshakes.strangers.use(r.now) // a cookie is asked of everybody
	cookie := member.cookie()
	a := r.s.strangers.handshakes.answerer
	screen := func(e *fakeEdge, cookie *[16]byte) {
		_, pkt := e.initiate(cookie)
		r.in.N, r.in.Addr, r.in.Seg = copy(r.in.Buf, pkt), e.addr, 0
		r.s.handleTrain(r.now, r.out, &r.in)
	}
	stranger := r.edge(c, "stranger", 2)
	for i := range admittedMost + 100 {
		if i%500 == 0 {
			r.now = r.now.Add(2 * effortKept) // there is time again
		}
		stranger.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(i >> 8), byte(i), 1}), 4000)
		screen(stranger, nil)
	}
	if len(a.strangers) != admittedMost || r.dropped(dropGuests) != 100 {
		t.Errorf("%d INITs of strangers wait, %d found no room", len(a.strangers), r.dropped(dropGuests))
	}
	screen(member, &cookie)
	in, ok := a.waiting()
	if !ok || in.addr != member.addr {
		t.Fatalf("%v is answered first", in.addr)
	}
	a.answer(r.now, r.out, &in)
	r.s.sockets.flush(r.out)
	if !slices.ContainsFunc(r.conn.drain(), func(s sent) bool { return s.to == member.addr }) {
		t.Error("no RESP")
	}
}
