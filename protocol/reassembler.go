package protocol

import (
	"iter"
	"slices"
	"sync/atomic"
	"time"
)

// Bounds of one Reassembler.
const (
	// ReassemblySlots is how many inners may be in the making at once.
	ReassemblySlots = 64
	// ReassemblyBytes is how many bytes one peer's buffers may hold together.
	ReassemblyBytes = 1 << 18
	// ReassemblyOwn is how many of them each peer has for itself, enough for a
	// frame of the largest MTU in the making. The rest comes from a pool.
	ReassemblyOwn = 1 << 14
	// ReassemblyShared is how many bytes the pool of one edge has.
	ReassemblyShared = 1 << 23
	// ReassemblyTimeout is how long an inner waits for its pieces, counted
	// from the first that came.
	ReassemblyTimeout = 2 * time.Second
)

// ReassemblyPool is the memory that the Reassemblers of all peers share beyond what
// each has for itself: however many peers send pieces, and of however many
// inners, they hold ReassemblyOwn each and ReassemblyShared together. Its zero value
// is full. It is safe for concurrent use.
type ReassemblyPool struct{ taken atomic.Int64 }

// take takes n bytes and reports whether they were there.
func (p *ReassemblyPool) take(n int) bool {
	if p == nil {
		return true
	}
	if p.taken.Add(int64(n)) > ReassemblyShared {
		p.taken.Add(int64(-n))
		return false
	}
	return true
}

// give gives n bytes back.
func (p *ReassemblyPool) give(n int) {
	if p != nil {
		p.taken.Add(int64(-n))
	}
}

// Taken returns how many bytes of ReassemblyShared are in use.
func (p *ReassemblyPool) Taken() int { return int(p.taken.Load()) }

// Reassembler joins the pieces of one peer's fragmented inners. It drops an
// inner that is not complete after ReassemblyTimeout, and the oldest one when a
// bound is reached. The zero value is ready for use and holds no memory. It is
// not safe for concurrent use.
type Reassembler struct {
	// Pool is what memory beyond ReassemblyOwn is taken from. Nil: there is always
	// some. It does not change while memory is held.
	Pool *ReassemblyPool

	// active are the incomplete inners, oldest first. free is the storage of
	// those that ended; the storage that was used last is used again first.
	active, free []*assembly
	held         int // bytes of storage in active and free
	granted      int // bytes of the pool
}

// Add adds the body of an inner of kind KindFragment that was opened under the
// counter ctr. source is the caller's name for the session or salt; with ctr
// less the piece's index it identifies the inner that the piece is part of. When
// the piece completes it, Add returns the inner, of any kind but KindFragment.
// It is valid until the next call, or as long as body if one piece was all. A
// piece that does not fit the others is dropped. marked says that the piece came in a
// packet that was marked for congestion; the inner is when one of its pieces is (RFC 3168,
// section 5.3).
func (r *Reassembler) Add(now time.Time, source uint64, ctr uint64, body []byte, marked bool) (inner []byte, anyMarked, done bool) {
	r.dropOld(now)
	if len(body) < 2 {
		return nil, false, false
	}
	index, last, piece := int(body[0]&^lastPiece), body[0]&lastPiece != 0, body[1:]
	least := len(piece) // of the whole inner
	if !last {
		least *= index + 1
	}
	if ctr < uint64(index) || least > MaxInner {
		return nil, false, false
	}
	if index == 0 && Kind(piece[0]>>kindShift) == KindFragment {
		return nil, false, false // no pieces of pieces
	}
	if index == 0 && last {
		return piece, marked, true
	}
	i := r.find(now, source, ctr-uint64(index))
	a := r.active[i]
	if !a.fits(index, last, len(piece)) {
		return nil, false, false
	}
	before := a.storage()
	a.put(index, last, piece)
	a.marked = a.marked || marked
	r.held += a.storage() - before
	if a.got == a.count {
		r.release(i)
		return a.buf, a.marked, true
	}
	r.trim(a)
	return nil, false, false
}

// Expire drops the inners that are not complete after ReassemblyTimeout, and
// frees all memory once there is none. Call it now and then: Add drops old inners
// itself, but keeps their memory for the next.
func (r *Reassembler) Expire(now time.Time) {
	r.dropOld(now)
	if len(r.active) == 0 {
		r.Release()
	}
}

// Release drops everything and frees all memory.
func (r *Reassembler) Release() {
	r.Pool.give(r.granted)
	*r = Reassembler{Pool: r.Pool}
}

// Held returns how many bytes are held.
func (r *Reassembler) Held() int { return r.held }

func (r *Reassembler) dropOld(now time.Time) {
	for len(r.active) > 0 && now.Sub(r.active[0].born) >= ReassemblyTimeout {
		r.release(0)
	}
}

// find returns the place in active of the inner whose piece 0 has the counter
// first, and adds it if it is not there.
func (r *Reassembler) find(now time.Time, source, first uint64) int {
	for i := len(r.active) - 1; i >= 0; i-- {
		if a := r.active[i]; a.source == source && a.first == first {
			return i
		}
	}
	if len(r.active) == ReassemblySlots {
		r.release(0)
	}
	var a *assembly
	if n := len(r.free); n > 0 {
		a, r.free = r.free[n-1], r.free[:n-1]
	} else {
		a = new(assembly)
		r.held += assemblyBytes
	}
	*a = assembly{source: source, first: first, born: now, buf: a.buf[:0], tail: a.tail[:0]}
	r.active = append(r.active, a)
	return len(r.active) - 1
}

// release ends the making of active[i] and keeps its storage for the next.
func (r *Reassembler) release(i int) {
	a := r.active[i]
	r.active = slices.Delete(r.active, i, i+1)
	r.free = append(r.free, a)
}

// fits reports whether the storage is within the bounds, for which it takes from
// the pool what is missing.
func (r *Reassembler) fits() bool {
	missing := r.held - ReassemblyOwn - r.granted
	switch {
	case missing <= 0:
		return true
	case r.held > ReassemblyBytes || !r.Pool.take(missing):
		return false
	}
	r.granted += missing
	return true
}

// trim keeps the storage within the bounds: it frees the unused storage first,
// then drops the oldest inner, and keep at last.
func (r *Reassembler) trim(keep *assembly) {
	for !r.fits() {
		switch {
		case len(r.free) > 0:
			r.held -= r.free[0].storage()
			r.free = slices.Delete(r.free, 0, 1)
		case r.active[0] != keep || len(r.active) == 1:
			r.release(0)
		default:
			r.release(1)
		}
	}
}

// assembly is one incomplete inner. All pieces but the last have the same size,
// so a piece's place follows from its index as soon as one that is not the last
// has come; the last waits in tail until all others are there.
type assembly struct {
	source, first uint64 // identity: the caller's source, the counter of piece 0
	born          time.Time
	have          [MaxPieces / 64]uint64 // which pieces have come, a bit each
	got           int                    // how many have come
	count         int                    // pieces in all, 0 while the last is missing
	size          int                    // bytes of a piece that is not the last, 0 while unknown
	highest       int                    // highest index so far of a piece that is not the last
	marked        bool                   // a piece came marked for congestion
	buf, tail     []byte
}

// assemblyBytes is what an assembly takes besides its buffers, rounded up.
const assemblyBytes = 192

// storage returns the bytes that the assembly and its buffers use.
func (a *assembly) storage() int { return assemblyBytes + cap(a.buf) + cap(a.tail) }

// fits reports whether a piece of n bytes can be part of the inner, given those
// that have come: the first piece always can. The index of a last piece is not
// 0.
func (a *assembly) fits(index int, last bool, n int) bool {
	if a.have[index/64]&(1<<(index%64)) != 0 {
		return false
	}
	if last {
		return a.count == 0 && index > a.highest &&
			(a.size == 0 || n <= a.size && index*a.size+n <= MaxInner)
	}
	if a.count > 0 && (index >= a.count-1 || n < len(a.tail) || (a.count-1)*n+len(a.tail) > MaxInner) {
		return false
	}
	return a.size == 0 || n == a.size
}

// put stores a piece that fits, and joins the inner in buf if it was the last
// one missing.
func (a *assembly) put(index int, last bool, piece []byte) {
	a.have[index/64] |= 1 << (index % 64)
	a.got++
	if last {
		a.count = index + 1
		a.tail = append(a.tail, piece...)
	} else {
		a.size, a.highest = len(piece), max(a.highest, index)
		if end := (index + 1) * a.size; end > len(a.buf) {
			a.buf = slices.Grow(a.buf, end-len(a.buf))[:end]
		}
		copy(a.buf[index*a.size:], piece)
	}
	if a.got == a.count {
		a.buf = append(a.buf, a.tail...)
	}
}

// Piece is a piece of an inner that is in the making, as Add has it.
type Piece struct {
	CTR    uint64
	Body   []byte // a copy
	Marked bool
}

// Pieces returns all pieces that are held, by their source. Who adds them to another
// Reassembler goes on with the same inners.
func (r *Reassembler) Pieces() iter.Seq2[uint64, Piece] {
	return func(yield func(uint64, Piece) bool) {
		for _, a := range r.active {
			for i := range MaxPieces {
				if a.have[i/64]&(1<<(i%64)) == 0 {
					continue
				}
				head, piece := byte(i), a.tail
				if a.count > 0 && i == a.count-1 {
					head |= lastPiece
				} else {
					piece = a.buf[i*a.size : (i+1)*a.size]
				}
				if !yield(a.source, Piece{CTR: a.first + uint64(i), Body: append([]byte{head}, piece...), Marked: a.marked}) {
					return
				}
			}
		}
	}
}
