package transport

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sockaddr is the kernel's form of an address and port. On an IPv4 socket the
// first bytes are a RawSockaddrInet4 and the rest is zero.
type sockaddr unix.RawSockaddrInet6

// sockaddrLen is how many bytes of a sockaddr the kernel reads and writes.
func sockaddrLen(only4 bool) uint32 {
	if only4 {
		return unix.SizeofSockaddrInet4
	}
	return unix.SizeofSockaddrInet6
}

// put encodes an address, which an IPv4 socket must be able to reach.
func (s *sockaddr) put(to netip.AddrPort, only4 bool, z *zones) {
	if only4 {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		four.Family, four.Port = unix.AF_INET, networkOrder(to.Port())
		four.Addr = to.Addr().Unmap().As4()
		return
	}
	s.Family, s.Port = unix.AF_INET6, networkOrder(to.Port())
	s.Flowinfo, s.Scope_id = 0, 0
	s.Addr = to.Addr().As16() // an IPv4 address in its mapped form
	if zone := to.Addr().Zone(); zone != "" {
		s.Scope_id = z.index(zone)
	}
}

// addrPort decodes an address. An IPv4 address comes in its own form.
func (s *sockaddr) addrPort(z *zones) netip.AddrPort {
	switch s.Family {
	case unix.AF_INET:
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(s))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), networkOrder(four.Port))
	case unix.AF_INET6:
		addr := netip.AddrFrom16(s.Addr).Unmap()
		if s.Scope_id != 0 && addr.Is6() {
			addr = addr.WithZone(z.name(s.Scope_id))
		}
		return netip.AddrPortFrom(addr, networkOrder(s.Port))
	}
	return netip.AddrPort{}
}

// networkOrder converts a port between the network's byte order and the host's,
// in both directions.
func networkOrder(port uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], port)
	return binary.NativeEndian.Uint16(b[:])
}

// zones maps the interfaces that link-local addresses belong to between names,
// which netip uses, and indices, which the kernel uses. To ask the kernel for
// each datagram would be slow, so the answers are kept for a while.
type zones struct {
	names   map[uint32]string
	indices map[string]uint32
	since   time.Time
}

const (
	// zonesFor is how long an answer holds: interfaces come and are renamed.
	zonesFor = time.Minute
	// maxZones bounds the memory that addresses of strangers cost.
	maxZones = 64
)

// fresh empties the tables when they are too old or too large.
func (z *zones) fresh() {
	if z.names == nil || time.Since(z.since) > zonesFor || len(z.names)+len(z.indices) > maxZones {
		z.names, z.indices, z.since = make(map[uint32]string), make(map[string]uint32), time.Now()
	}
}

// name returns the interface's name, or its number in digits.
func (z *zones) name(index uint32) string {
	z.fresh()
	if name, ok := z.names[index]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(index), 10)
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		name = i.Name
	}
	z.names[index] = name
	return name
}

// index returns the interface's index, or 0 if there is no interface of that
// name.
func (z *zones) index(name string) uint32 {
	z.fresh()
	if index, ok := z.indices[name]; ok {
		return index
	}
	index, _ := strconv.ParseUint(name, 10, 31)
	if i, err := net.InterfaceByName(name); err == nil {
		index = uint64(i.Index)
	}
	z.indices[name] = uint32(index)
	return uint32(index)
}
