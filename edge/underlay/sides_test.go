package underlay

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"

	"hedgerow/transport"
)

// sides is a double of transport.Sides.
type sides struct {
	mu        sync.Mutex
	last      uint64
	ends      map[netip.AddrPort]func(pkt []byte)
	delivered []datagram
	adding    func() // called once within Add
}

func newSides() *sides { return &sides{ends: make(map[netip.AddrPort]func([]byte))} }

func (s *sides) Add(send func(pkt []byte)) netip.AddrPort {
	if f := s.adding; f != nil {
		s.adding = nil
		f()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	b := transport.SidePrefix().Addr().As16()
	binary.BigEndian.PutUint64(b[8:], s.last)
	a := netip.AddrPortFrom(netip.AddrFrom16(b), 1)
	s.ends[a] = send
	return a
}

func (s *sides) Remove(a netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ends, a)
}

func (s *sides) Deliver(from netip.AddrPort, pkt []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered = append(s.delivered, datagram{to: from, pkt: pkt})
}

// take returns what was delivered since the last call.
func (s *sides) take() []datagram {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.delivered
	s.delivered = nil
	return list
}

// The prefix is that of the addresses that transport gives, and of no others.
func TestSidePrefix(t *testing.T) {
	given := transport.NewSides().Add(func([]byte) {})
	for _, a := range []netip.AddrPort{
		given, addr("[100::]:1"), addr("[100::ffff:ffff:ffff:ffff]:1"), addr("[100:0:0:1::]:1"),
		addr("192.0.2.1:1"), addr("[2001:db8::1]:1"), addr("[ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1"), {},
	} {
		if a.IsValid() && IsSide(a) != transport.IsSide(a.Addr()) {
			t.Errorf("%v: %v", a, IsSide(a))
		}
	}
	if !IsSide(given) || IsSide(netip.AddrPort{}) {
		t.Error("a side address is not known, or nothing is one")
	}
}

// A far end that two goroutines see first gets one address, and what was made in
// vain is given back.
func TestSideAddressOnce(t *testing.T) {
	s := newSides()
	cfg := &Config{Transports: Transports{Sides: s}}
	x := newSideAddresses(cfg, 1, func(netip.AddrPort, []byte) {})
	var first netip.AddrPort
	s.adding = func() { first = x.side(addr("192.0.2.1:7000")) }
	if got := x.side(addr("192.0.2.1:7000")); got != first || !got.IsValid() || len(s.ends) != 1 {
		t.Errorf("addresses %v and %v, %d ends", first, got, len(s.ends))
	}
	x = newSideAddresses(cfg, 1, func(netip.AddrPort, []byte) {})
	s.adding = x.end // it ended meanwhile
	if got := x.side(addr("192.0.2.1:7000")); got.IsValid() || len(s.ends) != 1 {
		t.Errorf("address %v after the end, %d ends", got, len(s.ends))
	}
}
