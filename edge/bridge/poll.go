package bridge

import (
	"encoding/binary"
	"net/netip"
	"time"

	"hedgerow/protocol"
)

// Bounds of asking for stations on our own LAN.
const (
	maxPolls = 1024
	pollAge  = int64(10 * time.Second)
	pollWait = int64(150 * time.Millisecond) // within which a station answers on its own LAN
)

// Ask returns what we know of a station on our own side, for a question of somebody who
// heard it elsewhere since ago. The next frame of the station is written down at once.
// addr is the IP address to ask for on our LAN, and is not valid if none is known or of
// any use: whoever asks there calls Polled.
func (f *FDB[E]) Ask(now int64, key Key, since time.Duration) (a Answer, addr netip.Addr) {
	var here E
	f.mu.Lock()
	defer f.mu.Unlock()
	a.Key = key
	e, ok := f.entries[key]
	if !ok || e.edge != here || f.old(now, e) {
		return a, addr
	}
	a.Known, a.Ago = true, time.Duration(now-e.seen)
	if a.Ago < since {
		a.Since = true
		return a, addr
	}
	e.note |= noteWatched
	f.entries[key] = e
	at, polled := f.polls[key]
	polled = polled && at > e.seen
	a.Polled = polled && now-at >= pollWait
	if !polled && len(f.polls) < maxPolls {
		addr = f.addresses[key]
	}
	return a, addr
}

// Polled notes that a station was asked for on our own LAN.
func (f *FDB[E]) Polled(now int64, key Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polls[key] = now
}

// SenderIP returns the IP address that the sender of the frame says it has, in ARP or
// neighbour discovery and in its own name. It is not valid if the frame says nothing of
// that.
func (f *Parsed) SenderIP() (addr netip.Addr) {
	if !f.Resolves() {
		return addr
	}
	c := f.Claim()
	if ips := c.IPs(); c.Kind == Claims && !c.Foreign && len(ips) > 0 {
		addr = ips[len(ips)-1] // of an advertisement the target
	}
	return addr
}

// TargetIP returns the IP address that the frame, which is for one station, is sent to, or
// asks for in ARP. It is not valid if there is none that a station can have.
func (f *Parsed) TargetIP() (addr netip.Addr) {
	switch p := f.Payload(); f.etherType {
	case protocol.EtherTypeIPv4:
		if len(p) >= ipv4Len {
			addr = netip.AddrFrom4([4]byte(p[16:]))
		}
	case protocol.EtherTypeIPv6:
		if len(p) >= ipv6Len {
			addr = netip.AddrFrom16([16]byte(p[24:]))
		}
	case etherTypeARP:
		if isARP(p) {
			addr = netip.AddrFrom4([4]byte(p[24:]))
		}
	}
	if !ofHost(addr) {
		return netip.Addr{}
	}
	return addr
}

// Numbers of the frames below (RFC 826, RFC 903).
const (
	minFrame        = 60
	typeRARP        = 0x8035
	arpRequest      = 1
	rarpRequest     = 3
	arpHardware     = 1          // Ethernet
	solicitationLen = 8 + 16 + 8 // bytes of one with its option
)

// Groups that a poll goes to. All IPv6 hosts are in theirs, whatever a switch that snoops
// on MLD has heard of them (RFC 4541, section 3); a solicited-node group it may not pass to
// where the station is now.
var (
	allNodesMAC = protocol.MAC{0x33, 0x33, 0, 0, 0, 1}
	allNodes    = netip.IPv6LinkLocalAllNodes()
)

// AppendPoll appends a frame that asks for a station on our LAN by its IP address, from
// our own hardware address. It goes to everybody, because switches may be wrong about
// where the station is. For IPv4 it is an ARP probe, which claims no address (RFC 5227,
// section 2.1.1). For IPv6 it is a neighbour solicitation from the link-local address of
// our hardware address: one from none would tell a station that is about to take its
// address that somebody else is, too (RFC 4862, section 5.4.3).
func AppendPoll(dst []byte, self protocol.MAC, vlan uint16, addr netip.Addr) []byte {
	at := len(dst)
	if addr.Is4() {
		dst = appendHeader(dst, protocol.Broadcast, self, vlan, etherTypeARP)
		dst = appendARP(dst, arpRequest, self)
		dst = append(dst, 0, 0, 0, 0, 0, 0)
		return pad(append(dst, addr.AsSlice()...), at)
	}
	dst = appendHeader(dst, allNodesMAC, self, vlan, protocol.EtherTypeIPv6)
	ip := len(dst)
	dst = append(dst, 0x60, 0, 0, 0, 0, solicitationLen, protoICMPv6, 255)
	dst = append(append(dst, linkLocal(self)...), allNodes.AsSlice()...)
	dst = append(dst, icmpNeighborSolicitation, 0, 0, 0, 0, 0, 0, 0)
	dst = append(append(dst, addr.AsSlice()...), optSource, 1)
	dst = append(dst, self[:]...)
	binary.BigEndian.PutUint16(dst[ip+ipv6Len+2:], icmpv6Sum(dst[ip:]))
	return dst
}

// linkLocal returns the IPv6 address of the link that follows from a hardware address
// (RFC 4291, appendix A).
func linkLocal(m protocol.MAC) []byte {
	return []byte{0xfe, 0x80, 0, 0, 0, 0, 0, 0, m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}
}

// icmpv6Sum returns the checksum of an ICMPv6 message in an IPv6 packet without extension
// headers, in which it is zero yet (RFC 4443, section 2.3); 0 for one that has a right one.
func icmpv6Sum(p []byte) uint16 {
	return ^fold(sum(p[8:], uint32(len(p)-ipv6Len)+protoICMPv6)) // from the addresses on
}

// AppendMoved appends a frame that tells the switches of our LAN that a station is
// behind us now: a RARP request in the station's name, as hypervisors send it for a
// machine that has moved. It says nothing of addresses.
func AppendMoved(dst []byte, key Key) []byte {
	at := len(dst)
	dst = appendHeader(dst, protocol.Broadcast, key.MAC, key.VLAN, typeRARP)
	dst = appendARP(dst, rarpRequest, key.MAC)
	dst = append(dst, key.MAC[:]...)
	return pad(append(dst, 0, 0, 0, 0), at)
}

// appendHeader appends an Ethernet header, with a tag unless the VLAN is 0.
func appendHeader(dst []byte, to, src protocol.MAC, vlan, typ uint16) []byte {
	dst = append(append(dst, to[:]...), src[:]...)
	if vlan != 0 {
		dst = binary.BigEndian.AppendUint16(dst, protocol.EtherTypeVLAN)
		dst = binary.BigEndian.AppendUint16(dst, vlan)
	}
	return binary.BigEndian.AppendUint16(dst, typ)
}

// appendARP appends an ARP packet up to the sender's IPv4 address, which is none.
func appendARP(dst []byte, op uint16, sender protocol.MAC) []byte {
	dst = binary.BigEndian.AppendUint16(dst, arpHardware)
	dst = binary.BigEndian.AppendUint16(dst, protocol.EtherTypeIPv4)
	dst = append(dst, 6, 4)
	dst = binary.BigEndian.AppendUint16(dst, op)
	dst = append(dst, sender[:]...)
	return append(dst, 0, 0, 0, 0)
}

// pad appends what the frame that begins at an index lacks to the shortest one.
func pad(dst []byte, at int) []byte {
	for len(dst)-at < minFrame {
		dst = append(dst, 0)
	}
	return dst
}
