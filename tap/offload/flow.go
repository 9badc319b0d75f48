package offload

import "encoding/binary"

// flow describes the frames that may follow in a super-frame: the headers of the
// first frame, to be compared word by word, and the fields that change from one
// frame to the next. As every field that decides where headers are is compared,
// a frame that follows has the layout of the first and need not be parsed.
type flow struct {
	lay      layout
	size     int    // payload bytes of the first frame
	checksum int    // where the checksum is in the transport header
	atomic   bool   // DF is set: the identification does not matter
	base     uint32 // the partial checksum without the length
	ipSum    uint32 // the IPv4 header's sum without length and identification
	id       uint16 // of the frame that comes
	seq      uint32 // of the frame that comes

	words int // of template, but for the last
	// template has the headers as 8-byte words; the last one ends where they end
	// and overlaps the one before.
	template [maxHeaders / 8]masked
}

// masked is 8 bytes of the headers, 0 where mask is, and in mask a 1 for every
// bit that must be the same in a frame that follows.
type masked struct{ want, mask uint64 }

// learn stores the first frame, which has payload and nothing behind it. It
// returns false if its checksums do not allow that it is joined.
func (f *flow) learn(frame []byte, l layout, h Header) bool {
	if !l.v6 && sum(frame[l.ip:l.transport]) != 0xffff {
		return false
	}
	if h.Flags&FlagNeedsCsum != 0 {
		if !l.partialHere(h) {
			return false
		}
		f.base = uint32(fold(l.partialBase(frame)))
	} else {
		pseudo := l.pseudo(frame)
		if !l.verify(frame, pseudo) {
			return false
		}
		f.base = uint32(fold(pseudo))
	}
	f.lay, f.size, f.checksum = l, len(frame)-l.payload, l.checksumOffset()
	var mask [maxHeaders]byte
	for i := 0; i < l.payload; i += 8 { // up to 7 bytes more than compared
		binary.NativeEndian.PutUint64(mask[i:], ^uint64(0))
	}
	if l.v6 {
		clear(mask[l.ip+ipv6Payload:][:2])
	} else {
		ip := frame[l.ip:l.transport]
		f.ipSum = uint32(fold(l.headerSum(frame)))
		f.atomic = ip[ipv4Fragment]&(dontFragment>>8) != 0
		f.id = binary.BigEndian.Uint16(ip[ipv4ID:]) + 1
		clear(mask[l.ip+ipv4Total:][:4]) // and the identification
		clear(mask[l.ip+ipv4Checksum:][:2])
	}
	if l.protocol == protoTCP {
		f.seq = binary.BigEndian.Uint32(frame[l.transport+tcpSeq:]) + uint32(f.size)
		clear(mask[l.transport+tcpSeq:][:4])
		clear(mask[l.transport+tcpChecksum:][:2])
		mask[l.transport+tcpFlags] = ^byte(tcpFIN | tcpPSH | tcpCWR)
	} else {
		clear(mask[l.transport+udpLength:][:4]) // and the checksum
	}
	f.compile(frame, &mask)
	return true
}

// compile makes the template of the headers and of mask.
func (f *flow) compile(frame []byte, mask *[maxHeaders]byte) {
	n := f.lay.payload
	f.words = (n - 1) / 8
	for i := range f.words + 1 {
		at := min(8*i, n-8)
		m := binary.NativeEndian.Uint64(mask[at:])
		f.template[i] = masked{binary.NativeEndian.Uint64(frame[at:]) & m, m}
	}
}

// same compares the headers of frame, which is longer than they are, with those
// of the first.
func (f *flow) same(frame []byte) bool {
	template := f.template[:f.words]
	head := frame[:8*len(template)]
	var diff uint64
	for i := range template {
		diff |= binary.NativeEndian.Uint64(head[8*i:])&template[i].mask ^ template[i].want
	}
	last := &f.template[f.words]
	diff |= binary.NativeEndian.Uint64(frame[f.lay.payload-8:])&last.mask ^ last.want
	return diff == 0
}

// next reports whether frame, longer than the headers and not longer than the
// first, is the one that follows, and if so moves on behind it.
func (f *flow) next(frame []byte, h Header) bool {
	l := &f.lay
	if !f.same(frame) || !f.nextIP(frame[l.ip:]) {
		return false
	}
	segment := frame[l.transport:]
	if l.protocol == protoTCP {
		if binary.BigEndian.Uint32(segment[tcpSeq:]) != f.seq || segment[tcpFlags]&tcpCWR != 0 {
			return false // CWR is only for the first
		}
	} else if int(binary.BigEndian.Uint16(segment[udpLength:])) != len(segment) {
		return false
	}
	check := binary.BigEndian.Uint16(segment[f.checksum:])
	partial := f.base + uint32(len(segment))
	if h.Flags&FlagNeedsCsum != 0 {
		if int(h.CsumStart) != l.transport || int(h.CsumOffset) != f.checksum || check != fold(partial) {
			return false
		}
	} else if check == 0 && l.protocol == protoUDP || fold(partial+uint32(sum(segment))) != 0xffff {
		return false
	}
	f.id++
	f.seq += uint32(f.size)
	return true
}

// nextIP checks the fields that may differ between two IP headers of a flow; ip
// is the datagram.
func (f *flow) nextIP(ip []byte) bool {
	if f.lay.v6 {
		return int(binary.BigEndian.Uint16(ip[ipv6Payload:])) == len(ip)-ipv6Len
	}
	id := binary.BigEndian.Uint16(ip[ipv4ID:])
	return int(binary.BigEndian.Uint16(ip[ipv4Total:])) == len(ip) &&
		(f.atomic || id == f.id) &&
		binary.BigEndian.Uint16(ip[ipv4Checksum:]) == ^fold(f.ipSum+uint32(len(ip))+uint32(id))
}
