package transport

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// A control is room for the control messages of one message (cmsg(3)), aligned
// as they must be: on sending IP_TTL and UDP_SEGMENT, on receiving UDP_GRO.
type control [8]uint64

// put writes the control messages of an outgoing message: the TTL of an IPv4
// datagram and the segment size, each 0 for none. It returns how many bytes they
// are, and how many the TTL alone, which stands in front.
func (c *control) put(ttl uint8, seg int) (all, ttlAlone int) {
	if ttl != 0 {
		// An int (ip(7)), on IPv4 sockets and for IPv4 datagrams on dual-stack
		// ones. The socket's option would change those of other goroutines.
		*(*int32)(c.header(0, unix.IPPROTO_IP, unix.IP_TTL, 4)) = int32(ttl)
		ttlAlone = unix.CmsgSpace(4)
	}
	if seg == 0 {
		return ttlAlone, ttlAlone
	}
	*(*uint16)(c.header(ttlAlone, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)) = uint16(seg)
	return ttlAlone + unix.CmsgSpace(2), ttlAlone
}

// header writes the header of a control message at an offset and returns where
// its size bytes of data go.
func (c *control) header(at int, level, kind int32, size int) unsafe.Pointer {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&c.bytes()[at]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(size))
	return unsafe.Pointer(&c.bytes()[at+unix.CmsgLen(0)])
}

func (c *control) bytes() *[unsafe.Sizeof(control{})]byte {
	return (*[unsafe.Sizeof(control{})]byte)(unsafe.Pointer(c))
}

// segmentSize returns the size of the datagrams of a received message, from its
// control messages (UDP_GRO, an int), or 0 if the kernel names none. It accepts
// any bytes.
func segmentSize(b []byte) int {
	for len(b) >= unix.SizeofCmsghdr {
		var h unix.Cmsghdr // copied: b may begin at any address
		copy((*[unix.SizeofCmsghdr]byte)(unsafe.Pointer(&h))[:], b)
		if h.Len < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(b)) {
			return 0
		}
		if h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO {
			var size int32
			if copy((*[4]byte)(unsafe.Pointer(&size))[:], b[unix.CmsgLen(0):h.Len]) < 4 {
				return 0
			}
			return max(int(size), 0)
		}
		b = b[min(unix.CmsgSpace(int(h.Len)-unix.CmsgLen(0)), len(b)):]
	}
	return 0
}
