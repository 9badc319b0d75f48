package offload

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

var (
	errCsumBounds = errors.New("offload: the checksum field that the vnet header names lies outside the frame")
	errCsumSuper  = errors.New("offload: a super-frame has no checksum of its own: cut it first")
)

// Complete computes the whole checksum of a frame with FlagNeedsCsum and writes
// it where h says; the field must hold the partial one. It does not change a
// frame without that flag. A UDP checksum of 0, which would mean that there is
// none, is written as 0xffff (RFC 768).
//
// A super-frame, or a checksum field outside of the frame, is an error, and the
// frame stays unchanged.
func Complete(frame []byte, h Header) error {
	if h.Flags&FlagNeedsCsum == 0 {
		return nil
	}
	if h.GSOType != GSONone {
		return errCsumSuper
	}
	start, field := int(h.CsumStart), int(h.CsumStart)+int(h.CsumOffset)
	if field+2 > len(frame) {
		return errCsumBounds
	}
	check := ^sum(frame[start:])
	if check == 0 && h.CsumOffset == udpChecksum {
		check = 0xffff
	}
	binary.BigEndian.PutUint16(frame[field:], check)
	return nil
}

// Verify reports whether frame carries TCP or UDP with a complete and right
// checksum. It returns false for other protocols, fragments, truncated frames,
// and UDP without a checksum.
func Verify(frame []byte) bool {
	l, err := parse(frame)
	if err != nil {
		return false
	}
	return l.verify(frame, l.pseudo(frame))
}

// verify is Verify for a frame that has been parsed. pseudo is the sum of the
// pseudo-header without the length.
func (l *layout) verify(frame []byte, pseudo uint32) bool {
	segment := frame[l.transport:l.end]
	if l.protocol == protoUDP && segment[udpChecksum] == 0 && segment[udpChecksum+1] == 0 {
		return false
	}
	return fold(pseudo+uint32(len(segment))+uint32(sum(segment))) == 0xffff
}

// pseudo is the sum of the pseudo-header's addresses and protocol; the caller
// adds the length. It is wrong for a frame with a routing header, or an IPv4
// source route, that still has routers to visit: the checksum of such a frame
// covers the last address of the route (RFC 8200, section 8.1). Such a frame
// fails verification here and passes whole.
func (l *layout) pseudo(frame []byte) uint32 {
	addresses := frame[l.ip+12 : l.ip+20]
	if l.v6 {
		addresses = frame[l.ip+8 : l.ip+40]
	}
	return uint32(sum(addresses)) + uint32(l.protocol)
}

// sum adds b as big-endian 16-bit words in ones' complement, an odd last byte as
// if a zero followed it, and does not complement the result (RFC 1071). It is 0
// only if all of b is zero.
//
// It adds 64 bits at a time in little-endian order, which RFC 1071 section 2 (B)
// shows to give the same sum with its bytes swapped, and keeps the carry in the
// processor's flag for 16 words at a time.
func sum(b []byte) uint16 {
	var acc, carry uint64
	for len(b) >= 128 {
		p := (*[128]byte)(b)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[0:]), 0)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[8:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[16:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[24:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[32:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[40:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[48:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[56:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[64:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[72:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[80:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[88:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[96:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[104:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[112:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[120:]), carry)
		acc += carry // cannot overflow: a sum that carried is below 1<<64 - 1
		b = b[128:]
	}
	for len(b) >= 32 {
		p := (*[32]byte)(b)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[0:]), 0)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[8:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[16:]), carry)
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(p[24:]), carry)
		acc += carry
		b = b[32:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.LittleEndian.Uint64(b), 0)
		acc += carry
		b = b[8:]
	}
	acc, carry = bits.Add64(acc, tail(b), 0)
	acc += carry
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>32 + acc&0xffffffff
	return bits.ReverseBytes16(fold(uint32(acc)))
}

// tail is the little-endian value of the last 0 to 7 bytes.
func tail(b []byte) uint64 {
	var v uint64
	shift := 0
	if len(b) >= 4 {
		v, shift = uint64(binary.LittleEndian.Uint32(b)), 32
		b = b[4:]
	}
	if len(b) >= 2 {
		v |= uint64(binary.LittleEndian.Uint16(b)) << shift
		shift += 16
		b = b[2:]
	}
	if len(b) == 1 {
		v |= uint64(b[0]) << shift
	}
	return v
}

// fold brings a sum of 16-bit words to 16 bits, the carries added back.
func fold(s uint32) uint16 {
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s)
}

// negative returns the number that subtracts v when it is added to a ones'
// complement sum.
func negative(v uint16) uint32 {
	return uint32(^v)
}
