package underlay

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
)

// memory are further sockets that are none: what they send is noted, and what
// comes in the test says.
type memory struct {
	r      *rig
	next   uint16 // port of the next socket
	most   int    // sockets that there may be at a time; 0: any number
	open   []*memorySocket
	opened int
	answer func(x *memorySocket, d datagram) // called for what is sent
	early  []byte                            // comes in before Open has returned
}

type memorySocket struct {
	m       *memory
	port    uint16
	receive func(from netip.AddrPort, pkt []byte)
	sent    []datagram
}

func (m *memory) Open(receive func(from netip.AddrPort, pkt []byte)) (Socket, error) {
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	if m.most > 0 && len(m.open) == m.most {
		return nil, errText("too many open files")
	}
	x := &memorySocket{m: m, port: m.next, receive: receive}
	m.next++
	m.opened++
	m.open = append(m.open, x)
	if m.early != nil {
		go receive(addr("198.51.100.9:9000"), m.early)
	}
	return x, nil
}

func (x *memorySocket) Send(to netip.AddrPort, ttl uint8, pkt []byte) {
	x.m.r.mu.Lock()
	d := datagram{at: x.m.r.since(), to: to, ttl: ttl, pkt: bytes.Clone(pkt), port: x.port}
	x.sent = append(x.sent, d)
	x.m.r.mu.Unlock()
	if x.m.answer != nil {
		x.m.answer(x, d)
	}
}

func (x *memorySocket) Close() error {
	x.m.r.mu.Lock()
	defer x.m.r.mu.Unlock()
	x.m.open = slices.DeleteFunc(x.m.open, func(y *memorySocket) bool { return y == x })
	return nil
}

// withSockets gives a rig further sockets.
func withSockets(m *memory, s *sides) func(r *rig, cfg *Config) {
	return func(r *rig, cfg *Config) {
		m.r, m.next = r, 20000
		cfg.Transports = Transports{Sides: s, Open: m.Open}
	}
}

func TestSocket(t *testing.T) {
	var m memory
	s := newSides()
	inRig(t, withSockets(&m, s), func(r *rig) {
		x, err := r.Sockets.Open()
		if err != nil {
			t.Fatal(err)
		}
		to := addr("198.51.100.1:5000")
		x.Send(to, 3, []byte("out"))
		m.open[0].receive(to, []byte("in"))
		in := s.take()
		if len(in) != 1 || !IsSide(in[0].to) || string(in[0].pkt) != "in" {
			t.Fatalf("delivered %v", in)
		}
		side := in[0].to
		s.write(side, []byte("back"))
		sent := m.open[0].sent
		if len(sent) != 2 || sent[0].ttl != 3 || sent[1].to != to || sent[1].ttl != 0 || string(sent[1].pkt) != "back" {
			t.Errorf("sent %v", sent)
		}
		if far, ok := x.Far(side); !ok || far != to {
			t.Errorf("behind %v is %v", side, far)
		}
		if _, ok := x.Far(to); ok {
			t.Error("an address outside has a far end")
		}
		if !x.Holds(side) || x.Holds(to) {
			t.Error("the socket does not know its side addresses")
		}
		x.Close()
		if len(m.open) != 0 || len(s.ends) != 0 {
			t.Errorf("%d sockets and %d side addresses after Close", len(m.open), len(s.ends))
		}
		if _, ok := x.Far(side); ok {
			t.Error("a side address outlives its socket")
		}
		r.counts(nil)
	})
}

// A stranger who sends to a socket from many ports takes no place from the peer that
// it is for.
func TestSocketStrangers(t *testing.T) {
	var m memory
	s := newSides()
	inRig(t, withSockets(&m, s), func(r *rig) {
		x, err := r.Sockets.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		for port := range uint16(1000) {
			m.open[0].receive(netip.AddrPortFrom(addr("198.51.100.1:1").Addr(), 5000+port), []byte{1})
		}
		s.take()
		m.open[0].receive(addr("203.0.113.9:7000"), []byte{2})
		if in := s.take(); len(in) != 1 || in[0].pkt[0] != 2 || len(s.ends) != 1 {
			t.Errorf("delivered %v; %d transports", in, len(s.ends))
		}
		r.counts(nil)
	})
}

// What comes in before the socket is there to answer waits for it.
func TestSocketEarly(t *testing.T) {
	m := memory{early: []byte("at once")}
	s := newSides()
	inRig(t, withSockets(&m, s), func(r *rig) {
		x, err := r.Sockets.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer x.Close()
		r.run(0)
		if in := s.take(); len(in) != 1 || string(in[0].pkt) != "at once" {
			t.Errorf("delivered %v", in)
		}
	})
}

func TestSocketRefused(t *testing.T) {
	m := memory{most: 1}
	inRig(t, withSockets(&m, newSides()), func(r *rig) {
		x, err := r.Sockets.Open()
		if err != nil || !r.Sockets.Possible() {
			t.Fatal(err)
		}
		if _, err := r.Sockets.Open(); err == nil || err.Error() != "too many open files" {
			t.Errorf("the second socket: %v", err)
		}
		r.counts(map[Refusal]int{RefusedSocket: 1})
		x.Close()
	})
	inRig(t, nil, func(r *rig) {
		if _, err := r.Sockets.Open(); !errors.Is(err, ErrNoSockets) || r.Sockets.Possible() {
			t.Errorf("without sockets: %v", err)
		}
		r.counts(nil)
	})
}
