package dataplane

import "sync/atomic"

// tally counts the frames of one burst for one goroutine. Counters that others
// read are changed when the burst ends or the peer changes: a locked addition
// for each of them and for every frame would cost as much as sealing a small one.
type tally struct {
	peer      *Peer // whose bytes peerBytes are; nil: nobody's yet
	peerBytes uint64
	frames    uint64
	bytes     uint64
}

// add counts frames of a peer with their bytes; nil stands for none.
func (t *tally) add(p *Peer, bytes, frames int) {
	t.frames += uint64(frames)
	t.bytes += uint64(bytes)
	if p != nil {
		t.peer = p
		t.peerBytes += uint64(bytes)
	}
}

// addTo adds what was counted to the totals and to the peer's own counter.
func (t *tally) addTo(frames, bytes *atomic.Uint64, counter func(*Peer) *atomic.Uint64) {
	if t.peer != nil {
		counter(t.peer).Add(t.peerBytes)
	}
	if t.frames > 0 {
		frames.Add(t.frames)
		bytes.Add(t.bytes)
	}
	*t = tally{}
}

func txOf(p *Peer) *atomic.Uint64 { return &p.count.txBytes }
func rxOf(p *Peer) *atomic.Uint64 { return &p.count.rxBytes }

// cuts counts the frames of one burst that did not fit whole, and their pieces.
type cuts struct{ frames, pieces uint64 }

func (c *cuts) add(pieces int) {
	c.frames++
	c.pieces += uint64(pieces)
}

// addTo adds what was counted to the totals.
func (c *cuts) addTo(t *totals) {
	if c.frames > 0 {
		t.cut.Add(c.frames)
		t.pieces.Add(c.pieces)
		*c = cuts{}
	}
}
