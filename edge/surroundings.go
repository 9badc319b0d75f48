package edge

import (
	"errors"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// dataSocket sends single datagrams by the data socket, from any goroutine.
type dataSocket struct {
	conn      dataplane.Conn
	recursion *recursion
	plane     *dataplane.Plane
	covers    *dataplane.Covers
}

// Send sends one datagram to a server; what the network refuses is lost, and what the
// overlay itself would get is not sent.
func (s dataSocket) Send(to netip.AddrPort, pkt []byte) {
	if s.recursion.swallows(to) {
		return
	}
	pkt = s.covers.Hide(to, pkt)
	s.plane.Gates().Send(func() { _, _ = s.conn.WriteBatch([]transport.Datagram{{Buf: pkt, N: len(pkt), Addr: to}}) })
}

// timers is a queue of timers as an owner.
type timers struct{ q *timer.Queue }

func (t timers) deadline() time.Time { return t.q.Next() }
func (t timers) tick(now time.Time)  { t.q.Run(now) }

// networkObserver is an edge as the underlay sees it.
type networkObserver Edge

// CandidatesChanged tells every peer at which addresses we may be reached.
func (o *networkObserver) CandidatesChanged(time.Time) {
	m := o.underlay.Addresses.Candidates()
	for _, p := range o.peers.byStatic {
		o.sessions.pairs.send(p, m.Append)
	}
}

// MappingClassified tells the user how our NATs map.
func (o *networkObserver) MappingClassified(now time.Time, m address.MappingBehavior) {
	o.user.reports.report(now, control.Event{Kind: control.EventMapping, Text: m.String()})
}

// NetworkChanged doubts every path: addresses or routes of this host have changed.
func (o *networkObserver) NetworkChanged(now time.Time) {
	o.user.recursion.look(now)
	o.servers.addresses.check(now)
	o.paths.subnets.networkChanged(now)
	o.servers.registrar.roamed(now)
	o.servers.connector.roamed(now)
	o.paths.routing.roamed(now)
}

// STUNAnswered tries UDP again where a supernode is reached by a stream.
func (o *networkObserver) STUNAnswered(now time.Time, server netip.AddrPort) {
	o.servers.connector.udpAnswered(now, server)
}

// MetOnLAN tries a member at an address of a LAN that both share. Without a session
// we send it an INIT there, so that members find each other while no supernode
// answers.
func (o *networkObserver) MetOnLAN(now time.Time, statement []byte, at netip.AddrPort) (newcomer bool) {
	st, err := crypto.VerifyStatement(statement)
	if err == nil && o.self.isTwins(st) {
		o.self.twin.notice(now, at.Addr().String())
	}
	if err != nil || !o.self.other(st) {
		o.user.refusals.note(refusedAnnouncement, nil, "from", at, "err", err)
		return false
	}
	p := o.peers.meet(now, st.Static)
	if p == nil {
		o.user.refusals.note(refusedBookFull, nil, "from", at)
		return false
	}
	if o.peers.told(now, p, st, statement) == newsRefused {
		return false
	}
	o.self.isolation.hinted(p, st.ID)
	newcomer = !p.reach.lan.IsValid()
	p.seen = now
	o.paths.routing.metOnLAN(now, p, at)
	if (p.reach.path == nil || p.sessions.sealing() == nil) && o.paths.routing.mayGreet(now, p, at) {
		p.sessions.init.to = at
		o.sessions.initiate(p)
	}
	return newcomer
}

// Receive has the queues hand the datagrams of a TURN server to a receiver.
func (o *networkObserver) Receive(_ time.Time, server netip.AddrPort, r underlay.TURNReceiver) {
	if r == nil {
		o.data.draft.DropSource(server)
	} else {
		o.data.draft.SetSource(server, dataplane.Source{TURN: r})
	}
	o.data.plane.Publish(o.data.draft) // its answers may come before the loop settles
}

// OfPeer reports whether a peer is at an address.
func (o *networkObserver) OfPeer(now time.Time, at netip.AddrPort) bool { return o.peers.at(now, at) }

// lanPackets seals and opens what is announced on the LAN as GROUP packets of the
// community.
type lanPackets struct{ edge *Edge }

// errNoSalt says that there is no epoch to send under.
var errNoSalt = errors.New("edge: no key to announce under")

// Seal returns a GROUP packet with control messages.
func (l *lanPackets) Seal(_ time.Time, body []byte) ([]byte, error) {
	group := l.edge.keys.group
	if group == nil {
		return nil, errNoSalt
	}
	pkt := l.edge.data.send.SealGroup(group, func(b []byte) []byte { return append(b, body...) })
	if pkt == nil {
		return nil, errNoSalt
	}
	return pkt, nil
}

// Check unmasks a packet, and reports whether it seems to be a GROUP packet of our
// community.
func (l *lanPackets) Check(pkt []byte) error {
	plane := l.edge.data.plane
	if !plane.Mask().Show(l.edge.data.send.Scratch(), pkt) {
		return l.refuse(refusedLANShort, nil)
	}
	h, err := protocol.ParseHeader(pkt)
	if err != nil || h.Type != protocol.TypeGroup || h.RX != plane.Tag() {
		return l.refuse(refusedLANTag, err)
	}
	return nil
}

// Open returns the control messages in a packet that Check has unmasked. Our own
// come back, and one that was sent by several interfaces comes several times.
func (l *lanPackets) Open(now time.Time, from netip.AddrPort, pkt []byte) ([]byte, error) {
	wall := l.edge.data.plane.Wall(now)
	inner, _, _, err := l.edge.data.plane.Groups().Open(l.edge.data.send.Scratch(), wall, crypto.GroupOrigin{Addr: from}, pkt, func(ki uint8) (crypto.Epoch, bool) {
		return l.edge.keys.schedule.CanReceive(wall, ki)
	})
	if err != nil {
		return nil, l.refuse(refusedLANOpen, err)
	}
	in, err := protocol.ParseInner(inner)
	if err != nil || in.Kind != protocol.KindControl {
		return nil, l.refuse(refusedLANInner, err)
	}
	return in.Body, nil
}

// refuse counts a refusal and returns it as an error.
func (l *lanPackets) refuse(why refusal, err error) error {
	l.edge.user.refusals.count(why)
	if err == nil {
		return errors.New(string(why))
	}
	return err
}
