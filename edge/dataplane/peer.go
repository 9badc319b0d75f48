package dataplane

import (
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// Peer is another edge as the queues see it. Its keys and its hardware address
// never change: a peer with another address gets another Peer.
type Peer struct {
	static [32]byte
	mac    protocol.MAC
	route  atomic.Pointer[Route]
	count  traffic
	gone   atomic.Bool // the peer has another one, or is forgotten

	link     atomic.Pointer[Link] // nil: the peer has none
	features atomic.Uint32        // what the peer announced in its latest session
	behind   atomic.Pointer[Peer] // who forwards on the peer's segment instead of it; nil: nobody
	guarded  guarded
	listener bridge.Listener

	fragments fragments
}

// fragments are the pieces of a peer's frames that are in the making. Pieces of
// one frame come to several queues when the peer sends by several paths.
type fragments struct {
	mu    sync.Mutex
	holds atomic.Bool // there is memory to free
	protocol.Reassembler
}

// add keeps a piece in memory of the plane's pool, and returns the inner that it
// completes. The mutex is held. A peer that is gone keeps nothing.
func (f *fragments) add(d *Plane, p *Peer, now int64, run, ctr uint64, body []byte, marked bool) (inner []byte, anyMarked, done bool) {
	if p.gone.Load() {
		return nil, false, false
	}
	f.Pool = &d.bounds.pieces
	inner, anyMarked, done = f.Add(time.Unix(0, now), run, ctr, body, marked)
	if f.Held() > 0 && !f.holds.Load() {
		f.holds.Store(true)
	}
	return inner, anyMarked, done
}

// expire frees the memory if no inner is in the making.
func (f *fragments) expire(now int64) {
	if !f.holds.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Expire(time.Unix(0, now))
	f.holds.Store(f.Held() > 0)
}

// release frees the memory.
func (f *fragments) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Release()
	f.holds.Store(false)
}

// traffic counts a peer's frames and remembers when it was last heard. Times
// are nanoseconds since the edge started.
type traffic struct {
	rxBytes, txBytes atomic.Uint64
	heard            atomic.Int64  // the last authenticated packet
	used             atomic.Int64  // the last unicast frame in either direction
	asked            atomic.Int64  // when the control loop was last told of a need
	roamed           atomic.Int64  // when the control loop was last told of a new address
	grouped          atomic.Uint64 // see Grouped
	told             bucket.Shared // the peer's control packets that the control loop hears of
}

// NewPeer returns a peer with an X25519 static key and a hardware address, to
// which there is no route. The address is zero while the peer's statement is not
// known.
func NewPeer(static [32]byte, mac protocol.MAC) *Peer {
	p := &Peer{static: static, mac: mac}
	p.route.Store(&Route{})
	p.guarded.storm = bridge.NewEdgeStorm(static)
	p.guarded.standing.Store(&Standing{})
	return p
}

// Static returns the peer's X25519 static key.
func (p *Peer) Static() [32]byte { return p.static }

// MAC returns the peer's hardware address.
func (p *Peer) MAC() protocol.MAC { return p.mac }

// Route returns how frames travel to the peer now.
func (p *Peer) Route() Route { return *p.route.Load() }

// SetRoute changes how frames travel to the peer, from the next one on.
func (p *Peer) SetRoute(r Route) { p.route.Store(&r) }

// Bridge reports whether the peer said in a session that it is a bridge, which sends
// frames of the hosts behind it.
func (p *Peer) Bridge() bool { return p.features.Load()&protocol.FeatureBridge != 0 }

// Features returns the protocol.Feature bits that the peer announced in its latest
// session; 0: it had none.
func (p *Peer) Features() uint32 { return p.features.Load() }

// SetFeatures notes what the peer announced in a session.
func (p *Peer) SetFeatures(bits uint32) { p.features.Store(bits) }

// SetBehind notes that another peer forwards on the segment of this one, so that frames
// of its own device come from there, too; nil: none does.
func (p *Peer) SetBehind(forwarder *Peer) { p.behind.Store(forwarder) }

// Retired reports whether Plane.Retire was called for the peer.
func (p *Peer) Retired() bool { return p.gone.Load() }

// Listener returns what is known of the peer as a receiver of multicast.
func (p *Peer) Listener() *bridge.Listener { return &p.listener }

// Bytes returns the bytes of the frames that came from the peer and went to it.
func (p *Peer) Bytes() (rx, tx uint64) { return p.count.rxBytes.Load(), p.count.txBytes.Load() }

// Heard returns when the last packet of the peer authenticated, in nanoseconds of
// Plane.Since; 0: never.
func (p *Peer) Heard() int64 { return p.count.heard.Load() }

// SetHeard notes that a packet of the peer has authenticated.
func (p *Peer) SetHeard(ns int64) { p.count.heard.Store(ns) }

// Used returns when the last frame went to the peer or came from it that is a use, in
// nanoseconds of Plane.Since; 0: never.
func (p *Peer) Used() int64 { return p.count.used.Load() }

// SetUsed notes that the path to the peer is in use.
func (p *Peer) SetUsed(ns int64) { p.count.used.Store(ns) }

// The control packets of one peer that the control loop hears of: 200 a second, with a
// burst of 400, which is less than half of what waits for the loop. The most that an
// honest one sends are the 256 packets of a technique for hard NATs.
var controlRate = bucket.NewRate(200, 400)

// mayTell counts a control packet of the peer, and reports whether the control loop
// hears of it: one peer must not crowd out what others say.
func (p *Peer) mayTell(now int64) bool { return p.count.told.Take(now, 1, controlRate) }

// needEvery is how often the control loop hears that a peer is in use.
const needEvery = int64(2e9)

// touch notes that a unicast frame goes to or came from the peer, and tells
// the control loop now and then.
func (p *Peer) touch(now int64, m *mailbox) {
	p.count.used.Store(now)
	if asked := p.count.asked.Load(); asked != 0 && now-asked < needEvery {
		return
	}
	p.count.asked.Store(now)
	p.count.grouped.Store(0)
	m.post(Needed{p})
}

// Grouped returns one more than the counter of the first GROUP packet that went to the
// peer alone, since it has no session, after the control loop was last told of a need; 0:
// none did. That packet may still be on its way when the session stands.
func (p *Peer) Grouped() uint64 { return p.count.grouped.Load() }
