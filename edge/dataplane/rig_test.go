package dataplane

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/tap/offload"
	"hedgerow/transport"
)

// noon is when the tests happen.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// memoryDevice is a TAP device without a kernel.
type memoryDevice struct {
	waiting []superFrame // what ReadBatch returns
	readErr error        // what it returns then
	got     [][]byte     // frames that were written
	headers []offload.Header
	takes   tap.Features
	discard bool  // keep nothing: a copy would be an allocation
	err     error // what WriteBatch returns
	have    []netip.Prefix
}

func (d *memoryDevice) ReadBatch(frames []tap.Frame) (int, error) {
	if len(d.waiting) == 0 {
		return 0, d.readErr
	}
	f := &frames[0]
	f.Len, f.Offload = copy(f.Buf[f.Off:], d.waiting[0].frame), d.waiting[0].header
	d.waiting = d.waiting[1:]
	return 1, nil
}

func (d *memoryDevice) WriteBatch(frames []tap.Frame) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	for i := range frames {
		if d.discard {
			continue
		}
		d.headers = append(d.headers, frames[i].Offload)
		frame := bytes.Clone(frames[i].Bytes())
		if d.takes == 0 && offload.Complete(frame, frames[i].Offload) != nil {
			panic("a frame that cannot be completed")
		}
		d.got = append(d.got, frame)
	}
	return len(frames), nil
}

func (d *memoryDevice) SetAddress(p netip.Prefix) error {
	d.have = append(d.have, p)
	return nil
}

func (d *memoryDevice) Close() error { return nil }

func (d *memoryDevice) Features() tap.Features { return d.takes }

// superFrame is a frame with what its kernel left undone.
type superFrame struct {
	frame  []byte
	header offload.Header
}

// take returns what was written since the last call.
func (d *memoryDevice) take() [][]byte {
	got := d.got
	d.got, d.headers = nil, nil
	return got
}

// sentDatagram is one datagram that was written to a memoryConn.
type sentDatagram struct {
	to  netip.AddrPort
	pkt []byte
	tos uint8
}

// memoryConn is a socket without a network.
type memoryConn struct {
	addr    netip.AddrPort
	batches [][]transport.Datagram
	sent    []sentDatagram
	readErr error // what ReadBatch returns then
	written int   // datagrams
	trains  []int // how many were in each entry
	discard bool
	err     error
}

func (c *memoryConn) ReadBatch(ds []transport.Datagram) (int, error) {
	if len(c.batches) == 0 {
		return 0, c.readErr
	}
	batch := c.batches[0]
	c.batches = c.batches[1:]
	for i, d := range batch {
		ds[i].N, ds[i].Addr, ds[i].Seg, ds[i].TOS = copy(ds[i].Buf, d.Payload()), d.Addr, d.Seg, d.TOS
	}
	return len(batch), nil
}

func (c *memoryConn) WriteBatch(ds []transport.Datagram) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	for i := range ds {
		seg := ds[i].Seg
		if seg == 0 {
			seg = ds[i].N
		}
		n := (ds[i].N + seg - 1) / seg
		c.written += n
		if c.discard {
			continue
		}
		c.trains = append(c.trains, n)
		for pkt := range slices.Chunk(ds[i].Payload(), seg) {
			c.sent = append(c.sent, sentDatagram{ds[i].Addr, bytes.Clone(pkt), ds[i].TOS})
		}
	}
	return len(ds), nil
}

func (c *memoryConn) LocalAddr() netip.AddrPort { return c.addr }
func (c *memoryConn) Close() error              { return nil }

func (c *memoryConn) take() []sentDatagram {
	sent := c.sent
	c.sent, c.trains = nil, nil
	return sent
}

// member is one edge's data plane, with nothing of the control loop.
type member struct {
	*Plane
	tb      testing.TB
	draft   *Draft
	device  *memoryDevice
	conn    *memoryConn
	out     *outbound
	in      *inbound
	static  [32]byte
	addr    netip.AddrPort
	group   *crypto.GroupSender
	view    map[*member]*Peer           // of the others
	entry   map[*member]*Session        // of the sessions with them
	scratch *crypto.Scratch             // for what a test seals by hand
	links   map[*hub]*Supernode         // supernodes
	legs    map[*hub]*crypto.HopSession // our ends of the hop sessions
}

// calmSea is a limit of storm control that no test and no benchmark meets.
const calmSea = 1 << 28

// rig is some data planes of one community and the supernodes between them. All are
// bridges.
type rig struct {
	tb        testing.TB
	community *crypto.Community
	pairXF    protocol.Transform
	groupXF   protocol.Transform
	members   []*member
	hubs      []*hub
	now       time.Time
	index     uint32 // the last session index that was given
	inherits  bool   // members that are added give packets the DSCP of frames
}

func testCommunity() *crypto.Community {
	return &crypto.Community{Name: "tests", Secret: [32]byte{1}, Epochs: []crypto.Epoch{{Index: 7, Key: [32]byte{2}}}}
}

func newRig(tb testing.TB, members int) *rig {
	return newRigOf(tb, testCommunity(), protocol.XFDataGCM, protocol.XFGroupGCM, members)
}

func newRigOf(tb testing.TB, c *crypto.Community, pair, group protocol.Transform, members int) *rig {
	r := &rig{tb: tb, community: c, pairXF: pair, groupXF: group, now: noon, index: 0x1000}
	for i := range members {
		r.add(byte(i + 1))
	}
	return r
}

// add makes a member that knows nobody.
func (r *rig) add(n byte) *member {
	addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, n}), 4000)
	m := &member{
		tb: r.tb, device: &memoryDevice{}, conn: &memoryConn{addr: addr}, static: [32]byte{n, 0xee}, addr: addr,
		view: make(map[*member]*Peer), entry: make(map[*member]*Session), scratch: crypto.NewScratch(),
		links: make(map[*hub]*Supernode), legs: make(map[*hub]*crypto.HopSession),
	}
	m.Plane = New(Config{Self: protocol.MAC{2, 0, 0, 0, 0, n}, Community: r.community, Started: r.now.Add(-time.Hour), Bridge: true, Storm: calmSea, InheritTOS: r.inherits})
	epoch := r.community.Epochs[0]
	group, err := crypto.NewGroupSender(crypto.GroupConfig{Community: r.community, Epoch: epoch, XF: uint8(r.groupXF), Static: m.static, Now: r.now, Random: rand.NewChaCha8([32]byte{n})})
	if err != nil {
		r.tb.Fatal(err)
	}
	m.group = group
	m.draft = NewDraft()
	m.change(func(d *Draft) {
		d.SetGroup(group)
		d.SetEpochs([]crypto.Epoch{epoch})
	})
	m.out, m.in = newOutbound(m.Plane, m.device, m.conn), newInbound(m.Plane, m.device, m.conn, m.device.takes)
	m.clock(r.now)
	r.members = append(r.members, m)
	return m
}

// change publishes a table that is changed, as the control loop does.
func (m *member) change(f func(d *Draft)) {
	f(m.draft)
	m.Publish(m.draft)
	if m.in != nil {
		m.in.table = m.table.Load() // as the next batch will
	}
}

// clock does what readUDP does for each batch.
func (m *member) clock(now time.Time) {
	m.in.begin(now)
}

func (r *rig) advance(d time.Duration) {
	r.now = r.now.Add(d)
	for _, m := range r.members {
		m.clock(r.now)
	}
}

// know gives a its view of b, without a session.
func (r *rig) know(a, b *member) *Peer {
	if v := a.view[b]; v != nil {
		return v
	}
	v := NewPeer(b.static, b.self)
	v.SetStanding(Standing{Rights: bridge.SpeakForHosts})
	a.change(func(d *Draft) {
		d.BindMAC(v)
		d.SetStatic(v)
	})
	a.view[b] = v
	return v
}

// join gives two members a session and each other's salts, and no path yet.
func (r *rig) join(a, b *member) {
	up, down := r.keys(), r.keys()
	r.half(a, b, crypto.SplitKeys{Send: up, Recv: down}, r.index+1, r.index+2)
	r.half(b, a, crypto.SplitKeys{Send: down, Recv: up}, r.index+2, r.index+1)
	r.index += 2
}

// keys returns a key that was not given before.
func (r *rig) keys() (k [32]byte) {
	r.index++
	binary.BigEndian.PutUint32(k[:], r.index)
	return k
}

func (r *rig) half(a, b *member, keys crypto.SplitKeys, local, remote uint32) {
	s, err := crypto.NewSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(r.pairXF), KI: a.group.KI(), Local: local, Remote: remote,
		Static: b.static, Created: r.now, Null: r.community.Insecure,
	})
	if err != nil {
		r.tb.Fatal(err)
	}
	v := r.know(a, b)
	e := NewSession(s, v, 0)
	e.Confirm()
	a.entry[b] = e
	a.change(func(d *Draft) { d.SetSession(e) })
	a.groupRx.Vouch(r.now, b.static, b.group.Vouch())
	old := *v.route.Load()
	old.Session, old.Limit = s, MaxDatagramIPv4
	v.route.Store(&old)
}

// reroute changes a's route to b.
func (a *member) reroute(b *member, change func(*Route)) {
	next := *a.view[b].route.Load()
	change(&next)
	a.view[b].route.Store(&next)
}

// direct gives two members that were joined a direct path.
func (r *rig) direct(a, b *member) {
	a.reroute(b, func(p *Route) { p.Direct = b.addr })
	b.reroute(a, func(p *Route) { p.Direct = a.addr })
}

// pair returns a rig of two members with a direct path.
func pair(tb testing.TB) (r *rig, a, b *member) {
	r = newRig(tb, 2)
	a, b = r.members[0], r.members[1]
	r.join(a, b)
	r.direct(a, b)
	return r, a, b
}

// relayedPair returns a rig of two members with a path through a supernode.
func relayedPair(tb testing.TB) (r *rig, a, b *member) {
	r = newRig(tb, 2)
	a, b = r.members[0], r.members[1]
	r.join(a, b)
	r.hub()
	return r, a, b
}

// send hands a member one frame of its host.
func (m *member) send(now time.Time, frame []byte) {
	buf := make([]byte, bufferLen)
	copy(buf[headroom:], frame)
	m.out.sendFrame(m.table.Load(), m.Since(now), &tap.Frame{Buf: buf, Off: headroom, Len: len(frame)})
	m.out.endBurst()
}

// readAll lets a member read frames from its device, as its queue does.
func (m *member) readAll(t testing.TB, frames [][]byte) {
	t.Helper()
	for _, f := range frames {
		m.device.waiting = append(m.device.waiting, superFrame{frame: f})
	}
	for got := 0; got < len(frames); {
		n, err := m.out.readTAP()
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		got += n
	}
}

// receiveAll lets a member read what waits at its socket, as its queue does.
func (m *member) receiveAll(t testing.TB) {
	t.Helper()
	for {
		n, err := m.in.readUDP()
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

// receive hands a member one datagram.
func (m *member) receive(pkt []byte, from netip.AddrPort) {
	m.in.last = lastHeard{}
	m.in.handleDatagram(slices.Clip(pkt), from)
	m.in.endBatch()
}

// carry moves datagrams until there are none.
func (r *rig) carry() {
	for moved := true; moved; {
		moved = false
		for _, m := range r.members {
			for _, d := range m.conn.take() {
				moved = true
				r.deliver(m, d)
			}
		}
	}
}

// deliver takes one datagram to where it goes.
func (r *rig) deliver(from *member, d sentDatagram) {
	for _, h := range r.hubs {
		if h.addr == d.to {
			for _, out := range h.relay(from, d.pkt) {
				out.to.receive(out.pkt, h.addr)
			}
			return
		}
	}
	for _, m := range r.members {
		if m.addr == d.to {
			m.receive(d.pkt, from.addr)
		}
	}
}

// delivered fails unless a member's device got just these frames since the last
// call.
func (m *member) delivered(t testing.TB, want [][]byte) {
	t.Helper()
	got := m.device.take()
	if len(got) != len(want) {
		t.Fatalf("%d frames of %d came", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("frame %d changed or is out of order", i)
		}
	}
}

// capture sends a frame from a and returns the datagrams that it became.
func (r *rig) capture(a *member, frame []byte) [][]byte {
	a.send(r.now, frame)
	var pkts [][]byte
	for _, d := range a.conn.take() {
		pkts = append(pkts, d.pkt)
	}
	return pkts
}

// events returns what waits in a member's mailbox.
func (m *member) events() (list []Event) {
	for {
		select {
		case ev := <-m.mailbox.known:
			list = append(list, ev)
		case ev := <-m.mailbox.strangers:
			list = append(list, ev)
		default:
			return list
		}
	}
}

// dropped fails unless a member has dropped just one thing, for that reason,
// since the last call.
func (m *member) dropped(t testing.TB, want DropReason) {
	t.Helper()
	got := m.drops.nonzero()
	if len(got) != 1 || got[want.String()] != 1 {
		t.Errorf("drops %v, want one %v", got, want)
	}
	m.undrop()
}

func (m *member) undrop() {
	for i := range m.drops.reasons {
		m.drops.reasons[i].Store(0)
	}
}

// ethernet returns a frame with a payload of n bytes that can be recognised.
// tags are TCIs.
func ethernet(dst, src protocol.MAC, etherType uint16, n int, tags ...uint16) []byte {
	f := append(append([]byte(nil), dst[:]...), src[:]...)
	for _, tci := range tags {
		f = binary.BigEndian.AppendUint16(f, protocol.EtherTypeVLAN)
		f = binary.BigEndian.AppendUint16(f, tci)
	}
	f = binary.BigEndian.AppendUint16(f, etherType)
	for i := range n {
		f = append(f, byte(i*7+n))
	}
	return f
}

// known returns how many stations behind other edges the member knows.
func (m *member) known() int {
	n, _ := m.Stations().Len()
	return n
}
