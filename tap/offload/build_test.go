package offload

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// spec describes a TCP or UDP frame that gopacket builds, complete with its
// checksums.
type spec struct {
	tags     []uint16 // EtherTypes of the tags
	vlan     uint16
	srcMAC   byte // last byte
	v6, udp  bool
	src, dst byte // last byte of the addresses
	ttl, tos uint8
	label    uint32
	id       uint16
	df       bool
	options  []layers.IPv4Option
	ext      []byte // numbers of extension headers
	extFill  byte   // content of their options
	sport    uint16
	dport    uint16
	seq, ack uint32
	window   uint16
	flags    byte
	tcpOpts  []layers.TCPOption
	payload  []byte
}

// plain is a frame of 100 bytes of payload to vary.
func plain(v6, udp bool) spec {
	return spec{
		v6: v6, udp: udp, src: 1, dst: 2, ttl: 64, id: 7, sport: 40000, dport: 50000,
		seq: 1 << 30, ack: 99, window: 500, flags: tcpACK, payload: pattern(100),
		tcpOpts: []layers.TCPOption{
			{OptionType: layers.TCPOptionKindNop}, {OptionType: layers.TCPOptionKindNop},
			{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{0, 0, 0, 1, 0, 0, 0, 2}},
		},
	}
}

// pattern is n bytes that differ from place to place.
func pattern(n int) []byte {
	b := make([]byte, n)
	r := rand.NewPCG(1, uint64(n))
	for i := range b {
		b[i] = byte(r.Uint64())
	}
	return b
}

// random is a spec of any shape; its payload has size bytes.
func random(r *rand.Rand, size int) spec {
	s := plain(r.IntN(2) == 0, r.IntN(2) == 0)
	s.tags = [][]uint16{nil, nil, {typeTag}, {typeSTag, typeTag}, {typeTag, typeTag, typeTag}}[r.IntN(5)]
	s.vlan, s.ttl, s.tos, s.label = uint16(r.IntN(4096)), uint8(1+r.IntN(255)), uint8(r.IntN(256)), r.Uint32()&0xfffff
	s.id, s.df = uint16(r.Uint32()), r.IntN(2) == 0
	s.seq, s.ack, s.window = r.Uint32(), r.Uint32(), uint16(r.Uint32())
	if r.IntN(2) == 0 {
		s.tcpOpts = nil
	}
	if r.IntN(4) == 0 {
		s.options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
	}
	if r.IntN(3) == 0 {
		s.ext = [][]byte{{extHop}, {extDest}, {extHop, extDest}, {extHop, extRouting, extDest}}[r.IntN(4)]
	}
	s.flags |= byte(r.IntN(2)*tcpPSH | r.IntN(2)*tcpFIN | r.IntN(2)*tcpECE | r.IntN(2)*tcpCWR)
	s.payload = pattern(size)
	return s
}

// frame is the frame as bytes.
func (s spec) frame(t testing.TB) []byte {
	t.Helper()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	next, proto := layers.EthernetTypeIPv4, layers.IPProtocolTCP
	if s.v6 {
		next = layers.EthernetTypeIPv6
	}
	if s.udp {
		proto = layers.IPProtocolUDP
	}
	address := func(last byte) net.IP {
		if s.v6 {
			return net.IP{0xfd, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, last}
		}
		return net.IP{192, 168, 3, last}
	}
	ip4 := &layers.IPv4{Version: 4, TOS: s.tos, Id: s.id, TTL: s.ttl, Protocol: proto, SrcIP: address(s.src), DstIP: address(s.dst), Options: s.options}
	if s.df {
		ip4.Flags = layers.IPv4DontFragment
	}
	ip6 := &layers.IPv6{Version: 6, TrafficClass: s.tos, FlowLabel: s.label, HopLimit: s.ttl, NextHeader: proto, SrcIP: address(s.src), DstIP: address(s.dst)}
	var network interface {
		gopacket.NetworkLayer
		gopacket.SerializableLayer
	} = ip4
	if s.v6 {
		network = ip6
	}

	inner := gopacket.NewSerializeBuffer()
	var err error
	if s.udp {
		udp := &layers.UDP{SrcPort: layers.UDPPort(s.sport), DstPort: layers.UDPPort(s.dport)}
		_ = udp.SetNetworkLayerForChecksum(network)
		err = gopacket.SerializeLayers(inner, options, udp, gopacket.Payload(s.payload))
	} else {
		tcp := &layers.TCP{
			SrcPort: layers.TCPPort(s.sport), DstPort: layers.TCPPort(s.dport), Seq: s.seq, Ack: s.ack, Window: s.window, Options: s.tcpOpts,
			FIN: s.flags&1 != 0, SYN: s.flags&2 != 0, RST: s.flags&4 != 0, PSH: s.flags&8 != 0,
			ACK: s.flags&16 != 0, URG: s.flags&32 != 0, ECE: s.flags&64 != 0, CWR: s.flags&128 != 0,
		}
		_ = tcp.SetNetworkLayerForChecksum(network)
		err = gopacket.SerializeLayers(inner, options, tcp, gopacket.Payload(s.payload))
	}
	if err != nil {
		t.Fatal(err)
	}
	body := inner.Bytes()
	if s.v6 {
		for i := len(s.ext) - 1; i >= 0; i-- {
			// A padding option of 4 bytes, or a routing header of no addresses.
			header := []byte{byte(ip6.NextHeader), 0, 1, 4, s.extFill, s.extFill, s.extFill, s.extFill}
			if s.ext[i] == extRouting {
				header = []byte{byte(ip6.NextHeader), 0, 0, 0, 0, 0, 0, 0}
			}
			body, ip6.NextHeader = append(header, body...), layers.IPProtocol(s.ext[i])
		}
	}
	all := []gopacket.SerializableLayer{nil}
	first := next
	for i := len(s.tags) - 1; i >= 0; i-- {
		all = append(all, nil)
		copy(all[2:], all[1:])
		all[1] = &layers.Dot1Q{VLANIdentifier: s.vlan, Type: first}
		first = layers.EthernetType(s.tags[i])
	}
	all[0] = &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, s.srcMAC}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 1, 1}, EthernetType: first}
	outer := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(outer, options, append(all, network, gopacket.Payload(body))...); err != nil {
		t.Fatal(err)
	}
	return outer.Bytes()[:s.headers()+len(s.payload)] // gopacket pads to 60 bytes
}

// transport and headers are the offsets of the transport header and the payload.
func (s spec) transport() int {
	n := etherLen + tagLen*len(s.tags)
	if s.v6 {
		return n + ipv6Len + 8*len(s.ext)
	}
	for _, o := range s.options {
		n += int(o.OptionLength)
	}
	return n + ipv4Len
}

func (s spec) headers() int {
	if s.udp {
		return s.transport() + udpLen
	}
	n := tcpLen
	for _, o := range s.tcpOpts {
		n += max(1, int(o.OptionLength))
	}
	return s.transport() + n
}

// partial is the frame with a partial checksum, as the kernel gives it.
func (s spec) partial(t testing.TB) ([]byte, Header) {
	t.Helper()
	frame := s.frame(t)
	start := s.transport()
	h := Header{Flags: FlagNeedsCsum, CsumStart: uint16(start), CsumOffset: tcpChecksum}
	proto := protoTCP
	if s.udp {
		h.CsumOffset, proto = udpChecksum, protoUDP
	}
	ip := frame[etherLen+tagLen*len(s.tags):]
	addresses := ip[12:20]
	if s.v6 {
		addresses = ip[8:40]
	}
	pseudo := binary.BigEndian.AppendUint32(append([]byte{}, addresses...), uint32(len(frame)-start))
	pseudo = append(pseudo, 0, 0, 0, byte(proto))
	binary.BigEndian.PutUint16(frame[start+int(h.CsumOffset):], slowSum(pseudo))
	return frame, h
}

// super is the frame as a super-frame of segments of size bytes.
func (s spec) super(t testing.TB, size int) ([]byte, Header) {
	t.Helper()
	frame, h := s.partial(t)
	h.GSOSize, h.HdrLen, h.GSOType = uint16(size), uint16(s.headers()), GSOTCPv4
	switch {
	case s.udp:
		h.GSOType = GSOUDPL4
	case s.v6:
		h.GSOType = GSOTCPv6
	}
	if !s.udp && s.flags&tcpCWR != 0 {
		h.GSOType |= GSOECN
	}
	return frame, h
}

// slowSum is RFC 1071 to the letter.
func slowSum(b []byte) uint16 {
	var s uint32
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		s += word
		if s > 0xffff {
			s = s&0xffff + 1
		}
	}
	return uint16(s)
}
