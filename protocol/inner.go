package protocol

import (
	"encoding/binary"
	"errors"
)

// Kind says what an inner holds: the top two bits of its first byte.
type Kind uint8

// The four kinds.
const (
	// KindFrame is a whole Ethernet frame.
	KindFrame Kind = 0
	// KindElided is a frame without its Ethernet header, which the receiver
	// builds again from what the session knows.
	KindElided Kind = 1
	// KindControl is a run of control messages; an empty one is a keepalive.
	KindControl Kind = 2
	// KindFragment is a piece of an inner that did not fit whole.
	KindFragment Kind = 3
)

// The forms of an elided frame: which Ethernet header was left out.
const (
	FormIPv4     = 0 // an untagged header of EtherType 0x0800
	FormIPv6     = 1 // an untagged header of EtherType 0x86dd
	FormVLANIPv4 = 2 // a header with one 802.1Q tag, then 0x0800
	FormVLANIPv6 = 3 // a header with one 802.1Q tag, then 0x86dd
)

// The bits of an inner's first byte.
const (
	kindShift       = 6
	formShift       = 4
	formMask        = 3 << formShift
	bitPartial      = 1 << 3
	bitPadding      = 1 << 2
	compressionMask = 3
)

// Errors of ParseInner and DecodeFrame.
var (
	// ErrInner says that the first byte has bits that do not go together, or
	// that a compression is named.
	ErrInner = errors.New("protocol: impossible inner")
	// ErrPadding says that a padding length is not possible.
	ErrPadding = errors.New("protocol: wrong padding")
	// ErrKind says that the inner is not a frame.
	ErrKind = errors.New("protocol: not a frame")
	// ErrRoom says that there is no room to rebuild an elided header.
	ErrRoom = errors.New("protocol: no room for the header")
	// ErrChecksum says that a partial checksum does not name the checksum
	// field of the frame's TCP or UDP header.
	ErrChecksum = errors.New("protocol: partial checksum is not at the field")
)

// Inner is the plaintext of a DATA or GROUP packet.
type Inner struct {
	Kind Kind
	// Form is the left-out header of an elided frame, else 0.
	Form uint8
	// Partial says that the frame's transport checksum holds only the sum of
	// the pseudo-header. CsumStart is then the offset in bytes from byte 0 of
	// the rebuilt frame where summing starts, CsumOffset that of the field
	// from there.
	Partial               bool
	CsumStart, CsumOffset uint8
	// TCI is the tag control information of the forms with a tag, else 0.
	TCI uint16
	// Body is the frame, the frame after its header, the messages, or the
	// fragment byte and piece. It aliases the bytes that were parsed.
	Body []byte
}

// ParseInner reads an opened inner and strips its padding. It fails with
// ErrShort, ErrInner or ErrPadding. An inner that names a compression is
// refused, since version 1 has none.
func ParseInner(b []byte) (Inner, error) {
	in, _, err := parseInner(b)
	return in, err
}

// parseInner is ParseInner that also returns the offset of the body in b.
func parseInner(b []byte) (in Inner, at int, err error) {
	if len(b) == 0 {
		return Inner{}, 0, ErrShort
	}
	b0, end := b[0], len(b)
	in = Inner{Kind: Kind(b0 >> kindShift), Form: b0 & formMask >> formShift, Partial: b0&bitPartial != 0}
	isFrame := in.Kind == KindFrame || in.Kind == KindElided
	if b0&compressionMask != 0 || in.Form != 0 && in.Kind != KindElided || in.Partial && !isFrame {
		return Inner{}, 0, ErrInner
	}
	at = 1
	if in.Partial {
		at += 2
	}
	tagged := in.Form == FormVLANIPv4 || in.Form == FormVLANIPv6
	if tagged {
		at += 2
	}
	if b0&bitPadding != 0 {
		if end-at < 2 {
			return Inner{}, 0, ErrPadding
		}
		n := int(binary.BigEndian.Uint16(b[end-2:]))
		if n < 2 || n > end-at {
			return Inner{}, 0, ErrPadding
		}
		end -= n
	}
	if end < at {
		return Inner{}, 0, ErrShort
	}
	if in.Partial {
		in.CsumStart, in.CsumOffset = b[1], b[2]
	}
	if tagged {
		in.TCI = binary.BigEndian.Uint16(b[at-2:])
	}
	in.Body = b[at:end]
	return in, at, nil
}

// AppendControl appends the first byte of a control inner; the messages
// follow. Without any it is a keepalive.
func AppendControl(dst []byte) []byte {
	return append(dst, byte(KindControl)<<kindShift)
}

// AppendPadding makes an inner n bytes longer, n from 2 to 65 535, and marks it
// as padded in its first byte. The slice has to be one whole inner, not empty
// and not padded yet.
func AppendPadding(inner []byte, n int) []byte {
	if n < 2 || n > 0xffff || inner[0]&bitPadding != 0 {
		panic("protocol: padding out of range, or a second time")
	}
	inner[0] |= bitPadding
	inner = appendZeros(inner, n-2)
	return binary.BigEndian.AppendUint16(inner, uint16(n))
}

// appendZeros appends n zero bytes, none if n is negative.
func appendZeros(dst []byte, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, 0)
	}
	return dst
}
