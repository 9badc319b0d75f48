package edge

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// links is the owner of which peer has which link, and of the links' carriers.
type links struct {
	named []*link
	of    map[*peer]*link // nil for a proven peer without a device
	auto  autoLinks

	peers      *peers
	sessions   interface{ initiate(p *peer) }
	self       *self
	plane      *dataplane.Plane
	server     *dataplane.LinkServer
	background *background
	refusals   *refusals
	log        *slog.Logger
	describer  interface {
		peer(now time.Time, p *peer) control.Peer
	}
	changed func(control.Peer)
}

// link is a link as the control loop knows it.
type link struct {
	Link
	view  *dataplane.Link
	up    bool  // it has a carrier
	fault error // that ended it; nil while it is served
	told  toldLink
}

// make makes a link of a device, or one without a device for what a peer sends on its own.
func (l *links) make(cfg Link) *link {
	own, peer := [crypto.LinkPrefixLen]byte(l.self.identity.ID), [crypto.LinkPrefixLen]byte(cfg.Peer)
	near, far := crypto.LinkMAC(own, peer, l.self.cid), crypto.LinkMAC(peer, own, l.self.cid)
	return &link{Link: cfg, view: dataplane.NewLink(cfg.Frames, protocol.MAC(near), protocol.MAC(far))}
}

// open makes the named links.
func (l *links) open(cfg Links) {
	l.of = make(map[*peer]*link)
	for _, c := range cfg.Named {
		l.named = append(l.named, l.make(c))
	}
	l.auto.open, l.changed = cfg.Open, cfg.Changed
	l.auto.opening, l.auto.failed = make(map[[32]byte]bool), make(map[[32]byte]bool)
}

// any reports whether there are links, or may be.
func (l *links) any() bool { return len(l.named) > 0 || l.auto.open != nil }

// begin serves the named links.
func (l *links) begin() {
	for _, k := range l.named {
		l.serve(k)
	}
}

func (l *links) seeks() bool { return l.any() }

// sought returns the hardware addresses that unknown peers of named links may have. Those
// of other links are not known by name: the latest members may be among them.
func (l *links) sought() (list []protocol.MAC, missing bool) {
	missing = l.auto.open != nil
	for _, k := range l.named {
		if !l.known(k) {
			missing = true
			list = append(list, l.self.state.linkAddresses(k.Peer, l.self.cid)...)
		}
	}
	return list, missing
}

// known reports whether a named link's peer is known.
func (l *links) known(k *link) bool {
	for _, p := range l.peers.byStatic {
		if p.known() && l.forID(p.identity.statement.ID) == k {
			return true
		}
	}
	return false
}

// forID returns the named link of an identity, or nil.
func (l *links) forID(id [32]byte) *link {
	for _, k := range l.named {
		if bytes.HasPrefix(id[:], k.Peer) {
			return k
		}
	}
	return nil
}

// settle gives a peer its link once it has proved who it is, and the link its carrier.
// A hint is enough to greet the peer.
func (l *links) settle(now time.Time, p *peer) {
	if p.gone {
		l.release(now, p)
		return
	}
	if !p.known() {
		return
	}
	id := p.identity.statement.ID
	linked := l.forID(id) != nil || l.auto.wants(l, id)
	if linked && !p.place.linked {
		p.place.linked = true
		if p.missing() {
			l.sessions.initiate(p)
		}
	}
	p.place.linked = linked
	if p.identity.proven {
		l.bind(p, id)
		l.carry(now, p)
	}
}

// bind gives a proven peer its link. One that was not named has a link without a device,
// which counts what the peer sends on its end, or until there is a device.
func (l *links) bind(p *peer, id [32]byte) {
	k, bound := l.of[p]
	if k == nil {
		if k = l.forID(id); k != nil && l.holder(k) != nil {
			l.refusals.note(refusedLinkHeld, p, "device", k.Name)
			return
		}
	}
	switch {
	case k != nil && !bound, k != nil && p.view.Link() != k.view:
		l.of[p] = k
		p.view.SetLink(k.view)
		if !bound {
			l.self.state.keepLink(id, namedLink)
		}
		l.log.Info("link", "peer", p, "id", p.shortID(), "device", k.Name)
	case !bound:
		l.of[p] = nil
		p.view.SetLink(l.make(Link{Peer: id[:]}).view)
		l.auto.begin(l, id)
	}
}

// holder returns the peer that has a link, or nil.
func (l *links) holder(k *link) *peer {
	for p, have := range l.of {
		if have == k {
			return p
		}
	}
	return nil
}

// carry plugs a peer's link in while frames reach the peer, and out while they do not.
func (l *links) carry(now time.Time, p *peer) {
	if k := l.of[p]; k != nil {
		if p.place.carried {
			p.place.carried, k.up = false, true
			k.told.changed(now, l.describer.peer(now, p))
		}
		l.plug(k, p.reaches(l.plane))
		l.report(now, p, k)
	}
}

// plug sets the carrier of a link.
func (l *links) plug(k *link, up bool) {
	if k.up == up || k.fault != nil {
		return
	}
	k.up = up
	if err := k.Device.SetCarrier(up); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		l.log.Warn("a link has the wrong carrier", "device", k.Name, "up", up, "err", err)
	}
}

// notes returns what the user should know of the links.
func (l *links) notes() (list []string) {
	for _, k := range l.named {
		if k.fault == nil && !k.up {
			list = append(list, fmt.Sprintf("the link %s is down: its peer %s is not reached. It has to run, and its identity to be this one", k.Name, crypto.ShortID(k.Peer)))
		}
	}
	for _, k := range slices.Concat(l.named, l.auto.links) {
		if k.fault != nil {
			list = append(list, fmt.Sprintf("the link %s has failed (%v): start the edge again", k.Name, k.fault))
		}
	}
	if l.auto.failure != "" {
		list = append(list, l.auto.failure)
	}
	for p, k := range l.of {
		if k == nil && p.view.Link().Missed() > 0 {
			list = append(list, fmt.Sprintf("%s sends on a link to this edge, which has none to it, so that its frames are lost: start this edge with --p2p %s=DEVICE, too", p.title(), p.shortID()))
		}
	}
	slices.Sort(list)
	return list
}

// linkOf returns the link of a peer as the user sees it, without its cost; nil: it has none.
func (l *links) linkOf(p *peer) *control.Link {
	k := l.of[p]
	if k == nil {
		return nil
	}
	return &control.Link{Device: k.Name, Carrier: k.up}
}

// release takes the link from a peer that was forgotten. A named one waits for the peer's
// return; any other is closed.
func (l *links) release(now time.Time, p *peer) {
	k := l.of[p]
	if k != nil {
		l.plug(k, false)
		l.report(now, p, k)
	}
	delete(l.of, p)
	p.view.SetLink(nil)
	if k == nil {
		return
	}
	if l.forID(p.identity.statement.ID) != k {
		l.auto.close(k)
	}
}
