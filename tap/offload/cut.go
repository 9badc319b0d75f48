package offload

import (
	"encoding/binary"
	"errors"
)

var (
	errCutBounds   = errors.New("offload: the super-frame lies outside the buffer")
	errCutType     = errors.New("offload: the kind of super-frame in the vnet header is not what the frame carries")
	errCutSize     = errors.New("offload: the vnet header of a super-frame has segment size 0")
	errCutPadding  = errors.New("offload: the super-frame is longer than its IP length")
	errCutChecksum = errors.New("offload: the vnet header of a super-frame does not name its TCP or UDP checksum")
	errCutMaxFrame = errors.New("offload: the largest frame of the path has no room for payload behind the headers")
)

// Cutter cuts super-frames into segments. The zero value is ready; one Cutter
// serves any number of frames one after the other, allocates nothing, and is
// used by one goroutine at a time.
//
// From Start until the last Next the buffer belongs to the Cutter, except the
// segment that Next returned last: the caller may read, seal or overwrite that
// one in place until the next call of Next, which may write headers over it. The
// Cutter never writes outside of the super-frame and never changes payload. It
// keeps the buffer referenced until the next Start.
type Cutter struct {
	buf   []byte
	lay   layout
	out   Header // of every segment
	size  int    // payload bytes of the segment that comes
	next  int    // where its payload starts in buf
	end   int    // where the super-frame ends in buf
	count int
	left  int // segments not returned yet

	base   uint32 // the partial checksum without the length
	ipSum  uint32 // the IPv4 header's sum without length and identification
	id     uint16 // of the segment that comes
	seq    uint32 // of the segment that comes
	ending byte   // FIN and PSH, kept for the last

	// head is the headers of the next segment. The caller may overwrite the
	// first segment's own headers, so they are kept here.
	head [maxHeaders]byte
}

// Start begins to cut the super-frame in buf[off:off+n], with h as the kernel
// set it. maxFrame is the size in bytes that a segment may have as an Ethernet
// frame, all headers included; 0 is no limit. TCP is cut into pieces smaller
// than the kernel asked for where maxFrame demands it, which TCP allows. UDP is
// always cut at h.GSOSize, whatever maxFrame is, because the application chose
// the size of its datagrams.
//
// With GSONone the frame is the one segment; Start does not parse or change it,
// it keeps its header, and maxFrame has no meaning.
//
// A super-frame that h does not describe correctly is an error and gives no
// segments. h.HdrLen is a hint and not used.
func (c *Cutter) Start(buf []byte, off, n int, h Header, maxFrame int) error {
	c.buf, c.count, c.left = nil, 0, 0
	if off < 0 || n < 0 || off > len(buf) || n > len(buf)-off {
		return errCutBounds
	}
	if h.GSOType == GSONone {
		c.buf, c.out, c.lay = buf, h, layout{}
		c.next, c.end, c.count, c.left = off, off+n, 1, 1
		return nil
	}
	frame := buf[off : off+n]
	l, err := parse(frame)
	if err != nil {
		return err
	}
	size, err := segmentSize(&l, n, h, maxFrame)
	if err != nil {
		return err
	}
	c.buf, c.lay = buf, l
	c.next, c.end = off+l.payload, off+n
	c.count = max(1, (n-l.payload+size-1)/size)
	c.left = c.count
	c.out = Header{Flags: FlagNeedsCsum, CsumStart: h.CsumStart, CsumOffset: h.CsumOffset}
	c.prepare(frame, size)
	return nil
}

// segmentSize checks a super-frame of n bytes against its vnet header and
// returns the payload bytes of every segment but the last.
func segmentSize(l *layout, n int, h Header, maxFrame int) (int, error) {
	var fits bool
	switch h.GSOType {
	case GSOTCPv4, GSOTCPv4 | GSOECN:
		fits = l.protocol == protoTCP && !l.v6
	case GSOTCPv6, GSOTCPv6 | GSOECN:
		fits = l.protocol == protoTCP && l.v6
	case GSOUDPL4:
		fits = l.protocol == protoUDP
	}
	size := int(h.GSOSize)
	switch {
	case !fits:
		return 0, errCutType
	case l.end != n:
		return 0, errCutPadding
	case size == 0:
		return 0, errCutSize
	case !l.partialHere(h):
		return 0, errCutChecksum
	}
	if l.protocol == protoTCP && maxFrame > 0 && size > maxFrame-l.payload {
		size = maxFrame - l.payload
		if size < 1 {
			return 0, errCutMaxFrame
		}
	}
	return size, nil
}

// prepare makes head the headers of the first segment.
func (c *Cutter) prepare(frame []byte, size int) {
	l := &c.lay
	copy(c.head[:], frame[:l.payload])
	c.base = uint32(fold(l.partialBase(frame)))
	if !l.v6 {
		c.ipSum = uint32(fold(l.headerSum(frame)))
		c.id = binary.BigEndian.Uint16(frame[l.ip+ipv4ID:])
	}
	if l.protocol == protoTCP {
		c.seq = binary.BigEndian.Uint32(frame[l.transport+tcpSeq:])
		flags := &c.head[l.transport+tcpFlags]
		c.ending = *flags & (tcpFIN | tcpPSH)
		*flags &^= c.ending
	}
	c.setSize(size)
}

// Count is the number of segments of the super-frame: 0 before the first Start
// and after one that failed.
func (c *Cutter) Count() int { return c.count }

// Next makes the next segment: a complete Ethernet frame in buf[off:off+n] of
// the buffer given to Start, with its own vnet header h, whose checksum is
// partial. ok is false when there are no more.
//
// The segment's payload stays where it is. Next writes its headers in front of
// it, over the end of the previous segment, which the caller must not need any
// more.
func (c *Cutter) Next() (off, n int, h Header, ok bool) {
	if c.left == 0 {
		return 0, 0, Header{}, false
	}
	c.left--
	if c.lay.protocol == 0 {
		return c.next, c.end - c.next, c.out, true
	}
	if c.left == 0 {
		c.setLast()
	}
	length := c.lay.payload
	off = c.next - length
	copy(c.buf[off:c.next], c.head[:length])
	n = length + c.size
	c.next += c.size
	if c.left > 0 {
		c.advance()
	}
	return off, n, c.out, true
}

// advance makes head the headers of the next segment. Next calls it right after
// it has copied head, not before the next copy, so that these small writes have
// left the store buffer when the copy reads them in large words.
func (c *Cutter) advance() {
	l := &c.lay
	if !l.v6 {
		c.id++
		c.setID()
	}
	if l.protocol == protoTCP {
		c.seq += uint32(c.size)
		h := c.head[l.transport : l.transport+tcpLen]
		binary.BigEndian.PutUint32(h[tcpSeq:], c.seq)
		h[tcpFlags] &^= tcpCWR // only the first tells that the window was reduced (RFC 3168, section 6.1.2)
	}
}

// setLast gives the last segment the rest of the payload, and FIN and PSH.
func (c *Cutter) setLast() {
	if size := c.end - c.next; size != c.size {
		c.setSize(size)
	}
	if c.lay.protocol == protoTCP {
		c.head[c.lay.transport+tcpFlags] |= c.ending
	}
}

// setSize writes all lengths, and the checksums they are part of, for a segment
// with size bytes of payload.
func (c *Cutter) setSize(size int) {
	c.size = size
	l := &c.lay
	segment := l.payload - l.transport + size
	if l.v6 {
		binary.BigEndian.PutUint16(c.head[l.ip+ipv6Payload:], uint16(l.payload-l.ip-ipv6Len+size))
	} else {
		binary.BigEndian.PutUint16(c.head[l.ip+ipv4Total:], uint16(l.payload-l.ip+size))
		c.setID()
	}
	if l.protocol == protoUDP {
		binary.BigEndian.PutUint16(c.head[l.transport+udpLength:], uint16(segment))
	}
	binary.BigEndian.PutUint16(c.head[l.transport+l.checksumOffset():], fold(c.base+uint32(segment)))
}

// setID writes the IPv4 identification and the header checksum.
func (c *Cutter) setID() {
	l := &c.lay
	h := c.head[l.ip : l.ip+ipv4Len]
	binary.BigEndian.PutUint16(h[ipv4ID:], c.id)
	binary.BigEndian.PutUint16(h[ipv4Checksum:], ^fold(c.ipSum+uint32(l.payload-l.ip+c.size)+uint32(c.id)))
}
