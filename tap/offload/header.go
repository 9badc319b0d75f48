package offload

import "encoding/binary"

// HeaderLen is the size in bytes of a Header in front of every frame of a device
// with vnet headers.
const HeaderLen = 10

// FlagNeedsCsum in Header.Flags says that the checksum field holds only the sum
// of the pseudo-header: the complete checksum is the sum from CsumStart to the
// frame's end, and goes to CsumOffset behind CsumStart.
const FlagNeedsCsum = 1

// The values of Header.GSOType (virtio 1.2, section 5.1.6; linux/virtio_net.h).
const (
	GSONone  = 0    // one frame
	GSOTCPv4 = 1    // TCP over IPv4
	GSOUDP   = 3    // one IPv4 UDP datagram to be fragmented: never asked for
	GSOTCPv6 = 4    // TCP over IPv6
	GSOUDPL4 = 5    // UDP datagrams of one size over IPv4 or IPv6
	GSOECN   = 0x80 // in addition: the first TCP segment has CWR set
)

// Header is the offload that a frame still needs: struct virtio_net_hdr (virtio
// 1.2, section 5.1.6). The zero value is a plain frame with complete checksums.
type Header struct {
	Flags      uint8  // FlagNeedsCsum
	GSOType    uint8  // GSONone, or the kind of super-frame
	HdrLen     uint16 // bytes of headers that every segment repeats; a hint
	GSOSize    uint16 // payload bytes of each segment but the last
	CsumStart  uint16 // where summing starts, in bytes from the frame's start
	CsumOffset uint16 // where the sum goes, in bytes from CsumStart
}

// Put writes the header to b[:HeaderLen] as the kernel reads it, in the host's
// byte order. It panics if b is shorter.
func (h Header) Put(b []byte) {
	_ = b[HeaderLen-1]
	b[0], b[1] = h.Flags, h.GSOType
	binary.NativeEndian.PutUint16(b[2:], h.HdrLen)
	binary.NativeEndian.PutUint16(b[4:], h.GSOSize)
	binary.NativeEndian.PutUint16(b[6:], h.CsumStart)
	binary.NativeEndian.PutUint16(b[8:], h.CsumOffset)
}

// Parse reads the header in b[:HeaderLen]. It panics if b is shorter.
func Parse(b []byte) Header {
	_ = b[HeaderLen-1]
	return Header{
		Flags: b[0], GSOType: b[1],
		HdrLen:    binary.NativeEndian.Uint16(b[2:]),
		GSOSize:   binary.NativeEndian.Uint16(b[4:]),
		CsumStart: binary.NativeEndian.Uint16(b[6:]), CsumOffset: binary.NativeEndian.Uint16(b[8:]),
	}
}
