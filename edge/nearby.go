package edge

import (
	"bytes"
	"context"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// Nearby is what an edge learns from the network around it. Each part may be nil:
// then that is not looked at.
type Nearby struct {
	// Watch calls changed whenever an address or a route of this host has
	// changed, until ctx ends.
	Watch func(ctx context.Context, changed func()) error
	// LAN finds members on the same links without a supernode.
	LAN LAN
	// Map has the router map our UDP port.
	Map PortMapper
}

// LAN sends to, and hears, whoever is on the same links. *lan.Conn is one.
type LAN interface {
	// Announce sends a packet on every link and returns on how many.
	Announce(pkt []byte) (n int, err error)
	// Serve calls heard with what others announce, until ctx ends.
	Serve(ctx context.Context, heard func(from netip.AddrPort, pkt []byte)) error
	Close() error
}

// PortMapper keeps our UDP port mapped on the router.
type PortMapper interface {
	// Run does so until ctx ends. It calls report with every change: the address
	// by which the internet reaches us, which is not valid when there is none.
	Run(ctx context.Context, report func(external netip.AddrPort))
	// Wake tells that this host's network has changed. It does not block.
	Wake()
}

// announceEvery is the time between announcements, +-20 % (NAT.md, section 1.1).
const announceEvery = 30 * time.Second

// near is what was learnt that way.
type near struct {
	announceAt time.Time // zero: never
	announced  time.Time // the last time
	heard      budget    // announcements that are opened
}

// Announcements of others that are opened a second: each costs a signature.
const heardRate, heardBurst = 20, 100

// watchNetwork begins to look around.
func (e *Edge) watchNetwork(ctx context.Context) {
	tell := func(f func(now time.Time)) {
		select {
		case e.requests <- f:
		case <-ctx.Done():
		}
	}
	n := &e.cfg.Nearby
	if n.Watch != nil {
		e.workers.Go(func() {
			if err := n.Watch(ctx, func() { tell(e.roam) }); err != nil && ctx.Err() == nil {
				e.host.Log.Warn("changes of this host's network will be noticed late", "err", err)
			}
		})
	}
	if n.Map != nil {
		e.workers.Go(func() {
			n.Map.Run(ctx, func(external netip.AddrPort) {
				tell(func(now time.Time) { e.takeMapping(now, external) })
			})
		})
	}
	if n.LAN != nil {
		e.near.announceAt = e.plane.Started()
		e.near.heard = budget{rate: heardRate, burst: heardBurst}
		e.workers.Go(func() {
			err := n.LAN.Serve(ctx, func(from netip.AddrPort, pkt []byte) {
				pkt = bytes.Clone(pkt)
				tell(func(now time.Time) { e.hearAnnouncement(now, from, pkt) })
			})
			if err != nil && ctx.Err() == nil {
				e.host.Log.Warn("members on the same link will be found by the supernode only", "err", err)
			}
		})
	}
}

// roam is called when our own links have changed: everything that was measured
// from them is measured again, and direct paths are in doubt until they answer.
func (e *Edge) roam(now time.Time) {
	a := &e.addresses
	a.reflexive.Forget()
	a.byPeers.Forget()
	a.gatherAt = now
	a.stun.Hurry(now)
	e.ports.at = time.Time{}
	if e.cfg.Nearby.Map != nil {
		e.cfg.Nearby.Map.Wake()
	}
	if !e.near.announceAt.IsZero() {
		e.near.announceAt = now
	}
	for _, l := range e.links {
		if l.session != nil && !l.ping.next.IsZero() {
			l.ping.next = now // its answer tells our new address, and moves the session there
		}
		if l.init.active || l.hello.active {
			e.restartLink(now, l)
		}
	}
	e.tickAddresses(now)
	for _, p := range e.peers.byStatic {
		if p.path != nil {
			p.path.Roamed(now)
			e.pollPath(now, p)
			e.wake(p)
		}
	}
}

// takeMapping takes over what the router says.
func (e *Edge) takeMapping(now time.Time, external netip.AddrPort) {
	a := &e.addresses
	a.sources.Mapped = nil
	if external.IsValid() {
		a.sources.Mapped = []netip.AddrPort{external}
	}
	a.gather(now)
}

// announceNearby tells the same links who we are.
func (e *Edge) announceNearby(now time.Time) {
	e.near.announced = now
	e.near.announceAt = now.Add(announceEvery*4/5 + e.jitter(announceEvery*2/5))
	g := e.keys.group
	if g == nil {
		return
	}
	m := protocol.Announce{Statement: e.statement, Port: e.addresses.sources.Port}
	pkt := e.send.SealGroup(g, m.Append)
	if pkt == nil {
		return
	}
	e.workers.Go(func() {
		if _, err := e.cfg.Nearby.LAN.Announce(pkt); err != nil {
			e.host.Log.Debug("could not announce on the LAN", "err", err)
		}
	})
}

// hearAnnouncement takes what somebody on the same link says. It is a member, or
// it would not open; who it is, its own signature says. Its address is a
// candidate, and where there is no session it is greeted there, so that members
// find each other while no supernode answers.
func (e *Edge) hearAnnouncement(now time.Time, from netip.AddrPort, pkt []byte) {
	if len(pkt) > protocol.MaxDatagram || !e.near.heard.take(now) || !e.plane.Mask().Show(e.send.Scratch(), pkt) {
		e.drops.Drop(dataplane.DropControl)
		return
	}
	h, err := protocol.ParseHeader(pkt)
	if err != nil || h.Type != protocol.TypeGroup || h.RX != e.plane.Tag() {
		e.drops.Drop(dataplane.DropGroupTag)
		return
	}
	inner, _, _, err := e.plane.Groups().Open(e.send.Scratch(), e.plane.Wall(now), pkt, func(ki uint8) (crypto.Epoch, bool) {
		return e.keys.schedule.CanReceive(e.plane.Wall(now), ki)
	})
	if err != nil { // our own comes back, and every copy but the first
		e.drops.DropOpen(err)
		return
	}
	in, err := protocol.ParseInner(inner)
	if err != nil || in.Kind != protocol.KindControl {
		e.drops.Drop(dataplane.DropInner)
		return
	}
	typ, value, _, err := protocol.NextTLV(in.Body)
	if err != nil || protocol.MsgType(typ) != protocol.MsgAnnounce {
		e.drops.Drop(dataplane.DropControl)
		return
	}
	m, err := protocol.ParseAnnounce(value)
	if err != nil {
		e.drops.Drop(dataplane.DropControl)
		return
	}
	e.meetNearby(now, netip.AddrPortFrom(from.Addr(), m.Port), m.Statement)
}

// meetNearby tries a member at an address of a link that both share.
func (e *Edge) meetNearby(now time.Time, at netip.AddrPort, statement []byte) {
	st, err := crypto.VerifyStatement(statement)
	if err != nil || st.CID != e.cid || st.Static == e.cfg.Identity.Static || !e.addresses.policy.Probeable(at) {
		e.drops.Drop(dataplane.DropControl)
		return
	}
	p := e.meet(now, st.Static)
	if p == nil {
		return
	}
	if !p.lan.IsValid() {
		e.answerNearby(now)
	}
	p.seen, p.lan = now, at
	e.learnStatement(p, st, statement, p.id.features)
	if e.dirty {
		e.publish(now)
	}
	if p.path != nil && p.sessions.sealing() != nil {
		e.tryNearby(now, p)
		e.pollPath(now, p)
	} else if p.handshake.direct = at; !p.handshake.active {
		e.initiate(now, p)
	}
	e.wake(p)
}

// answerSpan is within which a newcomer is answered, so that not all of a link
// speak at once; answerPause is the least time between two announcements.
const answerSpan, answerPause = 500 * time.Millisecond, 2 * time.Second

// answerNearby announces ourselves soon: somebody new is on the link.
func (e *Edge) answerNearby(now time.Time) {
	soon := now.Add(e.jitter(answerSpan))
	if least := e.near.announced.Add(answerPause); soon.Before(least) {
		soon = least
	}
	if soon.Before(e.near.announceAt) {
		e.near.announceAt = soon
	}
}

// tryNearby has a path try the address at which its peer was met. Without a relay
// it is brought up though there is no traffic yet: only a direct path carries the
// broadcasts that come before any.
func (e *Edge) tryNearby(now time.Time, p *peer) {
	if !p.lan.IsValid() {
		return
	}
	if !e.relayed(p) {
		p.path.Used(now)
	}
	p.path.Met(now, p.lan)
}
