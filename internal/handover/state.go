package handover

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// ErrState says that a state which was handed over is damaged.
var ErrState = errors.New("the state that was handed over is damaged")

// Writer writes a state that is handed over. Integers are big-endian. Times are
// written as what they are before or after now, in ns: the two processes share no
// monotonic clock, and the wall clock may be set.
type Writer struct {
	B   []byte
	Now time.Time
}

// zeroTime stands for the zero time.
const zeroTime = -1 << 63

func (w *Writer) U8(v uint8)     { w.B = append(w.B, v) }
func (w *Writer) U32(v uint32)   { w.B = binary.BigEndian.AppendUint32(w.B, v) }
func (w *Writer) U64(v uint64)   { w.B = binary.BigEndian.AppendUint64(w.B, v) }
func (w *Writer) Fixed(v []byte) { w.B = append(w.B, v...) }

func (w *Writer) Flag(v bool) {
	if v {
		w.U8(1)
	} else {
		w.U8(0)
	}
}

// Bytes writes a length and bytes.
func (w *Writer) Bytes(v []byte) {
	w.U32(uint32(len(v)))
	w.Fixed(v)
}

func (w *Writer) Time(t time.Time) {
	if t.IsZero() {
		w.U64(1 << 63)
	} else {
		w.U64(uint64(t.Sub(w.Now)))
	}
}

// Addr writes an address without its zone: 4 or 16 bytes, none for the zero address.
func (w *Writer) Addr(a netip.Addr) {
	b := a.WithZone("").AsSlice()
	w.U8(uint8(len(b)))
	w.Fixed(b)
}

func (w *Writer) AddrPort(a netip.AddrPort) {
	w.Addr(a.Addr())
	w.B = binary.BigEndian.AppendUint16(w.B, a.Port())
}

// Prefix writes an address and its bits; the zero prefix has no address.
func (w *Writer) Prefix(p netip.Prefix) {
	w.Addr(p.Addr())
	w.U8(uint8(max(p.Bits(), 0)))
}

// Reader reads what Writer wrote. After the first fault everything is zero and
// err is set.
type Reader struct {
	B   []byte // what is left
	Now time.Time
	Err error
}

// Fail notes that the state makes no sense.
func (r *Reader) Fail() { r.B, r.Err = nil, ErrState }

// Fixed returns the next n bytes, which are the state's.
func (r *Reader) Fixed(n int) []byte {
	if n < 0 || n > len(r.B) {
		r.Fail()
		return nil
	}
	v := r.B[:n:n]
	r.B = r.B[n:]
	return v
}

// Array returns the next bytes as an array of that many.
func Array[A [6]byte | [8]byte | [16]byte | [32]byte](r *Reader) (a A) {
	switch a := any(&a).(type) {
	case *[6]byte:
		copy(a[:], r.Fixed(len(a)))
	case *[8]byte:
		copy(a[:], r.Fixed(len(a)))
	case *[16]byte:
		copy(a[:], r.Fixed(len(a)))
	case *[32]byte:
		copy(a[:], r.Fixed(len(a)))
	}
	return a
}

func (r *Reader) U8() uint8 {
	if b := r.Fixed(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *Reader) U32() uint32 {
	if b := r.Fixed(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *Reader) U64() uint64 {
	if b := r.Fixed(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *Reader) Flag() bool { return r.U8() != 0 }

// Count reads how many things of at least size bytes follow. There are never more than
// there is room for, so that a damaged number makes nobody ask for memory.
func (r *Reader) Count(size int) int {
	n := int(r.U32())
	if n > len(r.B)/size {
		r.Fail()
		return 0
	}
	return n
}

func (r *Reader) Bytes() []byte { return r.Fixed(int(r.U32())) }

func (r *Reader) Time() time.Time {
	if since := int64(r.U64()); since != zeroTime && r.Err == nil {
		return r.Now.Add(time.Duration(since))
	}
	return time.Time{}
}

// Past reads a time that is not later than now, so that what ends some time after it does.
func (r *Reader) Past() time.Time {
	t := r.Time()
	if t.After(r.Now) {
		r.Fail()
	}
	return t
}

func (r *Reader) Addr() netip.Addr {
	n := int(r.U8())
	a, ok := netip.AddrFromSlice(r.Fixed(n))
	if !ok && n != 0 {
		r.Fail()
	}
	return a
}

func (r *Reader) AddrPort() netip.AddrPort {
	a := r.Addr()
	if b := r.Fixed(2); b != nil && a.IsValid() {
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b))
	}
	return netip.AddrPort{}
}

func (r *Reader) Prefix() netip.Prefix {
	a, bits := r.Addr(), int(r.U8())
	if !a.IsValid() {
		return netip.Prefix{}
	}
	p := netip.PrefixFrom(a, bits)
	if !p.IsValid() {
		r.Fail()
	}
	return p
}
