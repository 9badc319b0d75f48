package offload

import "encoding/binary"

// MaxSuperFrame is the size in bytes, all headers included, up to which a Joiner
// builds super-frames. The IP length could carry 65535 bytes behind the Ethernet
// header; but a frame of 65536 bytes or more is cut again in software by a Linux
// kernel that sends it on through another device (gso_max_size, compared with
// the whole frame in net/core/dev.c, gso_features_check).
const MaxSuperFrame = 65535

// maxDatagrams is how many UDP datagrams a super-frame may have: UDP_MAX_SEGMENTS
// of include/linux/udp.h before Linux 6.9, checked by virtio_net_hdr_to_skb.
const maxDatagrams = 64

// Joiner joins consecutive frames of one flow into a super-frame: the inverse of
// Cutter. It reads the frames that it is given and keeps the fields that it
// needs of their headers, so it references no frame after the call; the caller
// puts the payloads together. Used by one goroutine at a time, it allocates
// nothing. The zero value joins nothing.
//
// For every frame: if Open, try Join; if Join fails, or not Open, call Finish,
// write the super-frame to the device, and Begin with the frame. Call Finish at
// the end of a batch, too.
type Joiner struct {
	TCP bool // the device accepts TCP super-frames
	UDP bool // the device accepts UDP super-frames (GSOUDPL4)

	open   bool
	count  int    // frames in the super-frame
	length int    // its bytes
	ending byte   // FIN and PSH of the last frame
	first  Header // as Begin got it
	flow   flow   // describes the frames that may follow; valid if open or count > 1
}

// Begin makes frame, a complete Ethernet frame, the first of a new super-frame;
// h is its vnet header. The Joiner forgets the one before. Any frame may be
// given: if it can have no successor, Open is false and Finish returns h.
func (j *Joiner) Begin(frame []byte, h Header) {
	j.open, j.count, j.length, j.ending, j.first = false, 1, len(frame), 0, h
	if h.GSOType != GSONone || len(frame) >= MaxSuperFrame {
		return
	}
	l, err := parse(frame)
	if err != nil || l.end != len(frame) || l.payload == l.end {
		return
	}
	if l.protocol == protoTCP {
		// A frame with a flag that ends a super-frame cannot begin one. CWR can:
		// GSOECN stands for it.
		if !j.TCP || frame[l.transport+tcpFlags]&^(tcpECE|tcpCWR) != tcpACK {
			return
		}
	} else if !j.UDP {
		return
	}
	j.open = j.flow.learn(frame, l, h)
}

// Open reports whether another frame may join the super-frame.
func (j *Joiner) Open() bool { return j.open }

// Count is the number of frames in the super-frame.
func (j *Joiner) Count() int { return j.count }

// Len is the size in bytes of the super-frame so far: where the next payload
// goes, counted from the start of the first frame.
func (j *Joiner) Len() int { return j.length }

// HeaderLen is the size in bytes of the headers in front of the payload, the
// same in all frames that can be joined; 0 if not Open.
func (j *Joiner) HeaderLen() int {
	if !j.open {
		return 0
	}
	return j.flow.lay.payload
}

// Join reports whether frame, with vnet header h, may follow in the super-frame,
// and if so counts it in. The caller then appends the last payload bytes of
// frame to the super-frame, at the offset that Len had before the call.
//
// It may follow if the super-frame, cut again, would give this very frame:
//   - same Ethernet header, tags, addresses, ports, IP options and extension
//     headers, TTL, traffic class, flow label and DF; IPv4 identification one
//     higher, unless DF is set;
//   - TCP: next sequence number; same acknowledgement, window, ECE and options;
//     ACK and, as the last one, PSH or FIN; no other flag;
//   - payload not empty and as long as that of the first, or shorter as the last;
//   - both with a partial checksum, or both with a right one (UDP without any is
//     not joined); IPv4 header checksum right;
//   - not more than MaxSuperFrame bytes, nor 64 UDP datagrams.
func (j *Joiner) Join(frame []byte, h Header) (payload int, ok bool) {
	f := &j.flow
	payload = len(frame) - f.lay.payload
	if !j.open || payload < 1 || payload > f.size || j.length+payload > MaxSuperFrame {
		return 0, false
	}
	if h.GSOType != GSONone || (h.Flags^j.first.Flags)&FlagNeedsCsum != 0 || !f.next(frame, h) {
		return 0, false
	}
	j.count++
	j.length += payload
	if f.lay.protocol == protoTCP {
		j.ending = frame[f.lay.transport+tcpFlags] & (tcpFIN | tcpPSH)
		j.open = payload == f.size && j.ending == 0 && j.length < MaxSuperFrame
	} else {
		j.open = payload == f.size && j.count < maxDatagrams && j.length < MaxSuperFrame
	}
	return payload, true
}

// Finish completes the headers of the super-frame that the caller has put
// together in frame, Len bytes, and returns its vnet header. If nothing was
// joined, frame stays unchanged and the header is the one given to Begin. The
// Joiner is empty afterwards.
//
// It panics if frame does not have Len bytes and something was joined.
func (j *Joiner) Finish(frame []byte) Header {
	h := j.first
	if j.count > 1 {
		if len(frame) != j.length {
			panic("offload: Finish wants the whole super-frame")
		}
		h = j.flow.finish(frame, j.ending)
	}
	j.Reset()
	return h
}

// Reset empties the Joiner.
func (j *Joiner) Reset() {
	j.open, j.count, j.length, j.ending, j.first = false, 0, 0, 0, Header{}
}

// finish writes the headers of a super-frame: those of its first frame, except
// the lengths and the flags of its last.
func (f *flow) finish(frame []byte, ending byte) Header {
	l := &f.lay
	segment := len(frame) - l.transport
	h := Header{
		Flags: FlagNeedsCsum, HdrLen: uint16(l.payload), GSOSize: uint16(f.size),
		CsumStart: uint16(l.transport), CsumOffset: uint16(l.checksumOffset()),
	}
	if l.v6 {
		h.GSOType = GSOTCPv6
		binary.BigEndian.PutUint16(frame[l.ip+ipv6Payload:], uint16(len(frame)-l.ip-ipv6Len))
	} else {
		h.GSOType = GSOTCPv4
		ip := frame[l.ip : l.ip+ipv4Len]
		total := len(frame) - l.ip
		binary.BigEndian.PutUint16(ip[ipv4Total:], uint16(total))
		id := binary.BigEndian.Uint16(ip[ipv4ID:])
		binary.BigEndian.PutUint16(ip[ipv4Checksum:], ^fold(f.ipSum+uint32(total)+uint32(id)))
	}
	if l.protocol == protoUDP {
		h.GSOType = GSOUDPL4
		binary.BigEndian.PutUint16(frame[l.transport+udpLength:], uint16(segment))
	} else {
		flags := &frame[l.transport+tcpFlags]
		if *flags&tcpCWR != 0 {
			h.GSOType |= GSOECN
		}
		*flags |= ending
	}
	binary.BigEndian.PutUint16(frame[l.transport+l.checksumOffset():], fold(f.base+uint32(segment)))
	return h
}
