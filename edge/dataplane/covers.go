package dataplane

import (
	"math/rand/v2"
	"net/netip"
	"sync"

	"hedgerow/crypto"
	"hedgerow/nat/stun"
)

// Covers hide the STUN messages between us and supernodes that have an obfuscation key. It is
// safe for concurrent use; nil hides nothing.
type Covers struct {
	mu    sync.RWMutex
	masks map[netip.AddrPort]*crypto.Mask // by the supernode's address; nil: there is no such supernode
}

// coversMost bounds the addresses, of which eight supernodes have 16 each at most.
const coversMost = 256

// Set has messages to and from an address hidden under the mask of HELLO.
func (c *Covers) Set(server netip.AddrPort, mask *crypto.Mask) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.masks == nil || len(c.masks) >= coversMost {
		c.masks = make(map[netip.AddrPort]*crypto.Mask)
	}
	c.masks[server] = mask
}

// of returns the mask for an address, or nil.
func (c *Covers) of(server netip.AddrPort) *crypto.Mask {
	if c == nil {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.masks[server]
}

// Hide returns what is sent to an address for a datagram: the same one, unless it is STUN for
// a supernode with an obfuscation key. Then it has a random length.
func (c *Covers) Hide(to netip.AddrPort, pkt []byte) []byte {
	if hidden := c.HideIn(to, pkt, crypto.CoverLen+len(pkt)+rand.IntN(crypto.CoverSpread+1)); hidden != nil {
		return hidden
	}
	return pkt
}

// HideIn returns the datagram of size bytes that hides a STUN message, which has
// crypto.CoverLen less at least, or nil where Hide would return the same one.
func (c *Covers) HideIn(to netip.AddrPort, pkt []byte, size int) []byte {
	mask := c.of(to)
	if mask == nil || !stun.IsMessage(pkt) {
		return nil
	}
	return mask.Cover(crypto.NewScratch(), append([]byte(nil), pkt...), size)
}

// Show returns the STUN message that a datagram from an address hides, in its place, or nil:
// then it is as it was. What it says of another port of the server is hidden as well.
func (c *Covers) Show(from netip.AddrPort, pkt []byte) []byte {
	mask := c.of(from)
	if mask == nil {
		return nil
	}
	message := stun.Leading(mask.Uncover(crypto.NewScratch(), pkt, stun.Begins))
	if message == nil {
		return nil
	}
	if r, err := stun.ParseResponse(message); err == nil && r.Other.Port() != 0 {
		if other := netip.AddrPortFrom(from.Addr(), r.Other.Port()); c.of(other) == nil {
			c.Set(other, mask)
		}
	}
	return message
}
