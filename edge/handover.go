package edge

import (
	"context"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/handover"
	"hedgerow/nat/path"
)

// handoverVersion is the version of what HandOver writes and Resume reads. Whatever changes
// in it makes another version: the two ends are of one version, or do without each other.
const handoverVersion = 1

// HandOver gives the state of an edge that runs to another process: sessions with their keys, counters and
// windows, salts, registrations, and where everybody is. Nothing is read, sent or changed
// from then on until give returns; what comes waits in the device and in the sockets. If give
// succeeds, which says that the other process serves now, Run ends and leaves device, routes
// and registrations as they are. If it fails everything goes on.
//
// What is not handed over is learned anew, while frames pass (docs/DESIGN.md). give is also
// told how many sessions there are, with supernodes too, and how many members are known.
func HandOver(ctx context.Context, e *Edge, give func(state []byte, sessions, members int) error) error {
	err, ended := ask(ctx, e, func(now time.Time) error {
		return e.data.plane.Gates().Hold(func() { finish(e, now) }, func() error {
			return leaveTo(e, time.Now(), give) // the queues have noted hosts and packets after now
		})
	})
	if ended != nil {
		return ended
	}
	return err
}

// finish does what the queues have told: it is in nobody's state yet.
func finish(e *Edge, now time.Time) {
	known, strangers := e.data.plane.Known(), e.data.plane.Strangers()
	for {
		select {
		case ev := <-known:
			e.handleEvent(now, ev)
		case ev := <-strangers:
			e.handleEvent(now, ev)
		default:
			e.settle(now)
			return
		}
		e.settle(now)
	}
}

// leaveTo gives the state to another process, which alone writes the files from then on.
func leaveTo(e *Edge, now time.Time, give func(state []byte, sessions, members int) error) error {
	files := []*stateWriter{&e.state.writer, &e.data.lists.store.writer}
	for _, f := range files {
		f.mu.Lock()
		defer f.mu.Unlock()
	}
	if err := e.data.lists.store.write(); err != nil {
		return err
	}
	d := e.data.draft
	if err := give(stateOf(e, now), d.SessionCount()+d.HopCount(), len(e.peers.byStatic)); err != nil {
		return err
	}
	for _, f := range files {
		f.left = true
	}
	return nil
}

// write writes the list of members, if the disk has not got the last one yet. The lock of the
// writer is held.
func (s *listStore) write() error {
	if s.state.dir == "" || s.version <= s.writer.last {
		return nil
	}
	return s.writer.replace(filepath.Join(s.state.dir, listFile), s.version, s.file.Append(nil))
}

// leaver writes the state of an edge.
type leaver struct {
	handover.Writer
	e *Edge
}

// stateOf writes everything that the successor needs.
func stateOf(e *Edge, now time.Time) []byte {
	w := &leaver{Writer: handover.Writer{Now: now}, e: e}
	w.U32(handoverVersion)
	w.Fixed(e.cfg.Identity.Static[:])
	w.U64(uint64(e.data.plane.Since(now)))
	w.Bytes(e.self.statement)
	e.state.remember(e.peers)
	saved, err := json.Marshal(&e.state.saved)
	if err != nil {
		saved = []byte("{}") // it has neither cycles nor functions
	}
	w.Bytes(saved)
	w.salts()
	w.Prefix(e.servers.addresses.lease)
	w.Flag(e.servers.addresses.trouble.assumed)
	w.prefixes(e.servers.addresses.prefixes)
	w.Flag(e.user.reports.isReady)
	w.U32(uint32(len(e.servers.list)))
	for _, s := range e.servers.list {
		w.supernode(s)
	}
	places := w.peers()
	w.stations(places)
	w.segment()
	return w.B
}

// salts writes our own salts, and those of others.
func (w *leaver) salts() {
	k := w.e.keys
	wall := k.plane.Wall(w.Now)
	w.U64(k.salts.serial)
	for _, g := range []*crypto.GroupSender{k.group, k.coming} {
		w.Flag(g != nil)
		if g != nil {
			w.U64(uint64(wall.Sub(g.Created())))
			w.B = g.AppendState(w.B)
		}
	}
	w.Time(k.changing.At())
	w.Time(k.wearing.At())
	w.B = k.plane.Groups().AppendState(w.B, wall)
}

// handed reports whether a supernode's session goes over: one by a stream or by a further
// socket does not.
func (s *supernode) handed() bool {
	return s.kin.first == nil && s.key != nil && s.hop.session != nil && s.hop.at.IsValid() && !underlay.IsSide(s.hop.at)
}

// supernode writes the sessions with a supernode, and what it knows of us.
func (w *leaver) supernode(s *supernode) {
	w.Bytes([]byte(s.cfg.Name))
	w.Flag(s.handed())
	if !s.handed() {
		return
	}
	w.Fixed(s.key[:])
	w.AddrPort(s.hop.at)
	w.Fixed(s.hop.hash[:])
	w.hop(s.hop.session)
	old := s.hop.old != nil && s.hop.old.Crypto().Static() == *s.key // one by a key before it is not opened there
	w.Flag(old)
	if old {
		w.hop(s.hop.old)
	}
	g := &s.grant
	w.Flag(s.current())
	w.Fixed(g.token[:])
	w.Flag(g.leased)
	w.Prefix(g.offer)
	w.U32(uint32(g.others))
	w.Flag(g.nameInUse)
	w.Flag(s.reported.ready)
	w.U64(uint64(s.keepalive.rtt))
	w.U64(uint64(s.keepalive.variation))
}

func (w *leaver) hop(h *dataplane.HopSession) {
	w.Time(h.Crypto().Created())
	w.B = h.Crypto().AppendState(w.B)
	w.U32(h.Features())
}

// peers writes the book, and returns the place of each peer in what was written, from 1 on.
func (w *leaver) peers() map[*dataplane.Peer]uint32 {
	places := make(map[*dataplane.Peer]uint32)
	for _, p := range w.e.peers.byStatic {
		places[p.view] = uint32(len(places) + 1)
		w.Flag(true)
		w.peer(p)
	}
	w.Flag(false)
	return places
}

// peer writes a peer.
func (w *leaver) peer(p *peer) {
	static := p.view.Static()
	w.Fixed(static[:])
	w.Flag(p.place.unconfirmed)
	w.Addr(p.place.source)
	w.Bytes(p.identity.raw)
	w.U64(p.identity.newest)
	w.Flag(p.identity.proven)
	w.Bytes([]byte(p.about.Name))
	w.prefixes(p.about.Prefixes)
	w.prefixes(p.identity.addresses)
	for i, h := range p.handles {
		w.U32(h)
		w.Prefix(p.identity.claims.leases[i])
	}
	w.U8(uint8(p.identity.claims.hint))
	w.Time(p.seen)
	w.U32(uint32(p.place.mtu))
	w.U32(p.view.Features())
	rx, tx := p.view.Bytes()
	for _, n := range []uint64{uint64(p.view.Heard()), uint64(p.view.Used()), rx, tx} {
		w.U64(n)
	}
	w.pairs(&p.sessions)
	w.reach(p)
	p.view.AppendPieces(&w.Writer)
	for _, f := range w.e.sessions.staged.frames {
		if f.peer == p {
			w.Bytes(f.frame)
		}
	}
	w.Bytes(nil)
	w.Flag(p.reported.up)
	w.Flag(p.reported.direct)
}

// prefixes writes a list of prefixes.
func (w *leaver) prefixes(list []netip.Prefix) {
	w.U32(uint32(len(list)))
	for _, p := range list {
		w.Prefix(p)
	}
}

// pairs writes the sessions with a peer.
func (w *leaver) pairs(s *pairSessions) {
	for _, one := range []*dataplane.Session{s.current, s.previous, s.next} {
		w.Flag(one != nil)
		if one != nil {
			w.Time(one.Crypto().Created())
			w.B = one.Crypto().AppendState(w.B)
			w.U32(one.Features())
			w.Flag(one.Confirmed())
		}
	}
	w.Flag(s.stopped)
	w.Fixed(s.claimed[:])
	w.Flag(s.init.active() || s.init.wanted)
	if s.next != nil {
		h := &s.half
		w.Time(h.since)
		w.Fixed(h.claimed[:])
		w.Bytes(h.source.Cookie)
		w.Addr(h.source.Rate)
		w.AddrPort(h.from.Addr)
		w.Addr(h.from.Local)
		w.U32(h.from.Handle)
		w.Flag(h.from.Supernode != nil)
		if h.from.Supernode != nil {
			w.U8(uint8(h.from.Supernode.ID()))
		}
	}
}

// reach writes how a peer is reached.
func (w *leaver) reach(p *peer) {
	var d path.Direct
	if p.reach.path != nil {
		d = path.Leave(p.reach.path, w.Now)
	}
	if underlay.IsSide(d.Addr) {
		d = path.Direct{}
	}
	w.AddrPort(d.Addr)
	if d.Addr.IsValid() {
		w.U8(uint8(d.Kind))
		w.AddrPort(d.Seen)
		w.U64(uint64(d.RTT))
		w.U32(uint32(d.MTU))
		w.U64(uint64(d.Idle))
		from := p.reach.asked[d.Addr]
		w.Addr(from.local)
		w.Flag(from.needed)
	}
	w.AddrPort(p.reach.lan)
	w.U64(uint64(p.reach.relay.ping.rtt))
	w.U32(uint32(p.reach.relay.size.mtu.Size()))
	r := w.e.paths.subnets.of[p]
	w.Flag(r != nil)
	if r != nil {
		w.U64(r.serial)
		list := make([]netip.Prefix, len(r.list))
		for i, o := range r.list {
			list[i] = o.network
		}
		w.prefixes(list)
	}
	k := w.e.paths.links.of[p]
	w.Flag(k != nil && k.up)
}

// stations writes which hosts are behind whom, and on our own side.
func (w *leaver) stations(places map[*dataplane.Peer]uint32) {
	list := w.e.data.plane.Stations().Stations(w.e.data.plane.Since(w.Now))
	w.U32(uint32(len(list)))
	for _, st := range list {
		w.Fixed(st.MAC[:])
		w.U32(uint32(st.VLAN))
		w.U64(uint64(st.Seen))
		w.U32(places[st.Edge]) // 0 for our own side, and for who is gone
		w.Flag(st.Edge == nil)
	}
}

// segment writes what a bridge is on its LAN.
func (w *leaver) segment() {
	s := w.e.paths.segment
	w.Flag(s != nil)
	if s != nil {
		state, _ := s.machine.State()
		w.Flag(state == bridge.Forwarding)
		w.U32(s.prober.Seq())
		w.U64(s.said.message.Serial)
	}
}
