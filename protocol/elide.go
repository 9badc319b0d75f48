package protocol

import "encoding/binary"

// EncodeFrame makes the inner of the frame buf[off:off+n] in place and
// returns where it starts; it ends at off+n as the frame does. The first byte
// goes right in front of the frame, so off has to be at least 1.
//
// With elide, the Ethernet header is left out if the frame is IPv4 or IPv6
// with at most one 802.1Q tag: the inner then starts inside the frame's
// header, which is overwritten. The caller sets elide only when the receiver
// of the packet has the frame's destination address and the sender its source
// address, since those are what the receiver puts back, and never in GROUP.
func EncodeFrame(buf []byte, off, n int, elide bool) (start int) {
	return encodeFrame(buf, off, n, elide, false, 0, 0)
}

// EncodePartialFrame is EncodeFrame for a frame whose transport checksum is
// still partial. csumStart and csumOffset are as in Inner; off has to be at
// least 3. For a frame whose csumStart would be over 255 the caller has to
// complete the checksum and use EncodeFrame.
func EncodePartialFrame(buf []byte, off, n int, elide bool, csumStart, csumOffset uint8) (start int) {
	return encodeFrame(buf, off, n, elide, true, csumStart, csumOffset)
}

// InnerOverhead returns by how many bytes the inner that EncodeFrame or
// EncodePartialFrame makes of a frame is longer than it; negative when it is
// shorter. Only the frame's Ethernet header is looked at.
func InnerOverhead(f Frame, elide, partial bool) int {
	n := 1
	if partial {
		n += 2
	}
	if form, ok := elidedForm(f); elide && ok {
		n -= EthernetLen
		if form >= FormVLANIPv4 {
			n -= VLANLen - 2
		}
	}
	return n
}

func encodeFrame(buf []byte, off, n int, elide, partial bool, csumStart, csumOffset uint8) int {
	b0 := byte(KindFrame) << kindShift
	start := off // goes back from the body as fields are put in front of it
	if elide {
		if form, ok := elidedForm(buf[off : off+n]); ok {
			b0 = byte(KindElided)<<kindShift | form<<formShift
			start += EthernetLen
			if form >= FormVLANIPv4 {
				// The tag's value moves two bytes back to where the inner
				// EtherType was, right in front of the body.
				copy(buf[off+16:off+18], buf[off+14:off+16])
				start += VLANLen - 2
			}
		}
	}
	if partial {
		start -= 2
		buf[start], buf[start+1] = csumStart, csumOffset
		b0 |= bitPartial
	}
	start--
	buf[start] = b0
	return start
}

// elidedForm returns the form that stands for the frame's Ethernet header.
func elidedForm(f Frame) (form byte, ok bool) {
	if len(f) < EthernetLen {
		return 0, false
	}
	etherType := binary.BigEndian.Uint16(f[12:])
	if etherType == EtherTypeVLAN && len(f) >= EthernetLen+VLANLen {
		form = FormVLANIPv4
		etherType = binary.BigEndian.Uint16(f[16:])
	}
	switch etherType {
	case EtherTypeIPv4:
		return form, true
	case EtherTypeIPv6:
		return form + 1, true
	}
	return 0, false
}

// DecodeFrame reads the inner buf[start:end] of kind KindFrame or KindElided
// and returns the frame's bounds: it is buf[off:off+n]. An elided header is
// built from dst, src and the inner's form, in the room in front of the body:
// up to 13 bytes in front of start are overwritten, 15 for the forms with a
// tag. It fails as ParseInner does, with ErrKind for other kinds, ErrRoom,
// ErrShort for a frame without an Ethernet header, and ErrChecksum if a
// partial checksum names anything but the checksum field of the frame's TCP or
// UDP header: the receiver's kernel is told to write there. On failure nothing
// outside the inner has changed, except with ErrChecksum.
func DecodeFrame(buf []byte, start, end int, dst, src MAC) (off, n int, in Inner, err error) {
	in, at, err := parseInner(buf[start:end])
	if err != nil {
		return 0, 0, Inner{}, err
	}
	off, n = start+at, len(in.Body)
	switch in.Kind {
	case KindFrame:
	case KindElided:
		header := EthernetLen
		if in.Form >= FormVLANIPv4 {
			header += VLANLen
		}
		if off < header {
			return 0, 0, Inner{}, ErrRoom
		}
		off, n = off-header, n+header
		putEthernet(buf[off:off+header], dst, src, in)
	default:
		return 0, 0, Inner{}, ErrKind
	}
	frame := Frame(buf[off : off+n])
	if err := frame.Valid(); err != nil {
		return 0, 0, Inner{}, err
	}
	if in.Partial {
		s, o, ok := frame.ChecksumField()
		if !ok || s != int(in.CsumStart) || o != int(in.CsumOffset) {
			return 0, 0, Inner{}, ErrChecksum
		}
	}
	return off, n, in, nil
}

// putEthernet writes the header that the inner's form stands for; b has exactly
// that header's size.
func putEthernet(b []byte, dst, src MAC, in Inner) {
	copy(b, dst[:])
	copy(b[MACLen:], src[:])
	if in.Form >= FormVLANIPv4 {
		binary.BigEndian.PutUint16(b[12:], EtherTypeVLAN)
		binary.BigEndian.PutUint16(b[14:], in.TCI)
	}
	etherType := uint16(EtherTypeIPv4)
	if in.Form&1 == FormIPv6 {
		etherType = EtherTypeIPv6
	}
	binary.BigEndian.PutUint16(b[len(b)-2:], etherType)
}
