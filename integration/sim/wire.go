package sim

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"hedgerow/crypto"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// Wire watches the public internet: no number comes twice under one key unless
// in the same packet, and the supernodes send no stranger more than he sent.
type Wire struct {
	faults *Faults
	edges  *crypto.Mask
	hops   map[netip.AddrPort]*crypto.Mask // by supernode address

	mu        sync.Mutex
	sc        *crypto.Scratch
	cover     *crypto.Mask // of STUN to supernodes with an obfuscation key; nil: there is none
	seed      maphash.Seed
	buf, in   []byte
	now, old  map[nonce]uint64 // hashes of packets, of this period and the last
	turned    time.Time
	streams   map[stream]progress
	strangers map[stranger]*account
	seen      uint64
}

// wirePeriod is how long packets are remembered, at least.
const wirePeriod = 2 * time.Minute

// stream names a key on the wire: by the session index of its receiver, or by
// the salt of its sender.
type stream struct {
	kind  uint8 // packet type, and the direction for hops
	index uint32
	salt  [18]byte
}

// nonce is a counter under a key.
type nonce struct {
	stream
	ctr uint64
}

// progress is how far a stream's counter has come.
type progress struct {
	highest uint64
	at      time.Time
}

// stranger is somebody who talks with a supernode, account what went to and fro. The port
// is 0 for all STUN messages of an address.
type stranger struct{ supernode, addr netip.AddrPort }

type account struct {
	in, out int
	known   bool
}

// NewWire returns a watcher for a community and its supernodes.
func NewWire(f *Faults, c *crypto.Community, supernodes ...*Supernode) *Wire {
	w := &Wire{
		faults: f, edges: crypto.NewMask(c.MaskKey()), hops: make(map[netip.AddrPort]*crypto.Mask),
		sc: crypto.NewScratch(), seed: maphash.MakeSeed(), buf: make([]byte, 2048), in: make([]byte, 2048),
		now: make(map[nonce]uint64), old: make(map[nonce]uint64), turned: time.Now(),
		streams: make(map[stream]progress), strangers: make(map[stranger]*account),
	}
	for _, s := range supernodes {
		mask := crypto.NewMask(crypto.SupernodeMaskKey(s.identity.Static, s.beside.ObfsKey))
		if s.beside.ObfsKey != nil {
			w.cover = crypto.HelloMask(s.beside.ObfsKey)
		}
		for _, a := range s.host.Addresses() {
			w.hops[netip.AddrPortFrom(a, s.Addr.Port())] = mask
		}
	}
	return w
}

// isSTUN reports whether a datagram is STUN, covered or not.
func (w *Wire) isSTUN(b []byte) bool {
	if w.cover == nil {
		return stun.IsMessage(b)
	}
	return stun.Leading(w.cover.Uncover(w.sc, append([]byte(nil), b...), stun.Begins)) != nil
}

// Tap sees one datagram.
func (w *Wire) Tap(from, to netip.AddrPort, b []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen++
	w.turn()
	mask, toHop := w.hops[to]
	fromHop := false
	if !toHop {
		mask, fromHop = w.hops[from]
	}
	if !toHop && !fromHop {
		w.packet(b)
		return
	}
	p := w.buf[:copy(w.buf, b)]
	typ := protocol.Type(0)
	if len(p) >= 32 && mask.Show(w.sc, p) {
		if h, err := protocol.ParseHeader(p); err == nil && h.XF == protocol.XFHop {
			typ = h.Type
		}
	}
	super, far, in, out := from, to, 0, len(b)
	if toHop {
		super, far, in, out = to, from, len(b), 0
	}
	if w.isSTUN(b) { // an answer goes to another port of the same address on request
		far = netip.AddrPortFrom(far.Addr(), 0)
	}
	w.account(super, far, in, out, typ)
	switch typ {
	case protocol.TypeData, protocol.TypeRelay:
		h, _ := protocol.ParseHeader(p)
		kind := uint8(typ) << 1
		if toHop {
			kind |= 1
		}
		ctr := h.CTR
		if typ == protocol.TypeRelay {
			_, c := protocol.SplitRelayCTR(h.CTR)
			ctr = uint64(c)
			if fromHop {
				mask.Veil(w.sc, p)
			}
			w.packet(p[protocol.RelayOverhead:])
		}
		w.count(nonce{stream{kind: kind, index: h.RX}, ctr}, maphash.Bytes(w.seed, p))
	}
}

// packet takes a packet between edges, masked; what is none is left alone.
func (w *Wire) packet(b []byte) {
	p := w.in[:copy(w.in, b)]
	if len(p) < 32 || !w.edges.Show(w.sc, p) {
		return
	}
	h, err := protocol.ParseHeader(p)
	if err != nil {
		return
	}
	switch {
	case h.Type == protocol.TypeData && (h.XF == protocol.XFDataChaCha || h.XF == protocol.XFDataGCM):
		w.count(nonce{stream{kind: 0x80, index: h.RX}, h.CTR}, maphash.Bytes(w.seed, p))
	case h.Type == protocol.TypeGroup && len(p) >= 48:
		s := stream{kind: 0x81}
		copy(s.salt[:], p[16:32])
		s.salt[16], s.salt[17] = h.KI, uint8(h.XF)
		w.count(nonce{s, h.CTR}, maphash.Bytes(w.seed, p[:len(p)-protocol.GroupTailLen])) // each copy has a tail of its own
	}
}

// count notes a number with its packet.
func (w *Wire) count(n nonce, hash uint64) {
	was, ok := w.now[n]
	if !ok {
		was, ok = w.old[n]
	}
	if ok {
		if was != hash {
			w.faults.Add("counter %d came twice under %+v", n.ctr, n.stream)
		}
		return
	}
	w.now[n] = hash
	p := w.streams[n.stream]
	if n.ctr+4096 < p.highest {
		w.faults.Add("counter %d after %d under %+v", n.ctr, p.highest, n.stream)
	}
	w.streams[n.stream] = progress{max(p.highest, n.ctr), w.turned}
}

// account notes bytes between a supernode and an address. Who sent a packet of a
// session is no stranger any more.
func (w *Wire) account(supernode, addr netip.AddrPort, in, out int, typ protocol.Type) {
	k := stranger{supernode, addr}
	a := w.strangers[k]
	if a == nil {
		a = new(account)
		w.strangers[k] = a
	}
	a.in, a.out = a.in+in, a.out+out
	if in > 0 && (typ == protocol.TypeData || typ == protocol.TypeRelay) {
		a.known = true
	}
	if !a.known && a.out > a.in {
		w.faults.Add("%v sent the stranger %v %d bytes for %d", supernode, addr, a.out, a.in)
	}
}

// turn forgets what is old.
func (w *Wire) turn() {
	now := time.Now()
	if now.Sub(w.turned) < wirePeriod {
		return
	}
	w.turned = now
	w.old, w.now = w.now, w.old
	clear(w.now)
	for s, p := range w.streams {
		if now.Sub(p.at) > 20*time.Minute {
			delete(w.streams, s)
		}
	}
}

// Stranger returns how many bytes came from an address to a supernode, and went
// there.
func (w *Wire) Stranger(supernode, addr netip.AddrPort) (in, out int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if a := w.strangers[stranger{supernode, addr}]; a != nil {
		return a.in, a.out
	}
	return 0, 0
}
