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
	last      uint32
	ends      map[netip.Prefix]func(far netip.AddrPort, pkt []byte)
	delivered []datagram
}

func newSides() *sides { return &sides{ends: make(map[netip.Prefix]func(netip.AddrPort, []byte))} }

func (s *sides) Add(send func(pkt []byte)) netip.AddrPort {
	p := s.AddEnds(func(_ netip.AddrPort, pkt []byte) { send(pkt) })
	return netip.AddrPortFrom(p.Addr(), 1)
}

func (s *sides) AddEnds(send func(far netip.AddrPort, pkt []byte)) netip.Prefix {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	b := transport.SidePrefix().Addr().As16()
	binary.BigEndian.PutUint32(b[8:], s.last)
	p := netip.PrefixFrom(netip.AddrFrom16(b), 96)
	s.ends[p] = send
	return p
}

// write sends to a side address.
func (s *sides) write(to netip.AddrPort, pkt []byte) {
	p, _ := to.Addr().Prefix(96)
	far, _ := transport.FarEnd(to)
	s.ends[p](far, pkt)
}

func (s *sides) Remove(a netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, _ := a.Addr().Prefix(96)
	delete(s.ends, p)
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

// Nothing is kept for whoever sends to a socket or an allocation: the side addresses of
// a hundred thousand strangers lead back to them, and the one transport is all there is.
func TestStrangersTakeNoSideAddresses(t *testing.T) {
	s := newSides()
	cfg := &Config{Transports: Transports{Sides: s}}
	x, y := newSideAddresses(cfg, func(netip.AddrPort, []byte) {}), newSideAddresses(cfg, func(netip.AddrPort, []byte) {})
	for n := range 100_000 {
		far := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, byte(n >> 16), byte(n >> 8), byte(n)}), 1+uint16(n%65535))
		x.deliver(far, []byte{1})
		got := s.take()
		if len(got) != 1 || !IsSide(got[0].to) {
			t.Fatalf("delivered %v", got)
		}
		if back, ok := x.far(got[0].to); !ok || back != far {
			t.Fatalf("behind %v is %v, not %v", got[0].to, back, far)
		}
		if _, ok := y.far(got[0].to); ok {
			t.Fatal("it is another transport's as well")
		}
	}
	if len(s.ends) != 2 {
		t.Errorf("%d transports after strangers have sent", len(s.ends))
	}
	for _, far := range []netip.AddrPort{{}, addr("198.51.100.1:0"), addr("[2001:db8::1]:7000")} {
		x.deliver(far, []byte{1})
	}
	x.end()
	x.deliver(addr("198.51.100.1:7000"), []byte{1})
	if got := s.take(); len(got) != 0 || len(s.ends) != 1 {
		t.Errorf("delivered %v; %d transports are left", got, len(s.ends))
	}
}
