package protocol

import (
	"encoding/binary"
	"net/netip"
)

// reader reads the fields of a value in their order. Its error is sticky: fields
// after the first that failed are zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// next returns the next n bytes, or nil if there are fewer.
func (r *reader) next(n int) []byte {
	if len(r.b) < n {
		r.fail(ErrShort)
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) u8() uint8 {
	b := r.next(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (r *reader) u16() uint16 {
	b := r.next(2)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

func (r *reader) u32() uint32 {
	b := r.next(4)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func (r *reader) u64() uint64 {
	b := r.next(8)
	if b == nil {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

// copyTo fills dst with the next len(dst) bytes.
func (r *reader) copyTo(dst []byte) { copy(dst, r.next(len(dst))) }

// done returns the error, ErrLength if bytes are left over.
func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = ErrLength
	}
	return r.err
}

// Address families on the wire.
const (
	familyNone = 0
	familyIPv4 = 4
	familyIPv6 = 6
)

// ip reads an address of a family.
func (r *reader) ip(family uint8) netip.Addr {
	switch family {
	case familyIPv4:
		if b := r.next(4); b != nil {
			return netip.AddrFrom4([4]byte(b))
		}
	case familyIPv6:
		if b := r.next(16); b != nil {
			a := netip.AddrFrom16([16]byte(b))
			if a.Is4In6() { // an address has one form on the wire
				r.fail(ErrValue)
				return netip.Addr{}
			}
			return a
		}
	default:
		r.fail(ErrValue)
	}
	return netip.Addr{}
}

// addr reads an address and port.
func (r *reader) addr() netip.AddrPort {
	ip := r.ip(r.u8())
	port := r.u16()
	if r.err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, port)
}

// addrOrNone is addr that reads family 0, without address and port, as no
// address.
func (r *reader) addrOrNone() netip.AddrPort {
	if len(r.b) > 0 && r.b[0] == familyNone {
		r.b = r.b[1:]
		return netip.AddrPort{}
	}
	return r.addr()
}

// prefix reads an address with a prefix length. The host bits stay.
func (r *reader) prefix() netip.Prefix {
	ip := r.ip(r.u8())
	bits := int(r.u8())
	if r.err != nil {
		return netip.Prefix{}
	}
	if bits > ip.BitLen() {
		r.fail(ErrValue)
		return netip.Prefix{}
	}
	return netip.PrefixFrom(ip, bits)
}

// appendIP appends family and bytes of an address in the one form that it has
// on the wire: IPv4-mapped ones as IPv4, without a zone.
func appendIP(dst []byte, a netip.Addr) []byte {
	a = a.Unmap()
	if a.Is4() {
		b := a.As4()
		return append(append(dst, familyIPv4), b[:]...)
	}
	b := a.As16()
	return append(append(dst, familyIPv6), b[:]...)
}

// appendAddr appends an address and port, family 0 alone if it is not valid.
func appendAddr(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return append(dst, familyNone)
	}
	return binary.BigEndian.AppendUint16(appendIP(dst, a.Addr()), a.Port())
}

// appendPrefix appends an address and prefix length.
func appendPrefix(dst []byte, p netip.Prefix) []byte {
	bits := p.Bits()
	if p.Addr().Is4In6() {
		bits = max(bits-96, 0)
	}
	return append(appendIP(dst, p.Addr()), byte(bits))
}
