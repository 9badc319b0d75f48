package edge

import (
	"strings"
	"testing"
	"time"

	"hedgerow/protocol"
)

// inSession returns an edge with a peer that has a session, a supernode that has us
// registered, and traffic between them.
func inSession(t *testing.T) (*testEdge, *peer) {
	e := newEdge(t, nil)
	s := e.hop()
	e.data.draft.SetHop(s.hop.session)
	e.servers.registrar.begin(noon, s)
	e.servers.registrar.handleAck(noon, s, protocol.Ack{LeaseSeconds: 600})
	p := e.neighbour(2)
	p.view.SetUsed(e.data.plane.Since(noon))
	e.needed(noon, p)
	e.settle(noon)
	return e, p
}

// TestPlantedFaults plants what a change of the code could forget: to mark a peer,
// to tell the queues, to register a deadline. Verify finds each, and nothing without
// one.
func TestPlantedFaults(t *testing.T) {
	for _, c := range []struct {
		name  string
		plant func(e *testEdge, p *peer)
		want  string
	}{
		{"nothing", func(*testEdge, *peer) {}, ""},
		{"a session is retired and nobody is told", func(_ *testEdge, p *peer) { p.sessions.retire() }, "the route is"},
		{"a handle changes unmarked", func(_ *testEdge, p *peer) { p.handles[0]++ }, "the route is"},
		{"a path is thrown away unmarked", func(_ *testEdge, p *peer) { p.reach.path = nil }, "the route is"},
		{"a marked peer is not settled", func(e *testEdge, p *peer) { e.peers.mark(p) }, "not settled"},
		{"a session goes and the queues still open it", func(_ *testEdge, p *peer) { p.sessions.current = nil }, "sessions of"},
		{"a hardware address goes and the queues still send there", func(e *testEdge, p *peer) {
			p.identity.bound = false
			delete(e.peers.byMAC, p.view.MAC())
		}, "somebody else"},
		{"a peer goes and the queues still know it", func(e *testEdge, p *peer) { delete(e.peers.byStatic, p.view.Static()) }, "a key for somebody else's"},
		{"the draft is not published", func(e *testEdge, _ *peer) { e.data.draft.SetGroup(nil) }, "not published"},
		{"the end of a session is not registered", func(_ *testEdge, p *peer) { p.sessions.expiring.Stop() }, "end or renewal"},
		{"the end of a session is registered too late", func(_ *testEdge, p *peer) { p.sessions.expiring.Set(noon.Add(time.Hour)) }, "end or renewal"},
		{"the next poll of a path is not registered", func(_ *testEdge, p *peer) { p.reach.polling.Stop() }, "next poll"},
		{"the next ping to a supernode is not registered", func(e *testEdge, _ *peer) { e.servers.list[0].keepalive.next.Stop() }, "no ping"},
		{"the renewal of a registration is not registered", func(e *testEdge, _ *peer) { e.servers.list[0].grant.renew.Stop() }, "not be renewed"},
		{"the repeat of a REGISTER is not registered", func(e *testEdge, _ *peer) {
			e.servers.list[0].grant.pending = true
			e.servers.list[0].grant.retry.Stop()
		}, "no REGISTER"},
		{"the repeat of an INIT is not registered", func(e *testEdge, p *peer) {
			e.sessions.initiate(p)
			e.settle(noon)
			p.sessions.init.retry.Stop()
		}, "next INIT"},
		{"the answer to an INIT would not be found", func(e *testEdge, p *peer) {
			e.sessions.initiate(p)
			e.settle(noon)
			delete(e.sessions.pending, p.sessions.init.index)
		}, "would not be found"},
		{"the change of the salt is not registered", func(e *testEdge, _ *peer) { e.keys.wearing.Stop() }, "salt would never"},
		{"a peer would never be forgotten", func(e *testEdge, _ *peer) {
			q := e.introduced(9)
			e.settle(noon)
			q.forgetting.Stop()
		}, "never forgotten"},
		{"nobody asks for a statement", func(e *testEdge, _ *peer) {
			q := e.peers.meet(noon, [32]byte{8})
			e.promote(q, e.session(q, noon, 800, false))
			e.settle(noon)
			q.asking.Stop()
		}, "asks for its statement"},
	} {
		e, p := inSession(t)
		c.plant(e, p)
		switch err := verify(e.Edge, noon); {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: not found, but %v", c.name, err)
		}
	}
}

// TestNothingBeforeTheDeadline ticks an edge at every millisecond between its
// deadlines for two minutes: a tick before the deadline sends nothing and changes
// nothing, or a deadline is registered too late.
func TestNothingBeforeTheDeadline(t *testing.T) {
	e, _ := inSession(t)
	e.conn.take()
	due := 0
	for now := noon; now.Before(noon.Add(2 * time.Minute)); now = now.Add(5 * time.Millisecond) {
		at := e.deadline()
		early := at.IsZero() || now.Before(at)
		e.tick(now)
		sent := len(e.conn.take())
		if !early {
			due++
			continue
		}
		if next := e.deadline(); sent != 0 || !next.Equal(at) {
			t.Fatalf("%v after noon, before the deadline: %d datagrams left and the deadline moved from %v to %v",
				now.Sub(noon), sent, at.Sub(noon), next.Sub(noon))
		}
	}
	if due == 0 {
		t.Error("nothing was ever due")
	}
	if err := verify(e.Edge, noon.Add(2*time.Minute)); err != nil {
		t.Error(err)
	}
}
