package sim

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"hedgerow/protocol"
)

// LAN is an Ethernet segment behind a bridging edge, with stations on it. It is a hub,
// unlike Segment, which is a switch: everybody hears everything. A switch that has learned
// a station at the edge's port passes no frame for it to where it was plugged in, until
// the station speaks or the switch forgets it: that a silent move is found within seconds
// holds on hubs, and where the switch did not know the station.
type LAN struct {
	edge *Edge

	mu       sync.Mutex
	stations []*Station
	heard    map[protocol.MAC]int // frames that came from the edge, by source
}

// Deliver takes a frame that the edge wrote to its device.
func (l *LAN) Deliver(frame []byte) {
	l.mu.Lock()
	if l.heard == nil {
		l.heard = make(map[protocol.MAC]int)
	}
	l.heard[protocol.Frame(frame).Src()]++
	stations := slices.Clone(l.stations)
	l.mu.Unlock()
	for _, s := range stations {
		s.receive(frame)
	}
}

// From returns how many frames with a source came from the edge.
func (l *LAN) From(mac protocol.MAC) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard[mac]
}

// Station is a host on a LAN. It answers ARP, and every numbered frame that is for it.
type Station struct {
	MAC protocol.MAC
	IP  [4]byte

	mu       sync.Mutex
	lan      *LAN
	requests map[uint64]time.Time // numbered frames that came, and when
	answers  map[uint64]time.Time
}

// NewStation returns the n-th of many stations, on no LAN.
func NewStation(n byte) *Station {
	return &Station{
		MAC: protocol.MAC{0x52, 0x54, 0, 0, 0, n}, IP: [4]byte{192, 0, 2, n}, requests: make(map[uint64]time.Time), answers: make(map[uint64]time.Time),
	}
}

// Attach plugs a station into a LAN, out of the one that it was on. nil is none.
func (s *Station) Attach(l *LAN) {
	s.mu.Lock()
	old := s.lan
	s.lan = l
	s.mu.Unlock()
	for _, l := range []*LAN{old, l} {
		if l == nil {
			continue
		}
		l.mu.Lock()
		l.stations = slices.DeleteFunc(l.stations, func(other *Station) bool { return other == s })
		if l != old {
			l.stations = append(l.stations, s)
		}
		l.mu.Unlock()
	}
}

const etherTypeARP = 0x0806

// Kinds of numbered frames: the first byte of the payload.
const (
	stationRequest = 1
	stationAnswer  = 2
)

// Say sends a frame.
func (s *Station) Say(dst protocol.MAC, payload []byte) { s.send(Frame(dst, s.MAC, payload)) }

func (s *Station) send(frame []byte) {
	s.mu.Lock()
	lan := s.lan
	s.mu.Unlock()
	if lan != nil {
		lan.edge.Device.Inject(frame)
	}
}

// Ask sends a station a numbered frame, which it answers.
func (s *Station) Ask(dst protocol.MAC, number uint64) {
	s.Say(dst, binary.BigEndian.AppendUint64([]byte{stationRequest}, number))
}

// Announce sends gratuitous ARP, as a station does that was plugged in.
func (s *Station) Announce() { s.send(s.arp(1, protocol.Broadcast, s.IP)) }

func (s *Station) arp(op byte, to protocol.MAC, target [4]byte) []byte {
	b := append(append(to[:len(to):len(to)], s.MAC[:]...), 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, op)
	b = append(append(append(b, s.MAC[:]...), s.IP[:]...), to[:]...)
	return append(append(b, target[:]...), make([]byte, 18)...)
}

// receive takes a frame of the LAN.
func (s *Station) receive(frame []byte) {
	f := protocol.Frame(frame)
	now := time.Now()
	switch {
	case f.EtherType() == etherTypeARP && frame[21] == 1 && [4]byte(frame[38:]) == s.IP:
		s.send(s.arp(2, f.Src(), [4]byte(frame[28:])))
	case f.EtherType() == EtherType && f.Dst() == s.MAC && len(frame) >= 23:
		n := binary.BigEndian.Uint64(frame[15:])
		s.mu.Lock()
		if frame[14] == stationRequest {
			s.requests[n] = now
		} else {
			s.answers[n] = now
		}
		s.mu.Unlock()
		if frame[14] == stationRequest {
			s.Say(f.Src(), binary.BigEndian.AppendUint64([]byte{stationAnswer}, n))
		}
	}
}

// Got returns when the station got a numbered frame, the zero time if it did not.
func (s *Station) Got(number uint64) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[number]
}

// Answered returns how many numbered frames of the station were answered.
func (s *Station) Answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.answers)
}
