package edge

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/nat/address"
	"hedgerow/nat/path"
)

// describer says what is known of peers and supernodes in the documents of package
// control. It changes nothing.
type describer struct {
	peers      *peers
	supernodes supernodes
	plane      *dataplane.Plane
	turn       *underlay.TURN
	linkOf     func(p *peer) *control.Link
	isolation  *isolation
}

// path returns how frames to a peer travel now.
func (d *describer) path(now time.Time, p *peer) control.PathStatus {
	r := p.view.Route()
	var s control.PathStatus
	var rtt time.Duration
	switch {
	case r.Direct.IsValid():
		s = d.direct(p, r.Direct)
		if r.Alone {
			s.Reason = "packets leave one by one: those that leave many at a time are lost"
		}
		if p.reach.path != nil {
			rtt = p.reach.path.Route().RTT
		}
	case r.Session != nil && r.Supernode != nil:
		s, rtt = d.relayed(now, p, r.Supernode), p.reach.relay.ping.rtt
	default:
		s = control.PathStatus{Path: control.PathNone, Reason: d.unreached(p)}
	}
	if rtt > 0 {
		s.RTTms = milliseconds(rtt)
	}
	return s
}

// by returns the path on which a packet of a peer came, without its round trip.
func (d *describer) by(now time.Time, p *peer, from dataplane.Origin) control.PathStatus {
	if from.Supernode != nil {
		return d.relayed(now, p, from.Supernode)
	}
	return d.direct(p, from.Addr)
}

func (d *describer) direct(p *peer, to netip.AddrPort) control.PathStatus {
	return control.PathStatus{Path: control.PathDirect, Kind: d.kindOf(p, to), Endpoint: d.endpoint(p, to)}
}

func (d *describer) relayed(now time.Time, p *peer, by *dataplane.Supernode) control.PathStatus {
	s := d.supernodes[by.ID()]
	st := control.PathStatus{Path: control.PathRelay, Kind: s.transportKind(), Via: s.cfg.Name}
	if p.reach.path != nil {
		st.Reason = cmp.Or(p.reach.avoidance(now), silence(now, p, s), p.reach.path.Why(now))
	}
	return st
}

// silence says that a peer answers nothing by relay, and the supernode does not hear it
// either, empty: that is not so.
func silence(now time.Time, p *peer, by *supernode) string {
	o := &p.reach.relay
	if !o.silent || o.unheard.IsZero() {
		return ""
	}
	return fmt.Sprintf("it does not answer, and %s has heard nothing of it for %v: it is off, or its network is", by.cfg.Name, now.Sub(o.unheard).Round(time.Second))
}

// kindOf names the kind of a peer's address, empty while it is not known.
func (d *describer) kindOf(p *peer, a netip.AddrPort) string {
	if _, ok := d.turn.ByTURN(a); ok {
		return address.KindTURN.String()
	}
	if p.reach.path == nil {
		return ""
	}
	if r := p.reach.path.Route(); r.Direct == a && r.Kind != 0 {
		return r.Kind.String()
	}
	return ""
}

// endpoint returns where a direct address leads, for the user.
func (d *describer) endpoint(p *peer, a netip.AddrPort) string {
	if to, ok := d.turn.ByTURN(a); ok {
		return to.String() // behind our own allocation
	}
	for _, s := range p.reach.sockets {
		if to, ok := s.Far(a); ok {
			return to.String()
		}
	}
	return a.String()
}

// unreached says why frames to a peer have no path at all.
func (d *describer) unreached(p *peer) string {
	switch r := p.view.Route(); {
	case d.plane.NoRelay() && r.Session != nil:
		return "frames wait for a direct path, since none may pass a supernode"
	case !d.isolation.greets(p):
		return "it is no hub, and neither are we: frames pass between hubs and others alone"
	case p.sessions.init.active():
		return "it has not answered our handshake yet"
	case r.Session == nil:
		return "no traffic, so there is no session"
	}
	return "no supernode knows it now"
}

// peer returns what is known of a peer and of the link with it.
func (d *describer) peer(now time.Time, p *peer) control.Peer {
	s := d.reached(now, p)
	if s.Link = d.linkOf(p); s.Link != nil {
		s.Link.Cost = costOf(s.PathStatus, s.Loss)
	}
	return s
}

// reached returns what is known of a peer.
func (d *describer) reached(now time.Time, p *peer) control.Peer {
	rx, tx := p.view.Bytes()
	s := control.Peer{
		Name: p.about.Name, MAC: p.view.MAC().String(), IPs: []string{}, PathStatus: d.path(now, p),
		RxBytes: rx, TxBytes: tx, Hosts: d.plane.Stations().Hosts(p.view), Ethernet: control.PeerEthernet{Refused: p.view.Refused()},
	}
	if p.known() {
		s.ID = p.shortID()
		s.Ethernet.Role = d.isolation.role(p.identity.statement.ID)
	}
	for _, prefix := range byAddress(p.about.Prefixes) {
		s.IPs = append(s.IPs, prefix.Addr().String())
	}
	if heard := d.peers.heardAt(p); !heard.IsZero() {
		s.LastSeenS = seconds(now.Sub(heard))
	}
	if p.reach.path != nil && s.Reason != "" && s.Path != control.PathDirect {
		s.Reason = path.WithRefusals(s.Reason, p.reach.path.Refusals())
	}
	r, since := p.view.Route(), p.reach.since
	if r.Supernode != nil {
		s.Handle = r.Handle
	}
	switch s.Path {
	case control.PathDirect:
		if p.reach.path != nil {
			s.MTU, s.Loss = p.reach.path.Route().MTU, lossOf(p.reach.path.Loss())
		}
	case control.PathRelay:
		s.MTU, s.Loss = p.reach.relay.size.mtu.Size(), lossOf(p.reach.relay.loss)
		if moved := d.supernodes[r.Supernode.ID()].hop.moved; moved.After(since) {
			since = moved
		}
	default:
		return s
	}
	s.Payload = r.Payload()
	if !since.IsZero() {
		s.SinceS = seconds(now.Sub(since))
	}
	return s
}

// list returns the peers with an identity, by name.
func (d *describer) list(now time.Time) []control.Peer {
	list := make([]control.Peer, 0, len(d.peers.byStatic))
	for _, p := range d.peers.byStatic {
		if p.known() {
			list = append(list, d.peer(now, p))
		}
	}
	slices.SortFunc(list, func(a, b control.Peer) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return list
}

// count returns how many peers are known, and how they are reached.
func (d *describer) count(now time.Time) (n control.PeerCount) {
	for _, p := range d.peers.byStatic {
		if !p.known() {
			continue
		}
		n.Seen++
		switch d.path(now, p).Path {
		case control.PathDirect:
			n.Direct++
		case control.PathRelay:
			n.Relayed++
		}
	}
	return n
}

// byAddress returns prefixes in order, IPv4 before IPv6.
func byAddress(list []netip.Prefix) []netip.Prefix {
	return slices.SortedFunc(slices.Values(list), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
}

func milliseconds(d time.Duration) *float64 {
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// whoIsAt returns the name of whoever is reached at an address of the underlay, empty:
// nobody is.
func (d *describer) whoIsAt(a netip.AddrPort) string {
	for _, s := range d.supernodes {
		if slices.Contains(s.where.addrs, a) || s.hop.at == a {
			return s.cfg.Name
		}
	}
	for _, p := range d.peers.byStatic {
		if p.view.Route().Direct == a || p.reach.path != nil && p.reach.path.Knows(a) {
			return p.title()
		}
	}
	return ""
}
