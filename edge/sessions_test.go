package edge

import (
	"testing"
	"time"

	"hedgerow/edge/dataplane"
)

// TestWornSession renews a session whose numbers run out, whether it is in
// use or not and however young it is.
func TestWornSession(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	e.promote(p, e.session(p, noon, 1, true))
	e.sessions.expire(noon.Add(time.Second), p)
	if e.settle(noon.Add(time.Second)); p.sessions.init.active() {
		t.Fatal("renewed for no reason")
	}
	if _, err := p.sessions.current.Crypto().Reserve(1 << 28); err != nil {
		t.Fatal(err)
	}
	e.sessions.expire(noon.Add(time.Second), p)
	if e.settle(noon.Add(time.Second)); !p.sessions.init.active() {
		t.Error("not renewed after 2^28 packets")
	}
}

// TestConfirm checks that only the session that waits for it is adopted by a
// packet, and that frames move to it then.
func TestConfirm(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	e.promote(p, e.session(p, noon, 1, true))
	p.sessions.answer(noon, e.session(p, noon, 2, false), e.data.draft)
	next := p.sessions.next.Crypto()
	stranger := e.session(p, noon, 3, false).Crypto()
	e.handle(noon, dataplane.Confirmed{Peer: p.view, Session: stranger})
	e.handle(noon, dataplane.Confirmed{Peer: new(dataplane.Peer), Session: next})
	if p.sessions.next == nil {
		t.Fatal("adopted without a packet of it")
	}
	e.handle(noon, dataplane.Confirmed{Peer: p.view, Session: next})
	if p.sessions.next != nil || p.sessions.current.Crypto() != next || p.view.Route().Session != next {
		t.Errorf("%+v", p.sessions.current)
	}
}
