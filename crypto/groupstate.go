package crypto

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// The salts of others that are handed over are
//
//	senders u32, of each: static key 32 | latest salt's age i64 | unused for i64 |
//	salts u8, of each: salt | serial u64 | entry
//	salts of nobody u32, of each: salt | stale u8 | origin | entry
//
// where an entry is
//
//	lowest counter u64 | unused for i64 | window
//
// and an origin is
//
//	address 18, all zero for none | supernode u32 | handle u32
//
// Times are in nanoseconds.
const (
	vouchStateLen  = 32 + 8 + 8 + 1
	entryStateLen  = 8 + 8
	originStateLen = 16 + 2 + 4 + 4
)

// AppendState appends which salts are known and which of their packets have come, but for
// the keys of the epochs. now is the wall clock.
func (g *GroupReceiver) AppendState(dst []byte, now time.Time) []byte {
	g.mu.Lock()
	defer g.mu.Unlock()
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(g.senders.list)))
	for _, s := range g.senders.list {
		dst = append(dst, s.static[:]...)
		dst = appendAge(appendAge(dst, now, s.newest), now, s.used)
		at := len(dst)
		dst = append(dst, 0)
		for _, e := range s.salts {
			if e != nil {
				dst[at]++
				dst = binary.BigEndian.AppendUint64(e.key.appendState(dst), e.serial)
				dst = e.appendState(dst, now)
			}
		}
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(g.places.list)))
	for _, e := range g.places.list {
		dst = append(e.key.appendState(dst), bit(e.standing == stale))
		dst = e.appendState(e.origin.appendState(dst), now)
	}
	return dst
}

// Restore enters what AppendState has written at the beginning of b into a receiver that
// knows nobody, and returns what is behind it. Salts under epochs that the community has not
// are left out.
func (g *GroupReceiver) Restore(b []byte, now time.Time) (rest []byte, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := &groupReading{b: b, now: now, g: g}
	for range r.count(vouchStateLen) {
		r.sender()
	}
	for range r.count(saltStateLen + 1 + originStateLen + entryStateLen + windowStateLen) {
		r.unvouched()
	}
	if r.failed {
		return nil, errGroupState
	}
	return r.b, nil
}

func appendAge(dst []byte, now, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(now.Sub(t)))
}

func (e *groupEntry) appendState(dst []byte, now time.Time) []byte {
	return e.window.appendState(appendAge(binary.BigEndian.AppendUint64(dst, e.lowest), now, e.used))
}

func (o *GroupOrigin) appendState(dst []byte) []byte {
	a := o.Addr.Addr().As16()
	if !o.Addr.IsValid() {
		a = [16]byte{}
	}
	dst = binary.BigEndian.AppendUint16(append(dst, a[:]...), o.Addr.Port())
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, uint32(o.Supernode)), o.Handle)
}

// groupReading is what is left to be read of salts. After a fault there is nothing.
type groupReading struct {
	b      []byte
	now    time.Time
	g      *GroupReceiver
	failed bool
}

// next returns the next n bytes, or nil.
func (r *groupReading) next(n int) []byte {
	if r.failed = r.failed || n > len(r.b); r.failed {
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// count reads how many things of at least size bytes follow.
func (r *groupReading) count(size int) int {
	b := r.next(4)
	if b == nil || int(binary.BigEndian.Uint32(b)) > len(r.b)/size {
		r.failed = true
		return 0
	}
	return int(binary.BigEndian.Uint32(b))
}

// past returns the time that was so many nanoseconds ago.
func (r *groupReading) past(b []byte) time.Time {
	return r.now.Add(-time.Duration(binary.BigEndian.Uint64(b)))
}

// salt reads the name of a salt.
func (r *groupReading) salt() (k groupSalt) {
	if b := r.next(saltStateLen); b != nil {
		k = readSalt(b)
	}
	if !k.fits(r.g.community.Insecure) {
		r.failed = true
	}
	return k
}

// entry reads the rest of an entry.
func (r *groupReading) entry(e *groupEntry) {
	e.window = makeWindow(windowBits)
	b := r.next(entryStateLen)
	if b == nil {
		return
	}
	e.lowest, e.used = binary.BigEndian.Uint64(b), r.past(b[8:])
	rest, err := e.window.restore(r.b)
	if r.b = rest; err != nil {
		r.failed = true
	}
}

// known reports whether the community has the epoch of a salt that was read whole and that
// is not there yet.
func (r *groupReading) known(k groupSalt) bool {
	_, ok := r.g.community.epoch(k.ki)
	return ok && !r.failed && r.g.entries[k] == nil
}

// sender reads a sender with its salts.
func (r *groupReading) sender() {
	b := r.next(vouchStateLen)
	if b == nil {
		return
	}
	static, salts := [32]byte(b), int(b[vouchStateLen-1])
	tag := r.g.community.SenderTag(static)
	if r.g.senders.byTag[tag] != nil || salts > 2 || len(r.g.senders.list) == groupSendersMax {
		r.failed = true
		return
	}
	s, _ := r.g.senders.add(r.now, static, tag)
	s.newest, s.used = r.past(b[32:]), r.past(b[40:])
	for range salts {
		e := &groupEntry{key: r.salt(), standing: vouched, sender: s}
		if b := r.next(8); b != nil {
			e.serial = binary.BigEndian.Uint64(b)
		}
		r.entry(e)
		if e.key.sender() != tag {
			r.failed = true
		}
		if !r.known(e.key) {
			continue
		}
		if _, ok := s.keep(e); ok {
			r.g.entries[e.key] = e
		}
	}
}

// unvouched reads a salt that nobody vouched for.
func (r *groupReading) unvouched() {
	e := &groupEntry{key: r.salt()}
	b := r.next(1 + originStateLen)
	if b == nil {
		return
	}
	if b[0] != 0 {
		e.standing = stale
	}
	if a := netip.AddrFrom16([16]byte(b[1:])); !a.IsUnspecified() {
		e.origin.Addr = netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(b[17:]))
	}
	e.origin.Supernode, e.origin.Handle = int(binary.BigEndian.Uint32(b[19:])), binary.BigEndian.Uint32(b[23:])
	if r.entry(e); r.known(e.key) && r.g.places.hasRoom(e.origin, e.standing) {
		r.g.entries[e.key] = e
		r.g.places.enter(e)
	}
}
