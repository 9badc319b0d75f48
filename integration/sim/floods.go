package sim

import (
	"net/netip"
	"sync"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Floods counts the bytes of GROUP packets on the public internet, which carry what is
// flooded.
type Floods struct {
	edges *crypto.Mask
	hop   *crypto.Mask
	at    netip.AddrPort // of the supernode

	mu      sync.Mutex
	sc      *crypto.Scratch
	buf     []byte
	direct  uint64 // from edge to edge
	relayed uint64 // from the supernode to edges
}

// NewFloods returns a counter for a community and its supernode.
func NewFloods(c *crypto.Community, s *Supernode) *Floods {
	return &Floods{
		edges: crypto.NewMask(c.MaskKey()), hop: crypto.NewMask(crypto.SupernodeMaskKey(s.identity.Static, nil)), at: s.Addr,
		sc: crypto.NewScratch(), buf: make([]byte, 2048),
	}
}

// Tap sees one datagram.
func (f *Floods) Tap(from, to netip.AddrPort, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.buf[:copy(f.buf, b)]
	switch {
	case len(p) < 32 || to == f.at:
	case from != f.at:
		if f.group(p) {
			f.direct += uint64(len(b))
		}
	case f.hop.Show(f.sc, p):
		h, err := protocol.ParseHeader(p)
		if err != nil || h.XF != protocol.XFHop || h.Type != protocol.TypeRelay {
			return
		}
		f.hop.Veil(f.sc, p)
		if f.group(p[protocol.RelayOverhead:]) {
			f.relayed += uint64(len(b))
		}
	}
}

// group reports whether a masked packet between edges is a GROUP packet.
func (f *Floods) group(p []byte) bool {
	if len(p) < 32 || !f.edges.Show(f.sc, p) {
		return false
	}
	h, err := protocol.ParseHeader(p)
	return err == nil && h.Type == protocol.TypeGroup
}

// Bytes returns what edges have sent to each other, and what the supernode has sent them.
func (f *Floods) Bytes() (direct, relayed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.direct, f.relayed
}
