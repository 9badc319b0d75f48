package supernode

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"
)

// errState says that a state which was handed over is damaged.
var errState = errors.New("supernode: the state that was handed over is damaged")

// stateWriter writes a state that is handed over. Integers are big-endian. Times are
// written as what they are before or after now, in ns: the two processes share no
// monotonic clock, and the wall clock may be set.
type stateWriter struct {
	b   []byte
	now time.Time
	has func(*hop) bool // a session is still there
}

// zeroTime stands for the zero time.
const zeroTime = -1 << 63

func (w *stateWriter) u8(v uint8)     { w.b = append(w.b, v) }
func (w *stateWriter) u32(v uint32)   { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *stateWriter) u64(v uint64)   { w.b = binary.BigEndian.AppendUint64(w.b, v) }
func (w *stateWriter) fixed(v []byte) { w.b = append(w.b, v...) }

func (w *stateWriter) flag(v bool) {
	if v {
		w.u8(1)
	} else {
		w.u8(0)
	}
}

// bytes writes a length and bytes.
func (w *stateWriter) bytes(v []byte) {
	w.u32(uint32(len(v)))
	w.fixed(v)
}

func (w *stateWriter) time(t time.Time) {
	if t.IsZero() {
		w.u64(1 << 63)
	} else {
		w.u64(uint64(t.Sub(w.now)))
	}
}

// addr writes an address without its zone: 4 or 16 bytes, none for the zero address.
func (w *stateWriter) addr(a netip.Addr) {
	b := a.WithZone("").AsSlice()
	w.u8(uint8(len(b)))
	w.fixed(b)
}

func (w *stateWriter) addrPort(a netip.AddrPort) {
	w.addr(a.Addr())
	w.b = binary.BigEndian.AppendUint16(w.b, a.Port())
}

// prefix writes an address and its bits; the zero prefix has no address.
func (w *stateWriter) prefix(p netip.Prefix) {
	w.addr(p.Addr())
	w.u8(uint8(max(p.Bits(), 0)))
}

// stateReader reads what stateWriter wrote. After the first fault everything is zero and
// err is set.
type stateReader struct {
	b   []byte
	now time.Time
	err error
}

// fail notes that the state makes no sense.
func (r *stateReader) fail() { r.b, r.err = nil, errState }

// fixed returns the next n bytes, which are the state's.
func (r *stateReader) fixed(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// array returns the next bytes as an array of that many.
func array[A [6]byte | [8]byte | [16]byte | [32]byte](r *stateReader) (a A) {
	switch a := any(&a).(type) {
	case *[6]byte:
		copy(a[:], r.fixed(len(a)))
	case *[8]byte:
		copy(a[:], r.fixed(len(a)))
	case *[16]byte:
		copy(a[:], r.fixed(len(a)))
	case *[32]byte:
		copy(a[:], r.fixed(len(a)))
	}
	return a
}

func (r *stateReader) u8() uint8 {
	if b := r.fixed(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *stateReader) u32() uint32 {
	if b := r.fixed(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *stateReader) u64() uint64 {
	if b := r.fixed(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *stateReader) flag() bool { return r.u8() != 0 }

// count reads how many things of at least size bytes follow. There are never more than
// there is room for, so that a damaged number makes nobody ask for memory.
func (r *stateReader) count(size int) int {
	n := int(r.u32())
	if n > len(r.b)/size {
		r.fail()
		return 0
	}
	return n
}

func (r *stateReader) bytes() []byte { return r.fixed(int(r.u32())) }

func (r *stateReader) time() time.Time {
	if since := int64(r.u64()); since != zeroTime && r.err == nil {
		return r.now.Add(time.Duration(since))
	}
	return time.Time{}
}

// past reads a time that is not later than now, so that what ends some time after it does.
func (r *stateReader) past() time.Time {
	t := r.time()
	if t.After(r.now) {
		r.fail()
	}
	return t
}

func (r *stateReader) addr() netip.Addr {
	n := int(r.u8())
	a, ok := netip.AddrFromSlice(r.fixed(n))
	if !ok && n != 0 {
		r.fail()
	}
	return a
}

func (r *stateReader) addrPort() netip.AddrPort {
	a := r.addr()
	if b := r.fixed(2); b != nil && a.IsValid() {
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b))
	}
	return netip.AddrPort{}
}

func (r *stateReader) prefix() netip.Prefix {
	a, bits := r.addr(), int(r.u8())
	if !a.IsValid() {
		return netip.Prefix{}
	}
	p := netip.PrefixFrom(a, bits)
	if !p.IsValid() {
		r.fail()
	}
	return p
}
