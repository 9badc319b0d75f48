package dataplane

import (
	"time"

	"hedgerow/internal/handover"
)

// AppendPieces appends the pieces of a peer's frames that are in the making. Nobody else may
// use the peer meanwhile.
func (p *Peer) AppendPieces(w *handover.Writer) {
	p.fragments.mu.Lock()
	defer p.fragments.mu.Unlock()
	for source, piece := range p.fragments.Pieces() {
		w.Flag(true)
		w.U64(source)
		w.U64(piece.CTR)
		w.Flag(piece.Marked)
		w.Bytes(piece.Body)
	}
	w.Flag(false)
}

// RestorePieces reads what AppendPieces has written.
func RestorePieces(d *Plane, now time.Time, p *Peer, r *handover.Reader) {
	p.fragments.mu.Lock()
	defer p.fragments.mu.Unlock()
	for r.Flag() && r.Err == nil {
		source, ctr, marked := r.U64(), r.U64(), r.Flag()
		p.fragments.add(d, p, d.Since(now), source, ctr, r.Bytes(), marked)
	}
}

// RestoreTraffic notes when a peer was heard and used last, in nanoseconds of Plane.Since,
// and how many bytes its frames had.
func (p *Peer) RestoreTraffic(heard, used int64, rx, tx uint64) {
	p.count.heard.Store(heard)
	p.count.used.Store(used)
	p.count.rxBytes.Store(rx)
	p.count.txBytes.Store(tx)
}
