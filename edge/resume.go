package edge

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/internal/handover"
	"hedgerow/nat/address"
	"hedgerow/nat/path"
	"hedgerow/nat/pmtu"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// Resume is New for the successor of another process: its state, which HandOver wrote, is
// where this one goes on. Nothing is sent and nothing of the machine is changed before Run.
// The identity and the options have to be the same.
func Resume(cfg Config, state []byte) (*Edge, error) { return resume(cfg, state, time.Now()) }

// resume is Resume at a time.
func resume(cfg Config, state []byte, now time.Time) (*Edge, error) {
	r := &handover.Reader{B: state, Now: now}
	if v := r.U32(); r.Err == nil && v != handoverVersion {
		return nil, fmt.Errorf("the state that was handed over is of version %d, and this program reads version %d", v, handoverVersion)
	}
	static, elapsed := handover.Array[[32]byte](r), time.Duration(r.U64())
	if elapsed < 0 || r.Err != nil {
		return nil, handover.ErrState
	}
	e, err := compose(cfg, now.Add(-elapsed))
	if err != nil {
		return nil, err
	}
	if static != e.cfg.Identity.Static {
		return nil, fmt.Errorf("the state that was handed over is of an edge with another identity")
	}
	h := &heir{Reader: r, e: e}
	e.state.resumed = new(resumed)
	for _, read := range []func(){h.self, h.salts, h.addresses, h.supernodes, h.peers, h.stations, h.segment, h.publish} {
		if read(); r.Err != nil {
			return nil, r.Err // the first fault is the one to tell
		}
	}
	if len(r.B) > 0 {
		return nil, handover.ErrState
	}
	return e, nil
}

// heir enters a state into an edge that is new.
type heir struct {
	*handover.Reader
	e     *Edge
	names []*peer // by their place in the state, less one
}

// sane notes a fault unless something holds, and reports whether there is none so far.
func (h *heir) sane(holds bool) bool {
	if !holds {
		h.Fail()
	}
	return h.Err == nil
}

// self reads who we are, and what the state file was to have.
func (h *heir) self() {
	own, raw := h.e.self, h.Bytes()
	st, err := crypto.VerifyStatement(raw)
	if !h.sane(err == nil && st.Static == own.identity.Static) {
		return
	}
	if st.CID != own.cid {
		h.Err = errors.New("the key is another one than that of the running edge: it needs a restart")
		return
	}
	if protocol.MAC(st.MAC) != own.mac {
		h.Err = fmt.Errorf("the device had another hardware address, %s", protocol.MAC(st.MAC))
		return
	}
	own.statement, own.seq = append([]byte(nil), raw...), st.Seq
	var saved storedState
	if err := json.Unmarshal(h.Bytes(), &saved); !h.sane(err == nil) {
		return
	}
	// What is on the disk may be some seconds older: an older list does not count again.
	if kept := h.e.state.saved.Listed; kept.Authority == saved.Listed.Authority && kept.Serial > saved.Listed.Serial {
		saved.Listed = kept
	}
	if saved.Supernodes == nil {
		saved.Supernodes = make(map[string]string)
	}
	if saved.Pins == nil {
		saved.Pins = make(map[string]pin)
	}
	h.e.state.saved, h.e.state.dirty = saved, true
}

// salts reads our own salts, and those of others.
func (h *heir) salts() {
	k := h.e.keys
	wall := k.plane.Wall(h.Now)
	k.salts.serial = h.U64()
	for _, g := range []**crypto.GroupSender{&k.group, &k.coming} {
		if !h.Flag() {
			continue
		}
		created := wall.Add(-time.Duration(h.U64()))
		var err error
		if *g, h.B, err = crypto.RestoreGroupSender(k.community, k.salts.static, h.B, created); !h.sane(err == nil) {
			return
		}
	}
	change, wear := h.Time(), h.Time()
	k.draft.SetGroup(k.group)
	if k.coming != nil {
		k.changing.Set(change)
	}
	if !wear.IsZero() {
		k.wearing.Set(wear)
	}
	rest, err := k.plane.Groups().Restore(h.B, wall)
	if h.sane(err == nil) {
		h.B = rest
	}
}

// addresses reads which addresses the device has.
func (h *heir) addresses() {
	h.e.state.resumed.lease, h.e.state.resumed.assumed = h.Prefix(), h.Flag()
	h.e.servers.addresses.prefixes = h.prefixes()
	h.e.user.reports.isReady = h.Flag()
}

// supernodes reads the sessions with supernodes.
func (h *heir) supernodes() {
	for i := range h.Count(4 + 1) {
		name := string(h.Bytes())
		if !h.Flag() {
			continue
		}
		if !h.sane(i < len(h.e.servers.list)) {
			return
		}
		s := h.e.servers.list[i]
		if !h.sane(s.cfg.Name == name) {
			return
		}
		if s.kin.first != nil { // it took the place of the one that was the first at the start
			s.lead()
		}
		h.supernode(s)
	}
}

// supernode reads the sessions with a supernode, and what it knows of us.
func (h *heir) supernode(s *supernode) {
	key, at, c := handover.Array[[32]byte](h.Reader), h.AddrPort(), h.e.servers.connector
	// That another key has taken the place of the one that is typed may not be on the disk.
	if known, serial := h.e.state.knownKey(s.cfg.Name, s.cfg.Key); known != nil {
		if s.init.rotation.serial = serial; s.key == nil || *s.key != *known {
			s.pin(*known)
			c.pinned(s)
		}
	}
	if !h.sane(at.IsValid() && (s.key == nil || *s.key == key)) {
		return
	}
	if s.key == nil {
		s.pin(key)
		c.pinned(s)
	}
	s.hop.at, s.where.good, s.hop.hash = at, at, handover.Array[[32]byte](h.Reader)
	s.hop.session = h.hop(s)
	if h.Flag() {
		s.hop.old = h.hop(s)
	}
	g := &s.grant
	current := h.Flag()
	g.token, g.leased, g.offer = handover.Array[[16]byte](h.Reader), h.Flag(), h.Prefix()
	g.others, g.nameInUse, s.reported.ready = int(h.U32()), h.Flag(), h.Flag()
	s.keepalive.rtt, s.keepalive.variation = time.Duration(h.U64()), time.Duration(h.U64())
	if !h.sane(s.keepalive.rtt >= 0 && s.keepalive.variation >= 0) {
		return
	}
	if current {
		g.done, g.on = true, s.hop.session
	}
}

// hop reads a session with a supernode; nil after a fault.
func (h *heir) hop(s *supernode) *dataplane.HopSession {
	created := h.Past()
	session, rest, err := crypto.RestoreHopSession(h.B, created)
	if !h.sane(err == nil && session.Static() == *s.key && h.e.data.draft.Hop(session.LocalIndex()) == nil) {
		return nil
	}
	h.B = rest
	hop := dataplane.NewHopSession(session, s.view, h.U32())
	h.e.data.draft.SetHop(hop)
	return hop
}

// peers reads the book.
func (h *heir) peers() {
	for h.Flag() && h.Err == nil {
		if p := h.peer(); p != nil {
			h.names = append(h.names, p)
		}
	}
}

// peer reads a peer; nil after a fault.
func (h *heir) peer() *peer {
	static, unconfirmed, b := handover.Array[[32]byte](h.Reader), h.Flag(), h.e.peers
	if !h.sane(b.byStatic[static] == nil && len(b.byStatic) < maxPeers+maxUnconfirmed && static != h.e.cfg.Identity.Static) {
		return nil
	}
	p := b.enter(h.Now, static)
	p.place.source = h.Addr()
	if p.place.unconfirmed = unconfirmed; unconfirmed {
		b.half = append(b.half, p)
	}
	if raw := h.Bytes(); len(raw) > 0 {
		st, err := crypto.VerifyStatement(raw)
		if !h.sane(err == nil && st.Static == static) {
			return nil
		}
		if h.e.self.other(st) {
			b.take(p, st, raw)
		}
	}
	p.identity.newest, p.identity.proven = h.U64(), h.Flag()
	p.about.Name, p.about.Prefixes, p.identity.addresses = string(h.Bytes()), h.prefixes(), h.prefixes()
	for i := range p.handles {
		handle, lease := h.U32(), h.Prefix()
		if i < len(h.e.servers.list) && h.e.servers.list[i].hop.session != nil {
			b.setHandle(p, i, handle)
			h.e.data.guard.leased(p, h.e.servers.list[i], lease)
		}
	}
	p.identity.claims.hint = hint(h.U8())
	p.seen = h.Past()
	p.place.mtu = int(h.U32())
	features := h.U32()
	p.view.SetFeatures(features)
	h.e.self.announced(p, features)
	p.view.RestoreTraffic(int64(h.U64()), int64(h.U64()), h.U64(), h.U64())
	h.pairs(p)
	if !h.sane(!unconfirmed || p.sessions.next != nil && p.sessions.current == nil) {
		return nil
	}
	h.reach(p)
	dataplane.RestorePieces(h.e.data.plane, h.Now, p.view, h.Reader)
	for f := h.Bytes(); len(f) > 0; f = h.Bytes() {
		h.e.sessions.staged.add(h.Now, p, append([]byte(nil), f...))
	}
	p.reported = peerReport{up: h.Flag(), direct: h.Flag()}
	return p
}

// prefixes reads a list of prefixes.
func (h *heir) prefixes() (list []netip.Prefix) {
	for range h.Count(1 + 1) {
		list = append(list, h.Prefix())
	}
	return list
}

// pairs reads the sessions with a peer. They go on as they are, and the peer is told who we
// are, which has it tell the same.
func (h *heir) pairs(p *peer) {
	s := &p.sessions
	s.current, s.previous, s.next = h.session(p), h.session(p), h.session(p)
	if s.current != nil {
		s.renewAt = renewal(s.current.Crypto())
		s.introduce = true
		h.e.keys.schedule.Learn(h.e.data.plane.Wall(h.Now), s.current.Crypto().KI())
	}
	s.stopped, s.claimed = h.Flag(), protocol.MAC(handover.Array[[6]byte](h.Reader))
	s.init.wanted = h.Flag()
	if s.next == nil {
		return
	}
	half := halfOpen{since: h.Past(), claimed: protocol.MAC(handover.Array[[6]byte](h.Reader))}
	half.source = handshake.Source{Cookie: append([]byte(nil), h.Bytes()...), Rate: h.Addr()}
	half.from = dataplane.Origin{Addr: h.AddrPort(), Local: h.Addr(), Handle: h.U32()}
	if h.Flag() {
		id := int(h.U8())
		if !h.sane(id < len(h.e.servers.list)) {
			return
		}
		half.from.Supernode = h.e.servers.list[id].view
	}
	s.half = half
}

// session reads a session; nil if there is none.
func (h *heir) session(p *peer) *dataplane.Session {
	if !h.Flag() {
		return nil
	}
	created := h.Past()
	c, rest, err := crypto.RestoreSession(h.B, created)
	if !h.sane(err == nil && c.Static() == p.view.Static() && h.e.data.draft.Session(c.LocalIndex()) == nil) {
		return nil
	}
	h.B = rest
	s := dataplane.NewSession(c, p.view, h.U32())
	if h.Flag() {
		s.Confirm()
	}
	h.e.data.draft.SetSession(s)
	return s
}

// reach reads how a peer is reached.
func (h *heir) reach(p *peer) {
	r := h.e.paths.routing
	if p.sessions.current != nil {
		r.start(h.Now, p)
	}
	if at := h.AddrPort(); at.IsValid() {
		d := path.Direct{Addr: at, Kind: address.CandidateKind(h.U8()), Seen: h.AddrPort(), RTT: time.Duration(h.U64()), MTU: int(h.U32()), Idle: time.Duration(h.U64())}
		from := source{local: h.Addr(), needed: h.Flag()}
		if h.sane(d.RTT >= 0 && d.Idle >= 0 && d.Kind <= address.KindLAN && d.MTU <= maxPathMTU) && p.reach.path != nil {
			path.Resume(p.reach.path, h.Now, d)
			p.reach.asked = asked{at: from}
		}
	}
	p.reach.lan = h.AddrPort()
	p.reach.relay.ping.rtt = time.Duration(h.U64())
	p.reach.relay.size = resumedRelaySize(int(h.U32()))
	if !h.sane(p.reach.relay.ping.rtt >= 0) {
		return
	}
	if h.Flag() {
		serial, list := h.U64(), h.prefixes()
		h.router(p, serial, list)
	}
	p.place.carried = h.Flag()
}

// maxPathMTU is the most bytes of an IP packet.
const maxPathMTU = 1 << 16

// router takes the networks behind a peer, as it named them in its session.
func (h *heir) router(p *peer, serial uint64, list []netip.Prefix) {
	s := h.e.paths.subnets
	if !h.sane(len(list) <= maxAccepted+maxShown) || !p.identity.proven || !p.place.router || !s.guard.isolation.admission.may(p, roster.Router) {
		return
	}
	r := &router{session: p.sessions.current, heard: true, serial: serial}
	s.of[p] = r
	s.learn(h.Now, p, r, list)
}

// stations reads where hosts are.
func (h *heir) stations() {
	fdb := h.e.data.plane.Stations()
	for range h.Count(6 + 4 + 8 + 4 + 1) {
		key := bridge.Key{MAC: protocol.MAC(handover.Array[[6]byte](h.Reader)), VLAN: uint16(h.U32())}
		seen, place, here := int64(h.U64()), int(h.U32()), h.Flag()
		if !h.sane(place <= len(h.names) && seen <= h.e.data.plane.Since(h.Now)) {
			return
		}
		switch {
		case here:
			fdb.Learn(seen, key, nil)
		case place > 0:
			fdb.Learn(seen, key, h.names[place-1].view)
		}
	}
}

// segment reads what a bridge is on its LAN.
func (h *heir) segment() {
	if !h.Flag() {
		return
	}
	forwarding, seq, serial := h.Flag(), h.U32(), h.U64()
	if s := h.e.paths.segment; s != nil {
		s.prober.GoOn(seq)
		h.e.state.resumed.forwarding, h.e.state.resumed.serial = forwarding, serial
	}
}

// publish has the queues carry frames as those of the other process did, from the first
// moment on. Relayed ones go by the supernode that they went by, whose path was measured.
func (h *heir) publish() {
	e := h.e
	e.keys.publishEpochs(e.data.plane.Wall(h.Now))
	e.data.guard.publish()
	for _, s := range e.servers.list {
		if s.hop.session != nil {
			s.where.addrs = []netip.AddrPort{s.hop.at}
			s.publishHop()
			e.servers.connector.publishSources(s)
		}
	}
	e.servers.registrar.settle(h.Now)
	for _, p := range h.names {
		if s := e.servers.list.relayFor(p); s != nil {
			p.view.SetRoute(dataplane.Route{Supernode: s.view})
		}
		e.data.guard.settle(p)
		p.view.SetRoute(e.paths.routing.compute(p))
	}
	e.paths.routing.group.changed = true
	e.paths.routing.sizeGroup()
	if g := e.data.plane.Gate(); g != nil {
		g.Set(e.state.resumed.forwarding)
	}
	e.data.plane.Publish(e.data.draft)
}

// goOn is begin for what another process has left as it was. Everything that was not handed
// over is asked for at once.
func goOn(e *Edge, now time.Time) {
	a, r := e.servers.addresses, e.state.resumed
	if r.lease.IsValid() {
		a.lease, a.trouble.assumed = r.lease, r.assumed
		a.set(now, r.lease)
		a.checkLater(now)
	}
	for _, s := range e.servers.list {
		if s.hop.session == nil {
			continue
		}
		e.servers.connector.locator.place(now, s)
		s.keepalive.next.Set(now)
		s.grant.renew.Set(now)
		e.underlay.Lifetime.Ask(now, s.hop.at)
		e.servers.directory.ask(now, s, protocol.Query{})
	}
	seekAgain(e.servers.connector, now)
	e.paths.segment.goOn(now, r.forwarding, r.serial)
}

// seekAgain looks for the supernodes with which there is no session, and where the names of the
// others lead.
func seekAgain(c *connector, now time.Time) {
	for _, s := range c.supernodes {
		c.locator.pointers.recall(now, s)
		if s.hop.session == nil && c.locator.recall(now, s) {
			c.restart(now, s)
		}
		c.resolve(now, s)
	}
}

// goOn has a bridge forward that did, and listen otherwise.
func (s *segment) goOn(now time.Time, forwarding bool, serial uint64) {
	if s == nil {
		return
	}
	if s.begin(now); forwarding {
		s.machine.GoOn(now)
		s.said.state, s.said.message.State = bridge.Forwarding, protocol.SegmentForwarding
	}
	s.said.message.Serial = max(s.said.message.Serial, serial)
	if forwarding {
		s.probe(now) // opens the gate
	}
}

// resumedRelaySize returns a relaySize whose path carries IP packets of so many bytes.
func resumedRelaySize(mtu int) relaySize {
	s := newRelaySize()
	if mtu >= pmtu.Minimum && mtu <= s.mtu.Size() {
		s.mtu = pmtu.New(s.mtu.Size(), mtu, relayWatch)
	}
	return s
}
