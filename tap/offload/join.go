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

// Joiner joins frames of one flow, which come one after the other, into a
// super-frame: the inverse of Cutter. It looks at the frames that it is given
// and keeps what it needs of their headers, so no frame is referenced after the
// call; where the payloads are put together is the caller's affair. Used by one
// goroutine at a time, it allocates nothing. The zero value joins nothing.
//
// For every frame: if Open, try Join; if that says no, or not Open, Finish what
// was built, hand it to the device, and Begin with the frame. Finish at the end
// of a batch, too.
type Joiner struct {
	TCP bool // the device takes TCP super-frames
	UDP bool // the device takes UDP super-frames (GSOUDPL4)

	open   bool
	count  int    // frames in the super-frame
	length int    // its bytes
	ending byte   // FIN and PSH of the last frame
	first  Header // as Begin got it
	flow   flow   // what a frame must be to follow; valid if open or count > 1
}

// Begin makes frame, a complete Ethernet frame, the first of a new super-frame;
// h is its vnet header. What was open before is forgotten. Any frame may be
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
		// What ends a super-frame cannot begin one. CWR can: GSOECN stands for it.
		if !j.TCP || frame[l.transport+tcpFlags]&^(tcpECE|tcpCWR) != tcpACK {
			return
		}
	} else if !j.UDP {
		return
	}
	j.open = j.flow.learn(frame, l, h)
}

// Open reports whether another frame may be joined to what was begun.
func (j *Joiner) Open() bool { return j.open }

// Count is the number of frames since Begin, that one included.
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
// and if so counts it in. Then the last payload bytes of frame are what the
// caller puts behind the super-frame, at its byte Len as it was before the call.
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
// joined, frame is untouched and the header is the one given to Begin. The
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

// Reset forgets what was begun.
func (j *Joiner) Reset() {
	j.open, j.count, j.length, j.ending, j.first = false, 0, 0, 0, Header{}
}

// finish writes the headers of a super-frame, of which all but the lengths and
// what ends it are those of its first frame.
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
