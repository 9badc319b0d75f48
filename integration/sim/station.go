package sim

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hedgerow/protocol"
)

// Station is a host on a LAN that speaks IPv4, or IPv6 alone. It answers who asks for its
// address, and every numbered packet that is for it.
type Station struct {
	MAC protocol.MAC
	IP  netip.Addr

	mu       sync.Mutex
	lan      *Segment
	port     *port
	requests map[uint64]time.Time // numbered packets that came, and when
	answers  map[uint64]time.Time
	resolved map[netip.Addr]resolution
	waiting  map[netip.Addr][]uint64 // numbered packets that wait for an answer to ARP
}

// resolution is the hardware address of a neighbour, and when it was heard last.
type resolution struct {
	mac protocol.MAC
	at  time.Time
}

// Times of ARP at a station. Hosts keep what they have resolved for 20 seconds to some
// minutes (RFC 1122, section 2.3.2.1), and ask three times.
const (
	resolutionAge = time.Minute
	askAgain      = time.Second
	askTimes      = 3
)

// NewStation returns the n-th of many stations, on no LAN.
func NewStation(n byte) *Station {
	return newStation(uint16(n), netip.AddrFrom4([4]byte{192, 0, 2, n}))
}

// NewStation6 is NewStation for one that speaks IPv6 alone.
func NewStation6(n byte) *Station {
	return newStation(uint16(n), netip.AddrFrom16([16]byte{0xfe, 0x80, 15: n}))
}

func newStation(n uint16, ip netip.Addr) *Station {
	return &Station{
		MAC: protocol.MAC{0x52, 0x54, 0, 0, byte(n >> 8), byte(n)}, IP: ip, requests: make(map[uint64]time.Time), answers: make(map[uint64]time.Time),
		resolved: make(map[netip.Addr]resolution), waiting: make(map[netip.Addr][]uint64),
	}
}

// Attach plugs a station into a LAN, out of the one that it was on. nil is none.
func (s *Station) Attach(l *Segment) {
	var p *port
	if l != nil {
		p = &port{out: s.receive}
		l.plug(p)
	}
	s.mu.Lock()
	lan, old := s.lan, s.port
	s.lan, s.port = l, p
	s.mu.Unlock()
	if lan != nil {
		lan.remove(old)
	}
}

// Say sends a frame that is no IP.
func (s *Station) Say(dst protocol.MAC, payload []byte) { s.send(Frame(dst, s.MAC, payload)) }

func (s *Station) send(frame []byte) {
	s.mu.Lock()
	lan, port := s.lan, s.port
	s.mu.Unlock()
	if lan != nil {
		lan.receive(port, frame)
	}
}

// Ask sends a station a numbered packet, which it answers.
func (s *Station) Ask(to *Station, number uint64) { s.number(stationRequest, to.MAC, to.IP, number) }

// Talk is Ask to an IPv4 address, which the station resolves unless it has.
func (s *Station) Talk(to netip.Addr, number uint64) {
	s.mu.Lock()
	r := s.resolved[to]
	known := time.Since(r.at) < resolutionAge
	if !known {
		s.waiting[to] = append(s.waiting[to], number)
	}
	first := len(s.waiting[to]) == 1
	s.mu.Unlock()
	switch {
	case known:
		s.number(stationRequest, r.mac, to, number)
	case first:
		s.resolve(to, askTimes)
	}
}

// resolve asks for an address, and again if nobody answers.
func (s *Station) resolve(to netip.Addr, times int) {
	s.mu.Lock()
	waits := len(s.waiting[to]) > 0
	if times == 0 {
		delete(s.waiting, to)
	}
	s.mu.Unlock()
	if waits && times > 0 {
		s.send(s.arp(1, protocol.Broadcast, to.As4()))
		time.AfterFunc(askAgain, func() { s.resolve(to, times-1) })
	}
}

// heardARP takes ARP: its sender is resolved if it asks us or answers us, or was before
// (RFC 826).
func (s *Station) heardARP(mac protocol.MAC, p []byte) {
	from, us := netip.AddrFrom4([4]byte(p[14:])), [4]byte(p[24:]) == s.IP.As4()
	s.mu.Lock()
	_, before := s.resolved[from]
	if us || before {
		s.resolved[from] = resolution{mac, time.Now()}
	}
	waiting := s.waiting[from]
	if us {
		delete(s.waiting, from)
	} else {
		waiting = nil
	}
	s.mu.Unlock()
	if us && p[7] == 1 {
		s.send(s.arp(2, mac, from.As4()))
	}
	for _, n := range waiting {
		s.number(stationRequest, mac, from, n)
	}
}

// Kinds of numbered packets: the first byte of the payload.
const (
	stationRequest = 1
	stationAnswer  = 2
)

// Numbers in IP packets. The protocol is one for experiments (RFC 3692, section 2.1).
const (
	etherTypeARP    = 0x0806
	protoExperiment = 253
	protoICMPv6     = 58
	solicitation    = 135
	advertisement   = 136
)

// number sends a numbered packet.
func (s *Station) number(kind byte, mac protocol.MAC, ip netip.Addr, number uint64) {
	s.send(ipFrame(s.MAC, mac, s.IP, ip, protoExperiment, binary.BigEndian.AppendUint64([]byte{kind}, number)))
}

// ipFrame makes an IP packet in a frame. Checksums are zero: nobody here looks at them.
func ipFrame(src, dst protocol.MAC, from, to netip.Addr, proto byte, payload []byte) []byte {
	f := slices.Concat(dst[:], src[:])
	if from.Is4() {
		f = append(f, 0x08, 0, 0x45, 0)
		f = binary.BigEndian.AppendUint16(f, uint16(20+len(payload)))
		f = append(f, 0, 0, 0, 0, 64, proto, 0, 0)
	} else {
		f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0)
		f = append(binary.BigEndian.AppendUint16(f, uint16(len(payload))), proto, 255)
	}
	return slices.Concat(f, from.AsSlice(), to.AsSlice(), payload)
}

// Announce says where a station is, as one does that was plugged in: by gratuitous ARP, or
// by an unsolicited advertisement.
func (s *Station) Announce() {
	if s.IP.Is4() {
		s.send(s.arp(1, protocol.Broadcast, s.IP.As4()))
	} else {
		s.send(s.advertise(protocol.MAC{0x33, 0x33, 0, 0, 0, 1}, netip.IPv6LinkLocalAllNodes()))
	}
}

// arp makes ARP of the station.
func (s *Station) arp(op byte, to protocol.MAC, target [4]byte) []byte {
	b := slices.Concat(to[:], s.MAC[:], []byte{0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, op}, s.MAC[:], s.IP.AsSlice(), to[:], target[:])
	return append(b, make([]byte, 18)...)
}

// advertise makes an advertisement of the station's address (RFC 4861, section 4.4).
func (s *Station) advertise(mac protocol.MAC, to netip.Addr) []byte {
	return ipFrame(s.MAC, mac, s.IP, to, protoICMPv6, slices.Concat([]byte{advertisement, 0, 0, 0, 0x20, 0, 0, 0}, s.IP.AsSlice(), []byte{2, 1}, s.MAC[:]))
}

// receive takes a frame of the LAN.
func (s *Station) receive(frame []byte) {
	f := protocol.Frame(frame)
	if f.Dst() != s.MAC && !f.Dst().IsGroup() {
		return
	}
	p := f.Payload()
	switch f.EtherType() {
	case etherTypeARP:
		if s.IP.Is4() {
			s.heardARP(f.Src(), p)
		}
	case protocol.EtherTypeIPv4:
		if s.IP.Is4() && p[9] == protoExperiment && [4]byte(p[16:]) == s.IP.As4() {
			s.numbered(f.Src(), netip.AddrFrom4([4]byte(p[12:])), p[20:])
		}
	case protocol.EtherTypeIPv6:
		s.receiveIPv6(f.Src(), p)
	}
}

// receiveIPv6 takes an IPv6 packet.
func (s *Station) receiveIPv6(mac protocol.MAC, p []byte) {
	from := netip.AddrFrom16([16]byte(p[8:]))
	switch {
	case s.IP.Is4():
	case p[6] == protoICMPv6 && p[40] == solicitation && [16]byte(p[48:]) == s.IP.As16():
		s.send(s.advertise(mac, from))
	case p[6] == protoExperiment && [16]byte(p[24:]) == s.IP.As16():
		s.numbered(mac, from, p[40:])
	}
}

// numbered takes a numbered packet.
func (s *Station) numbered(mac protocol.MAC, from netip.Addr, b []byte) {
	n := binary.BigEndian.Uint64(b[1:])
	s.mu.Lock()
	if b[0] == stationRequest {
		s.requests[n] = time.Now()
	} else {
		s.answers[n] = time.Now()
	}
	s.mu.Unlock()
	if b[0] == stationRequest {
		s.number(stationAnswer, mac, from, n)
	}
}

// Got returns when the station got a numbered packet, the zero time if it did not.
func (s *Station) Got(number uint64) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[number]
}

// Answered returns how many numbered packets of the station were answered.
func (s *Station) Answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answers)
}
