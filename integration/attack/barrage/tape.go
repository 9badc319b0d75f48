package barrage

import "time"

// Tape is the bytes of an input, which a stage reads its moves from. Behind its end are
// zeros.
type Tape struct {
	b      []byte
	others time.Duration // processor time that is not the program's, of the move at hand
}

// NewTape returns a tape of bytes, which it does not change.
func NewTape(b []byte) *Tape { return &Tape{b: b} }

// Len returns how many bytes are left.
func (t *Tape) Len() int { return len(t.b) }

// Byte returns the next byte.
func (t *Tape) Byte() byte {
	if len(t.b) == 0 {
		return 0
	}
	c := t.b[0]
	t.b = t.b[1:]
	return c
}

// Pick returns a number below n, which is 1 to 256.
func (t *Tape) Pick(n int) int { return int(t.Byte()) % n }

// ends are numbers at which something may break.
var ends = [...]uint64{0, 1, 2, 3, 255, 1 << 15, 1<<16 - 1, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 53, 1 << 63, 1<<64 - 1}

// Number returns a number at which something may break, or one of 16 bits.
func (t *Tape) Number() uint64 {
	if n := int(t.Byte()); n < len(ends)*8 {
		return ends[n%len(ends)]
	}
	return uint64(t.Byte())<<8 | uint64(t.Byte())
}

// Bytes returns up to n bytes as they are; fewer when the tape ends.
func (t *Tape) Bytes(n int) []byte {
	n = min(n, len(t.b))
	b := t.b[:n:n]
	t.b = t.b[n:]
	return b
}

// Others calls f, whose processor time is not the program's: the ends around it make a
// handshake. The move may take so much more.
func (t *Tape) Others(f func()) {
	begun := processor()
	f()
	t.others += processor() - begun
}
