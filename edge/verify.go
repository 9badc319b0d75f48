package edge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/deadline"
)

// Verify computes anew whatever follows from the state of the owners, and returns
// how it differs from what was published, registered and scheduled: a change that
// was not marked, or a deadline that was not registered. It is for tests, costs as
// much as the community is large, and returns nil when nothing is forgotten.
func (e *Edge) Verify(ctx context.Context) error {
	found, err := ask(ctx, e, func(now time.Time) error { return verify(e, now) })
	return errors.Join(found, err)
}

func verify(e *Edge, now time.Time) error {
	v := verifier{edge: e, now: now}
	v.check(len(e.peers.changed) == 0, "%d peers are not settled", len(e.peers.changed))
	v.check(!e.data.draft.Changed(), "the draft is not published")
	for _, p := range e.peers.byStatic {
		v.peer(p)
	}
	v.books()
	v.sources()
	v.owners()
	return errors.Join(v.faults...)
}

// verifier collects what was forgotten.
type verifier struct {
	edge   *Edge
	now    time.Time
	faults []error
}

func (v *verifier) check(ok bool, format string, args ...any) {
	if !ok {
		v.faults = append(v.faults, fmt.Errorf(format, args...))
	}
}

// timer checks that a deadline is registered.
func (v *verifier) timer(who any, what string, registered, wanted time.Time) {
	v.check(registered.Equal(wanted), "%v: %s is registered for %v, wanted for %v", who, what, registered, wanted)
}

// peer checks one peer: its route, its place in the queues' table, its deadlines.
func (v *verifier) peer(p *peer) {
	e, name := v.edge, p.LogValue()
	want, have := e.paths.routing.compute(p), p.view.Route()
	v.check(want == have, "%v: the route is %+v, and would be %+v", name, have, want)
	for _, s := range []*dataplane.Session{p.sessions.current, p.sessions.previous, p.sessions.next} {
		v.check(s == nil || e.data.draft.Session(s.Crypto().LocalIndex()) == s, "%v: the queues do not open a session", name)
		v.check(s == nil || s.Peer() == p.view, "%v: a session has another view", name)
	}
	if init := &p.sessions.init; init.active() {
		v.check(e.sessions.pending[init.index] == p, "%v: the answer to its INIT would not be found", name)
		v.timer(name, "the next INIT", init.retry.At(), init.initiator.Deadline())
	}
	v.timer(name, "the end or renewal of a session", p.sessions.expiring.At(), p.sessions.deadline())
	if p.sessions.sealing() != nil {
		at := p.reach.relay.size.mtu.Deadline()
		if p.reach.path != nil {
			at = deadline.Earliest(at, p.reach.path.Deadline(), p.reach.quality.trains.Deadline())
		}
		v.timer(name, "the next poll", p.reach.polling.At(), at)
	}
	v.check(p.identity.proven || p.sessions.current == nil || p.asking.IsSet(), "%v: nobody asks for its statement", name)
	v.check(!e.self.isolation.bars(p) || p.sessions.idle(), "%v: there is a session, and no frames are exchanged", name)
	v.check(p.view.Standing().Rights.Has(bridge.Exchange) == e.self.isolation.exchanges(p), "%v: the queues do not know whether frames are exchanged", name)
	v.check(!p.place.unconfirmed || p.sessions.next != nil, "%v: its place is that of an INIT, and there is none", name)
	v.check(!p.sessions.idle() || p.forgetting.IsSet(), "%v: it is never forgotten", name)
}

// books checks that the book of peers and the table of the queues name the same
// peers and sessions.
func (v *verifier) books() {
	e, sessions := v.edge, 0
	for _, p := range e.peers.byStatic {
		for _, s := range []*dataplane.Session{p.sessions.current, p.sessions.previous, p.sessions.next} {
			if s != nil {
				sessions++
			}
		}
		v.check(e.peers.byView[p.view] == p, "%v: its view is another peer's", p.LogValue())
		v.check(!p.identity.bound || e.peers.byMAC[p.view.MAC()] == p, "%v: its hardware address is another peer's", p.LogValue())
	}
	v.check(e.data.draft.SessionCount() == sessions, "the queues open %d sessions of %d", e.data.draft.SessionCount(), sessions)
	bound := 0
	for mac, view := range e.data.draft.Bound() {
		p := e.peers.byMAC[mac]
		v.check(p != nil && p.view == view, "the queues send frames for %v to somebody else", mac)
		bound++
	}
	v.check(bound == len(e.peers.byMAC), "the queues know %d hardware addresses of %d", bound, len(e.peers.byMAC))
	for a, h := range e.data.guard.holders {
		v.check(!h.peer.gone && e.data.draft.Holder(a) == h.peer.view, "the queues believe that %v is not %v's", a, h.peer.LogValue())
		v.check(slices.Contains(h.peer.identity.claims.held, a), "%v would not let go of %v", h.peer.LogValue(), a)
	}
	known := 0
	for static, view := range e.data.draft.Statics() {
		p := e.peers.byStatic[static]
		v.check(p != nil && p.view == view, "the queues take a key for somebody else's")
		known++
	}
	v.check(known == len(e.peers.byStatic), "the queues know %d keys of %d", known, len(e.peers.byStatic))
	for i := range e.peers.byHandle {
		for h, p := range e.peers.byHandle[i] {
			v.check(p.handles[i] == h && !p.gone, "handle %08x at supernode %d is not %v's", h, i, p.LogValue())
		}
	}
	for _, p := range e.peers.byStatic {
		for i, h := range p.handles {
			v.check(h == 0 || e.peers.byHandle[i][h] == p, "%v: it is not found by its handle at supernode %d", p.LogValue(), i)
		}
	}
}

// sources checks what the queues know of supernodes, and the supernodes' deadlines.
func (v *verifier) sources() {
	e, hops := v.edge, 0
	for _, s := range e.servers.list {
		name := s.LogValue()
		for _, h := range []*dataplane.HopSession{s.hop.session, s.hop.old} {
			if h != nil {
				hops++
				v.check(e.data.draft.Hop(h.Crypto().LocalIndex()) == h, "%v: the queues do not open a hop session", name)
			}
		}
		v.check(!s.init.active() || s.init.retry.At().Equal(s.init.initiator.Deadline()), "%v: no INIT would be repeated", name)
		v.check(!s.hello.active || s.hello.retry.IsSet(), "%v: no HELLO would be repeated", name)
		v.check(!s.grant.pending || s.hop.session == nil || s.grant.retry.IsSet(), "%v: no REGISTER would be repeated", name)
		v.check(!s.registered() || s.keepalive.next.IsSet(), "%v: no ping would be sent", name)
		v.check(!s.registered() || !s.grant.leased || s.grant.renew.IsSet() || s.grant.pending, "%v: the lease would not be renewed", name)
		v.check(!s.hop.fresh && !s.hop.broken, "%v: its session is not settled", name)
		v.check(!s.current() || slices.Equal(s.direct.handles, e.servers.registrar.directHandles(s)), "%v: its DIRECT set is an old one", name)
		v.check(!s.current() || s.hop.route.Session == s.hop.session.Crypto() && s.hop.route.Addr == s.hop.at, "%v: the queues reach it by another session", name)
		rekeys := s.hop.rekey.IsSet() || s.init.active() || e.servers.connector.streamOnly && !s.streaming()
		v.check(s.hop.session == nil || rekeys, "%v: its session would not be renewed", name)
		v.check(s.where.name == nil || len(s.where.named) > 0 && s.where.failed.IsZero() || s.where.name.Pending(), "%v: its name would not be looked up again", name)
	}
	v.check(e.data.draft.HopCount() == hops, "the queues open %d hop sessions of %d", e.data.draft.HopCount(), hops)
	v.check(e.data.draft.Group() == e.keys.group, "the queues seal under another salt")
	size := e.paths.routing.largestGroupPacket()
	v.check(e.data.plane.GroupPacket() == size, "a GROUP packet has up to %d bytes, and would have %d", e.data.plane.GroupPacket(), size)
	v.check(e.keys.group == nil || e.keys.wearing.IsSet(), "the salt would never be changed")
	v.check(len(e.sessions.staged.frames) == 0 || e.sessions.staged.expiry.IsSet(), "staged frames would never be dropped")
	v.check(len(e.sessions.unvouched.waiting) == 0 || e.sessions.unvouched.expiry.IsSet(), "frames of strangers would never be dropped")
	v.check(len(e.user.echoes.list) == 0 || e.user.echoes.expiry.IsSet(), "pings would never be given up")
	v.check(e.keys.coming == nil || e.keys.changing.IsSet(), "the next salt would never be used")
}

// owners checks that nothing is overdue: the loop ticks before it is asked.
func (v *verifier) owners() {
	for _, o := range v.edge.owners {
		at := o.deadline()
		v.check(at.IsZero() || !at.Before(v.now.Add(-overdue)), "%T: something was due at %v and is not done at %v", o, at, v.now)
	}
}

// overdue is for how long something may be due before the loop does it.
const overdue = time.Second
