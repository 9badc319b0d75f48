package supernode

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
	"hedgerow/protocol"
	"hedgerow/supernode/journal"
	"hedgerow/transport"
)

// epoch is when most tests happen.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sent is one datagram that the supernode sent.
type sent struct {
	to  netip.AddrPort
	pkt []byte
}

// packets are the datagrams of an entry of a batch.
func packets(d *transport.Datagram) iter.Seq[[]byte] {
	if d.Seg == 0 {
		return slices.Chunk(d.Payload(), max(d.N, 1))
	}
	return slices.Chunk(d.Payload(), d.Seg)
}

// entry is the shape of an entry of a batch that the supernode sent.
type entry struct {
	to        netip.AddrPort
	size, seg int
	tos       uint8
}

// recorder is a socket that keeps what is written to it and never receives.
type recorder struct {
	mu      sync.Mutex
	sent    []sent
	entries []entry
	strays  []transport.Datagram // that left from another address than their edge knows
	once    sync.Once
	closed  chan struct{}
}

func newRecorder() *recorder { return &recorder{closed: make(chan struct{})} }

func (c *recorder) ReadBatch([]transport.Datagram) (int, error) { return 0, nil }

func (c *recorder) Wait() error {
	<-c.closed
	return net.ErrClosed
}

func (c *recorder) WriteBatch(ds []transport.Datagram) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range ds {
		c.entries = append(c.entries, entry{to: ds[i].Addr, size: ds[i].N, seg: ds[i].Seg, tos: ds[i].TOS})
		if ds[i].Local != asked(ds[i].Addr) {
			c.strays = append(c.strays, ds[i])
		}
		for pkt := range packets(&ds[i]) {
			c.sent = append(c.sent, sent{to: ds[i].Addr, pkt: bytes.Clone(pkt)})
		}
	}
	return len(ds), nil
}

func (c *recorder) LocalAddr() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:7654") }

func (c *recorder) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// asked returns the address of the supernode that an edge at an address knows it by: it has
// two, and to an edge it is the one that the edge sends to.
func asked(from netip.AddrPort) netip.Addr {
	if transport.IsSide(from.Addr()) {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{192, 0, 2, 1 + byte(from.Port()%2)})
}

// drain returns what was sent since the last call.
func (c *recorder) drain() []sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.sent
	c.sent, c.entries = nil, nil
	return all
}

// forgetful is a disk that is not waited for.
type forgetful struct{ journal.Disk }

func (d forgetful) CreateTemp(dir, pattern string) (durable.File, error) {
	f, err := d.Disk.CreateTemp(dir, pattern)
	return unsynced{f}, err
}

func (d forgetful) Append(path string) (durable.File, error) {
	f, err := d.Disk.Append(path)
	return unsynced{f}, err
}

func (forgetful) SyncDir(string) error { return nil }

// unsynced is a file of it.
type unsynced struct{ durable.File }

func (unsynced) Sync() error { return nil }

// rig is a supernode without goroutines: datagrams are handed to it, and time
// passes when the test says so.
type rig struct {
	t    testing.TB
	s    *Server
	disk journal.Disk
	conn *recorder
	out  *outbox
	now  time.Time
	in   transport.Datagram

	stamps    uint64 // of the INITs of all edges
	delivered int    // datagrams and trains
	again     bool   // it was restarted
}

func newRig(t testing.TB, cfg Config) *rig {
	t.Helper()
	return newRigOn(t, forgetful{journal.System}, cfg)
}

// newRigOn is newRig with the state directory on a disk.
func newRigOn(t testing.TB, disk journal.Disk, cfg Config) *rig {
	t.Helper()
	r := &rig{t: t, disk: disk, conn: newRecorder(), now: epoch}
	r.in.Buf = make([]byte, transport.ReadBufferLen)
	cfg.Conn = r.conn
	cfg.Now = func() time.Time { return r.now }
	if cfg.Identity == nil && cfg.StateDir == "" {
		cfg.Identity = identity("supernode")
	}
	s, err := newOn(disk, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.store.close()
		for _, d := range r.conn.strays {
			if d.Local.IsValid() || !r.again { // whom a RESET of the start is for may have asked any address
				t.Errorf("%d bytes to %v left from %v, want %v", d.N, d.Addr, d.Local, asked(d.Addr))
			}
		}
	})
	r.s, r.out = s, newOutbox()
	s.timers.Strict = func(name string) { t.Errorf("the timer %q is due again at once", name) }
	s.begin(r.now)
	return r
}

// restart ends the supernode as Run does and starts another one on its state.
func (r *rig) restart(cfg Config) *rig {
	r.t.Helper()
	r.s.store.write()
	r.s.store.close()
	next := newRigOn(r.t, r.disk, cfg)
	next.now, next.again = r.now, true
	return next
}

// handle hands in a datagram or a train, and has the INITs answered that were admitted, and
// the signatures checked of REGISTERs.
func (r *rig) handle(d *transport.Datagram) {
	d.Local = asked(d.Addr)
	r.s.handleTrain(r.now, r.out, d)
	a := r.s.strangers.handshakes.answerer
	for in, ok := a.waiting(r.now); ok; in, ok = a.waiting(r.now) {
		a.answer(r.now, r.out, &in)
	}
	r.prove()
	for r.s.reviews.lists.do() {
	}
	if r.s.store.awaited > r.s.store.writes {
		r.s.store.write()
	}
}

// prove has the signatures checked of the REGISTERs that wait for it.
func (r *rig) prove() {
	q := r.s.controls.registrar.proofs.waiting
	for in, ok := q.waiting(r.now); ok; in, ok = q.waiting(r.now) {
		r.s.controls.prove(func() time.Time { return r.now }, r.out, &in)
	}
}

// deliver hands in one datagram and returns what was sent because of it.
func (r *rig) deliver(from netip.AddrPort, pkt []byte) []sent {
	r.in.N, r.in.Addr, r.in.Seg = copy(r.in.Buf, pkt), from, 0
	r.handle(&r.in)
	r.s.sockets.flush(r.out)
	r.verify()
	return r.conn.drain()
}

// deliverTrain hands in packets as the kernel joins them, all of one length but
// for a shorter last one, and returns the entries and the datagrams that were
// sent because of them.
func (r *rig) deliverTrain(from netip.AddrPort, pkts ...[]byte) ([]entry, []sent) {
	r.in.N, r.in.Addr, r.in.Seg = copy(r.in.Buf, bytes.Join(pkts, nil)), from, len(pkts[0])
	r.handle(&r.in)
	r.s.sockets.flush(r.out)
	r.verify()
	entries := r.conn.entries
	return entries, r.conn.drain()
}

// pass lets time pass in steps, running what is due.
func (r *rig) pass(d, step time.Duration) []sent {
	for end := r.now.Add(d); r.now.Before(end); {
		r.now = r.now.Add(step)
		r.s.timers.Run(r.now)
		r.s.sockets.flush(r.s.notices.out)
	}
	return r.conn.drain()
}

func (r *rig) dropped(reason dropReason) uint64 { return r.s.refused.drops[reason].Load() }

// identities are those that were made, since that takes longer than most of what they do.
var identities sync.Map

// identity returns an identity that depends on name only.
func identity(name string) *crypto.Identity {
	if id, made := identities.Load(name); made {
		return id.(*crypto.Identity)
	}
	id, _ := identities.LoadOrStore(name, crypto.NewIdentity(sha256.Sum256([]byte(name))))
	return id.(*crypto.Identity)
}

// testCommunity returns a community that depends on its arguments only.
func testCommunity(name, key string) *crypto.Community {
	return &crypto.Community{
		Name: name, Secret: sha256.Sum256([]byte("secret" + key)),
		Epochs: []crypto.Epoch{{Key: sha256.Sum256([]byte("epoch" + key))}},
	}
}

func address(n int) netip.AddrPort {
	b := [4]byte{198, 18}
	binary.BigEndian.PutUint16(b[2:], uint16(n))
	return netip.AddrPortFrom(netip.AddrFrom4(b), uint16(20000+n%1000))
}

// fakeEdge is as much of an edge as a supernode can see.
type fakeEdge struct {
	r         *rig
	id        *crypto.Identity
	community *crypto.Community
	addr      netip.AddrPort
	mac       protocol.MAC
	seq       uint64
	stamp     uint64 // of every INIT; 0: a newer one each time
	challenge [16]byte
	index     uint32
	knows     [32]byte // the supernode's key
	mask      *crypto.Mask
	sc        *crypto.Scratch
	session   *crypto.HopSession
	hash      [32]byte
	ack       protocol.Ack
}

func (r *rig) edge(c *crypto.Community, name string, n int) *fakeEdge {
	id := identity(name)
	return &fakeEdge{
		r: r, id: id, community: c, addr: address(n), mac: id.MAC(c.ID()), seq: 1, index: uint32(n) << 8, knows: r.s.Key(),
		mask: crypto.NewMask(crypto.SupernodeMaskKey(r.s.Key(), r.s.cfg.Cover.ObfsKey)), sc: crypto.NewScratch(),
	}
}

// hide masks a packet as on the wire.
func (e *fakeEdge) hide(pkt []byte) []byte {
	e.mask.Hide(e.sc, pkt)
	return pkt
}

// show unmasks a packet and returns its header.
func (e *fakeEdge) show(pkt []byte) protocol.Header {
	e.r.t.Helper()
	e.mask.Show(e.sc, pkt)
	h, err := protocol.ParseHeader(pkt)
	if err != nil {
		e.r.t.Fatal(err)
	}
	return h
}

// initiate makes a masked INIT.
func (e *fakeEdge) initiate(cookie *[16]byte) (*crypto.Initiation, []byte) {
	e.r.t.Helper()
	e.index++
	e.r.stamps++
	stamp := e.stamp
	if stamp == 0 {
		stamp = e.r.stamps
	}
	var hdr [16]byte
	protocol.Header{Type: protocol.TypeInit, XF: protocol.XFHop, KI: protocol.KINone, RX: e.index, CTR: protocol.Revision}.Put(hdr[:])
	payload := protocol.InitPayload{Stamp: stamp, VMin: 1, VMax: 1, MAC: e.mac, MTU: 1370, Challenge: e.challenge}
	var p [48]byte
	payload.Put(&p)
	i, pkt, err := crypto.Initiate(crypto.HandshakeConfig{Hop: true, Local: e.id}, e.knows, hdr, p, cookie)
	if err != nil {
		e.r.t.Fatal(err)
	}
	return i, e.hide(pkt)
}

// finish takes a masked RESP. It reports false for a challenge, which it keeps.
func (e *fakeEdge) finish(i *crypto.Initiation, resp []byte) bool {
	e.r.t.Helper()
	h := e.show(resp)
	if h.Type != protocol.TypeResp || h.RX != e.index {
		e.r.t.Fatalf("got %v to %08x", h.Type, h.RX)
	}
	payload, keys, err := i.Finish(resp)
	if err != nil {
		e.r.t.Fatal(err)
	}
	p, err := protocol.ParseRespPayload(payload[:])
	if err != nil {
		e.r.t.Fatal(err)
	}
	if p.Flags&protocol.RespChallenge != 0 {
		e.challenge = p.Challenge
		return false
	}
	e.hash = keys.Hash
	e.session, err = crypto.NewHopSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(protocol.XFHop), KI: protocol.KINone, Local: e.index, Remote: uint32(h.CTR >> 32),
		Static: e.knows, Created: e.r.now, Initiator: true,
	})
	if err != nil {
		e.r.t.Fatal(err)
	}
	return true
}

// reach makes a session, if the supernode lets it, and shows a cookie if it is asked for
// one.
func (e *fakeEdge) reach() bool {
	e.r.t.Helper()
	i, pkt := e.initiate(nil)
	got := e.r.deliver(e.addr, pkt)
	if len(got) == 1 && len(got[0].pkt) == protocol.CookieLen {
		e.show(got[0].pkt)
		cookie, err := i.OpenCookie(got[0].pkt)
		if err != nil {
			e.r.t.Fatal(err)
		}
		i, pkt = e.initiate(&cookie)
		got = e.r.deliver(e.addr, pkt)
	}
	return len(got) == 1 && e.finish(i, got[0].pkt)
}

// connect makes a session.
func (e *fakeEdge) connect() {
	e.r.t.Helper()
	if !e.reach() {
		e.r.t.Fatalf("no session: drops %v", e.r.s.refused.drops.nonzero())
	}
}

// seal makes a masked control packet of messages.
func (e *fakeEdge) seal(messages ...message) []byte {
	e.r.t.Helper()
	pkt := startControl(make([]byte, 0, protocol.MaxDatagram))
	for _, m := range messages {
		pkt = m.Append(pkt)
	}
	ctr, err := e.session.Reserve(1)
	if err != nil {
		e.r.t.Fatal(err)
	}
	protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: e.session.RemoteIndex(), CTR: ctr}.Put(pkt)
	return e.hide(e.session.Seal(e.sc, pkt))
}

// reply is one control message that an edge got.
type reply struct {
	typ   protocol.MsgType
	value []byte
	size  int // of the datagram that it came in
}

// open returns the messages of those packets that are for e.
func (e *fakeEdge) open(packets []sent) (all []reply) {
	e.r.t.Helper()
	for _, p := range packets {
		if p.to != e.addr {
			continue
		}
		h := e.show(p.pkt)
		if h.Type != protocol.TypeData || h.RX != e.index {
			continue
		}
		inner, err := e.session.Open(e.sc, p.pkt)
		if err != nil {
			e.r.t.Fatal(err)
		}
		in, err := protocol.ParseInner(inner)
		if err != nil || in.Kind != protocol.KindControl {
			e.r.t.Fatalf("inner %x: %v", inner, err)
		}
		for rest := in.Body; len(rest) > 0; {
			var typ uint8
			var value []byte
			if typ, value, rest, err = protocol.NextTLV(rest); err != nil {
				e.r.t.Fatal(err)
			}
			all = append(all, reply{typ: protocol.MsgType(typ), value: bytes.Clone(value), size: len(p.pkt)})
		}
	}
	return all
}

// ask sends messages and returns the answers.
func (e *fakeEdge) ask(messages ...message) []reply {
	e.r.t.Helper()
	return e.open(e.r.deliver(e.addr, e.seal(messages...)))
}

// request returns a true REGISTER.
func (e *fakeEdge) request() *protocol.Register {
	cid := e.community.ID()
	return &protocol.Register{
		CID: cid, RPK: [32]byte(e.community.Rendezvous().Public().(ed25519.PublicKey)), NH: e.community.RoomHash(), MAC: e.mac,
		SigC:      crypto.SignMembership(e.community.Rendezvous(), e.hash, cid, e.mac, e.id.Static),
		Statement: e.statement(),
	}
}

func (e *fakeEdge) statement() []byte {
	return e.id.SignStatement(crypto.Statement{CID: e.community.ID(), MAC: e.mac, Seq: e.seq, Expiry: 1 << 40})
}

// register sends a REGISTER and returns the ACK or the NAK.
func (e *fakeEdge) register(m *protocol.Register) (*protocol.Ack, *protocol.Nak) {
	e.r.t.Helper()
	for _, a := range e.ask(m) {
		switch a.typ {
		case protocol.MsgAck:
			ack, err := protocol.ParseAck(a.value)
			if err != nil {
				e.r.t.Fatal(err)
			}
			e.ack = ack
			return &ack, nil
		case protocol.MsgNak:
			nak, err := protocol.ParseNak(a.value)
			if err != nil {
				e.r.t.Fatal(err)
			}
			return nil, &nak
		}
	}
	return nil, nil
}

// join makes a session and registers.
func (e *fakeEdge) join() *fakeEdge {
	e.r.t.Helper()
	e.connect()
	if ack, nak := e.register(e.request()); ack == nil {
		e.r.t.Fatalf("not registered: %+v, drops %v", nak, e.r.s.refused.drops.nonzero())
	}
	return e
}

// stay keeps an edge registered for a time, as edges do: with a ping now and then, and a
// new session before the old one is worn.
func (e *fakeEdge) stay(d time.Duration) {
	e.r.t.Helper()
	for end := e.r.now.Add(d); e.r.now.Before(end); {
		e.r.pass(min(end.Sub(e.r.now), 100*time.Second), 10*time.Second)
		if h := e.r.s.sessions.byIdx[e.session.RemoteIndex()]; h == nil || e.r.now.Sub(h.created) > 900*time.Second {
			e.join()
		} else {
			e.ask(&protocol.Ping{Pad: 100})
		}
	}
}

// wrap makes a masked RELAY packet of packet.
func (e *fakeEdge) wrap(handle uint32, flags protocol.Flags, packet []byte) []byte {
	e.r.t.Helper()
	pkt := append(make([]byte, protocol.RelayOverhead, protocol.MaxDatagram+100), packet...)
	counter, err := e.session.ReserveRelay()
	if err != nil {
		e.r.t.Fatal(err)
	}
	protocol.Header{Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone, Flags: flags,
		RX: e.session.RemoteIndex(), CTR: protocol.RelayCTR(handle, counter)}.Put(pkt)
	e.session.SealRelay(e.sc, pkt)
	return e.hide(pkt)
}

// unwrap returns the relayed packets for e and the handles that they are from.
func (e *fakeEdge) unwrap(packets []sent) (from []uint32, inner [][]byte) {
	e.r.t.Helper()
	for _, p := range packets {
		if p.to != e.addr {
			continue
		}
		pkt := bytes.Clone(p.pkt)
		h := e.show(pkt)
		if h.Type != protocol.TypeRelay || h.RX != e.index {
			continue
		}
		packet, err := e.session.OpenRelay(e.sc, pkt)
		if err != nil {
			e.r.t.Fatal(err)
		}
		e.mask.Veil(e.sc, pkt)
		handle, _ := protocol.SplitRelayCTR(h.CTR)
		from, inner = append(from, handle), append(inner, bytes.Clone(packet))
	}
	return from, inner
}
