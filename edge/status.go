package edge

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/nat/address"
)

// errEnded is what questions to an edge that no longer runs get.
var errEnded = errors.New("edge: not running")

// ask runs f in the control loop and waits for it.
func ask[T any](ctx context.Context, e *Edge, f func(now time.Time) T) (T, error) {
	answer := make(chan T, 1)
	var zero T
	select {
	case e.requests <- func(now time.Time) { answer <- f(now) }:
		return <-answer, nil
	case <-e.done:
		return zero, errEnded
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}

// Status returns the state of the edge.
func (e *Edge) Status(ctx context.Context) (control.Status, error) { return ask(ctx, e, e.status) }

// Peers returns the other edges that are known, by name.
func (e *Edge) Peers(ctx context.Context) ([]control.Peer, error) {
	return ask(ctx, e, func(now time.Time) []control.Peer {
		list := make([]control.Peer, 0, len(e.peers.byStatic))
		for _, p := range e.peers.byStatic {
			if p.id.raw != nil {
				list = append(list, e.peerStatus(now, p))
			}
		}
		slices.SortFunc(list, func(a, b control.Peer) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
		})
		return list
	})
}

// KeyStatus returns the state of the key schedule.
func (e *Edge) KeyStatus(ctx context.Context) (control.Keys, error) {
	return ask(ctx, e, func(now time.Time) control.Keys {
		return KeyStatus(e.keys.community, e.keys.schedule, e.plane.Wall(now))
	})
}

// Reload reads the community again from its source and takes it over.
func (e *Edge) Reload(ctx context.Context) error {
	if e.cfg.Keys == nil {
		return nil
	}
	c, err := e.cfg.Keys.Load(ctx)
	answer := make(chan error, 1)
	select {
	case e.loaded <- loadedKeys{community: c, err: err, answer: answer}:
	case <-e.done:
		return errEnded
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-e.done:
		return errEnded
	}
}

func (e *Edge) status(now time.Time) control.Status {
	s := control.Status{
		Community: e.cfg.Community.Name, Version: e.host.Version, ID: e.cfg.Identity.ShortID(),
		UptimeS: now.Sub(e.plane.Started()).Seconds(), KeyIndex: e.sendingIndex(), Drops: e.drops.Counts(), Notes: []string{},
	}
	s.Device, s.MAC, s.MTU = e.host.Interface, e.plane.Self().String(), e.cfg.MTU
	s.Prefixes = []string{}
	for _, p := range byAddress(e.prefixes) {
		s.Prefixes = append(s.Prefixes, p.String())
	}
	t := e.plane.Totals()
	s.Traffic = control.Traffic{InFrames: t.RxFrames, InBytes: t.RxBytes, OutFrames: t.TxFrames, OutBytes: t.TxBytes}
	if m := e.addresses.mapping; m != address.MappingUnknown {
		s.Mapping = m.String()
	}
	for _, l := range e.links {
		s.Supernodes = append(s.Supernodes, e.linkStatus(l))
	}
	for _, p := range e.peers.byStatic {
		if p.id.raw == nil {
			continue
		}
		s.Peers.Seen++
		switch e.way(now, p).Path {
		case control.PathDirect:
			s.Peers.Direct++
		case control.PathRelay:
			s.Peers.Relayed++
		}
	}
	return s
}

func (e *Edge) linkStatus(l *link) control.SupernodeStatus {
	s := control.SupernodeStatus{Name: l.cfg.Name, State: l.state()}
	if a := l.shownAddr(); a.IsValid() {
		s.Addr = a.String()
	}
	s.Stream = l.streamText()
	if l.key != nil {
		s.ID = base64.RawURLEncoding.EncodeToString(l.key[:])
	}
	if l.ping.rtt > 0 {
		s.RTTms = milliseconds(l.ping.rtt)
	}
	return s
}

// state names what a registration is waiting for.
func (l *link) state() control.SupernodeState {
	switch {
	case l.registered():
		return control.StateRegistered
	case len(l.where.addrs) == 0:
		return control.StateResolving
	case l.told.lost:
		return control.StateLost
	case l.told.refused != 0:
		return control.StateRefused
	}
	return control.StateConnecting
}

// byAddress returns prefixes in order, IPv4 before IPv6.
func byAddress(list []netip.Prefix) []netip.Prefix {
	return slices.SortedFunc(slices.Values(list), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
}

func milliseconds(d time.Duration) *float64 {
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}

// way returns how frames to a peer travel now.
func (e *Edge) way(now time.Time, p *peer) control.PathStatus {
	r := p.view.Route()
	var w control.PathStatus
	var rtt time.Duration
	switch {
	case r.Direct.IsValid():
		w = e.wayDirect(p, r.Direct)
		if p.path != nil {
			rtt = p.path.Route().RTT
		}
	case r.Session != nil && r.Supernode != nil:
		w, rtt = e.wayRelayed(now, p, e.links[r.Supernode.ID()]), p.relayPing.rtt
	default:
		w = control.PathStatus{Path: control.PathNone, Reason: e.unreached(p)}
	}
	if rtt > 0 {
		w.RTTms = milliseconds(rtt)
	}
	return w
}

// wayDirect is the way to an address of a peer, without its round trip.
func (e *Edge) wayDirect(p *peer, to netip.AddrPort) control.PathStatus {
	return control.PathStatus{Path: control.PathDirect, Kind: e.kindOf(p, to), Endpoint: e.endpoint(p, to)}
}

// wayRelayed is the way to a peer through a supernode, without its round trip.
func (e *Edge) wayRelayed(now time.Time, p *peer, l *link) control.PathStatus {
	w := control.PathStatus{Path: control.PathRelay, Kind: l.kind(), Via: l.cfg.Name}
	if p.path != nil {
		w.Reason = cmp.Or(p.avoidance(now), p.path.Why(now))
	}
	return w
}

// peerStatus returns what is known of a peer.
func (e *Edge) peerStatus(now time.Time, p *peer) control.Peer {
	s := control.Peer{
		Name: p.about.Name, MAC: p.view.MAC().String(), IPs: []string{}, PathStatus: e.way(now, p),
		Hosts: e.plane.Hosts(p.view),
	}
	s.RxBytes, s.TxBytes = p.view.Bytes()
	if p.id.raw != nil {
		s.ID = crypto.ShortID(p.id.statement.ID[:])
	}
	for _, prefix := range byAddress(p.about.Prefixes) {
		s.IPs = append(s.IPs, prefix.Addr().String())
	}
	if heard := e.heardAt(p); !heard.IsZero() {
		seconds := now.Sub(heard).Seconds()
		s.LastSeenS = &seconds
	}
	r, since := p.view.Route(), p.since
	if r.Supernode != nil {
		s.Handle = r.Handle
	}
	switch s.Path {
	case control.PathDirect:
		if p.path != nil {
			s.MTU, s.Loss = p.path.Route().MTU, lossOf(p.path.Loss())
		}
	case control.PathRelay:
		s.MTU, s.Loss = p.relaySize.mtu.Size(), lossOf(p.relayLoss)
		since = later(since, e.links[r.Supernode.ID()].turned)
	default:
		return s
	}
	s.Payload = r.Payload()
	if !since.IsZero() {
		seconds := now.Sub(since).Seconds()
		s.SinceS = &seconds
	}
	return s
}

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// endpoint returns where a direct address leads, for a person.
func (e *Edge) endpoint(p *peer, a netip.AddrPort) string {
	if to, ok := e.turnPeer(a); ok {
		return to.String() // behind our own relay
	}
	for _, s := range p.fan {
		if to, ok := s.far(a); ok {
			return to.String()
		}
	}
	return a.String()
}

// announce tells a person when a link comes up or changes between relay and
// direct.
func (e *Edge) announce(now time.Time, p *peer) {
	s := e.peerStatus(now, p)
	if s.Path == control.PathNone || (s.Path == control.PathRelay && s.RTTms == nil) {
		return
	}
	direct := s.Path == control.PathDirect
	if p.announced.up && p.announced.direct == direct {
		return
	}
	p.announced = announced{up: true, direct: direct}
	ev := Event{Kind: EventLink, Peer: s}
	if s.RTTms != nil {
		ev.RTT = time.Duration(*s.RTTms * float64(time.Millisecond))
	}
	e.report(now, ev)
}

// announceDown tells a person once that a link is gone.
func (e *Edge) announceDown(now time.Time, p *peer) {
	if !p.announced.up {
		return
	}
	p.announced = announced{}
	e.report(now, Event{Kind: EventLinkDown, Peer: e.peerStatus(now, p)})
}
