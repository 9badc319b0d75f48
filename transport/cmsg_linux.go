package transport

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A control is room for the control messages of one message (cmsg(3)), aligned
// as they must be: on sending those of an envelope, on receiving UDP_GRO,
// IPV6_PKTINFO or IP_PKTINFO, and IPV6_TCLASS or IP_TOS.
type control [16]uint64

// An envelope is what goes with a message besides its address.
type envelope struct {
	local   netip.Addr // it leaves from; not valid: the kernel chooses
	ifindex uint32     // of the interface that a link-local local belongs to
	ttl     uint8      // 0: the socket's
	tos     uint8      // 0: the socket's, which is 0
	four    bool       // the datagram is an IPv4 one
	seg     int        // the segment size of a train; 0: one datagram
}

// put writes the control messages of an outgoing message: the local address is first and
// the segment size last. It returns where three of them end in bytes: the local address,
// what goes with a single datagram as well, and all.
func (c *control) put(e *envelope) (pinned, alone, all int) {
	switch {
	case !e.local.IsValid():
	case e.local.Is4():
		info := (*unix.Inet4Pktinfo)(c.header(0, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo))
		*info = unix.Inet4Pktinfo{Spec_dst: e.local.As4()}
		pinned = unix.CmsgSpace(unix.SizeofInet4Pktinfo)
	default:
		info := (*unix.Inet6Pktinfo)(c.header(0, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo))
		*info = unix.Inet6Pktinfo{Addr: e.local.As16(), Ifindex: e.ifindex}
		pinned = unix.CmsgSpace(unix.SizeofInet6Pktinfo)
	}
	if alone = pinned; e.ttl != 0 { // the socket's option would change those of other goroutines
		alone = c.octet(alone, e.four, unix.IP_TTL, unix.IPV6_HOPLIMIT, e.ttl)
	}
	if e.tos != 0 {
		alone = c.octet(alone, e.four, unix.IP_TOS, unix.IPV6_TCLASS, e.tos)
	}
	if all = alone; e.seg != 0 {
		*(*uint16)(c.header(all, unix.IPPROTO_UDP, unix.UDP_SEGMENT, 2)) = uint16(e.seg)
		all += unix.CmsgSpace(2)
	}
	return pinned, alone, all
}

// octet writes the control message that gives an octet of the IP header, at an offset, and
// returns where it ends. It is an int (ip(7), ipv6(7)); on IPv4 sockets, and for IPv4
// datagrams on dual-stack ones, of the kind of IPv4.
func (c *control) octet(at int, four bool, kind4, kind6 int32, is uint8) (end int) {
	level, kind := int32(unix.IPPROTO_IPV6), kind6
	if four {
		level, kind = unix.IPPROTO_IP, kind4
	}
	*(*int32)(c.header(at, level, kind, 4)) = int32(is)
	return at + unix.CmsgSpace(4)
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

// received is what the control messages of a received message say.
type received struct {
	seg   int     // the size of its datagrams (UDP_GRO, an int); 0: the kernel names none
	local pktinfo // where it was sent to
	tos   uint8   // of all its datagrams: the kernel joins those of one
}

// pktinfo is an address of this host with its interface, as the kernel has it
// (in6_pktinfo, an IPv4 address in its mapped form). The zero value is none.
type pktinfo unix.Inet6Pktinfo

// parseControl reads control messages. It accepts any bytes.
func parseControl(b []byte) (r received) {
	for len(b) >= unix.SizeofCmsghdr {
		var h unix.Cmsghdr // copied: b may begin at any address
		*(*[unix.SizeofCmsghdr]byte)(unsafe.Pointer(&h)) = [unix.SizeofCmsghdr]byte(b)
		if h.Len < unix.SizeofCmsghdr || uint64(h.Len) > uint64(len(b)) {
			return r
		}
		data := b[unix.CmsgLen(0):h.Len]
		switch {
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			r.seg = max(int(int32(binary.NativeEndian.Uint32(data))), 0)
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS && len(data) > 0:
			r.tos = data[0] // an octet (ip(7))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
			r.tos = uint8(binary.NativeEndian.Uint32(data)) // an int (RFC 3542, section 6.5)
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			r.local = pktinfo{Addr: [16]byte(data), Ifindex: binary.NativeEndian.Uint32(data[16:])}
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			r.local = pktinfo{Addr: netip.AddrFrom4([4]byte(data[4:])).As16(), Ifindex: binary.NativeEndian.Uint32(data)}
		}
		b = b[min(unix.CmsgSpace(len(data)), len(b)):]
	}
	return r
}

// addr returns the address: none for a group, which no datagram can leave from. A
// link-local IPv6 address means something on its interface only.
func (p *pktinfo) addr(z *zones) netip.Addr {
	a := netip.AddrFrom16(p.Addr).Unmap()
	if a.IsUnspecified() || a.IsMulticast() || a == broadcast4 {
		return netip.Addr{}
	}
	if a.Is6() && a.IsLinkLocalUnicast() {
		return a.WithZone(z.name(p.Ifindex))
	}
	return a
}

// broadcast4 is the limited broadcast address (RFC 919). That of a subnet looks like
// any other address: nothing can leave from it, so the kernel refuses it.
var broadcast4 = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// tellTOS has the kernel say of each datagram which TOS it came with. An AF_INET6
// socket needs both options, one for each family.
func tellTOS(fd int, only4 bool) error {
	err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
	if err == nil && !only4 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
	}
	return err
}

// tellLocal has the kernel say of each datagram which address of this host it was sent
// to. An AF_INET6 socket says it of IPv4 datagrams, too.
func tellLocal(fd int, only4 bool) error {
	if only4 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
}
