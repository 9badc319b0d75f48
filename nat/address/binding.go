package address

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"time"

	"hedgerow/internal/deadline"
	"hedgerow/nat/stun"
)

const (
	bindingEvery = 25 * time.Second // NAT.md, 1.3: an endpoint is fresh for so long
	bindingGrain = 5 * time.Second  // it is up to so much less, so that all servers are asked at one moment
	bindingWait  = 3 * time.Second  // an answer counts within this time
	maxServers   = 16               // supernodes, STUN servers, and the other ports that they name
)

// Bindings asks STUN servers under which address they see us (RFC 8489,
// section 3), from the data socket so that the answer is that of its mapping. A
// server that names another port of its own (RFC 5780, section 7.4) is asked
// there as well: two answers of one host tell how the NATs map. It is driven by
// one goroutine: Poll at Deadline, HandleResponse for each datagram that IsSTUN finds.
type Bindings struct {
	Phase   time.Duration // of the moments at which servers are asked (Policy.Phase)
	servers []server
	asked   map[[12]byte]binding // outstanding requests
}

// server is one address that is asked.
type server struct {
	addr  netip.AddrPort
	named bool // by the server at another port of its own
	next  time.Time
}

// binding is a request that waits for its answer.
type binding struct {
	server netip.AddrPort
	sent   time.Time
}

// Request is a datagram to send to a STUN server.
type Request struct {
	To     netip.AddrPort
	Packet []byte
}

// IsSTUN reports whether a datagram on the data socket is a STUN message, by
// its first bits, its magic cookie and its length.
func IsSTUN(b []byte) bool { return stun.IsMessage(b) }

// Add adds a server, once; of more than 16 the later ones are not asked.
func (s *Bindings) Add(now time.Time, addr netip.AddrPort) {
	s.add(server{addr: Unmap(addr), next: now})
}

func (s *Bindings) add(x server) {
	known := slices.ContainsFunc(s.servers, func(y server) bool { return y.addr == x.addr })
	if !known && len(s.servers) < maxServers {
		s.servers = append(s.servers, x)
	}
}

// Hurry asks every server again at once: our own addresses or routes have changed.
func (s *Bindings) Hurry(now time.Time) {
	for i := range s.servers {
		s.servers[i].next = now
	}
}

// Deadline returns when Poll has something to send, zero for never.
func (s *Bindings) Deadline() (d time.Time) {
	for _, x := range s.servers {
		d = deadline.Earliest(d, x.next)
	}
	return d
}

// Poll returns a request to every server whose time has come. Transaction
// identifiers come from random; a source that fails ends the round.
func (s *Bindings) Poll(now time.Time, random io.Reader) []Request {
	var list []Request
	for i := range s.servers {
		x := &s.servers[i]
		if now.Before(x.next) {
			continue
		}
		x.next = deadline.Next(now.Add(bindingEvery-bindingGrain), bindingGrain, s.Phase)
		var id [12]byte
		if _, err := io.ReadFull(random, id[:]); err != nil {
			return list
		}
		s.ask(now, id, x.addr)
		list = append(list, Request{To: x.addr, Packet: stun.AppendRequest(nil, id)})
	}
	return list
}

// Request returns one request to a server, which need not be one of those that are asked
// regularly. A port that is not 0 is where the answer goes, instead of to the port that
// the request comes from (RFC 5780, section 7.5); who is to get such answers asks with 0,
// by a longer request. The error is that of random.
func (s *Bindings) Request(now time.Time, random io.Reader, server netip.AddrPort, port uint16) (Request, error) {
	ask := stun.Request{AnswerPort: port, Long: port == 0}
	if _, err := io.ReadFull(random, ask.ID[:]); err != nil {
		return Request{}, err
	}
	s.ask(now, ask.ID, Unmap(server))
	return Request{To: server, Packet: ask.Append(nil)}, nil
}

// ask notes a request and forgets those that are too old to be answered.
func (s *Bindings) ask(now time.Time, id [12]byte, to netip.AddrPort) {
	if s.asked == nil {
		s.asked = make(map[[12]byte]binding)
	}
	for id, b := range s.asked {
		if now.Sub(b.sent) > bindingWait {
			delete(s.asked, id)
		}
	}
	s.asked[id] = binding{server: to, sent: now}
}

// Why an answer of a STUN server does not count; HandleResponse returns the errors of
// package stun as well.
var (
	// ErrUnasked says that no request with the transaction identifier is
	// outstanding: the answer is forged, repeated or very late.
	ErrUnasked = errors.New("address: no STUN request is outstanding that this answers")
	// ErrOtherServer says that the answer came from another address than the request
	// went to.
	ErrOtherServer = errors.New("address: the STUN answer is of a server that was not asked")
	// ErrLate says that the answer came more than 3 s after the request.
	ErrLate = errors.New("address: the STUN answer is too late")
)

// HandleResponse reads an answer and returns our address as the server sees it. It
// fails if the answer does not belong to an outstanding request, or did not come
// from the server that was asked; such a message changes nothing.
func (s *Bindings) HandleResponse(now time.Time, from netip.AddrPort, b []byte) (seen netip.AddrPort, err error) {
	answer, err := stun.ParseResponse(b)
	if err != nil {
		return netip.AddrPort{}, err
	}
	r, asked := s.asked[answer.ID]
	switch {
	case !asked:
		return netip.AddrPort{}, ErrUnasked
	case r.server != Unmap(from):
		return netip.AddrPort{}, ErrOtherServer
	case now.Sub(r.sent) > bindingWait:
		return netip.AddrPort{}, ErrLate
	}
	delete(s.asked, answer.ID)
	i := slices.IndexFunc(s.servers, func(x server) bool { return x.addr == r.server })
	// A server can name a port of its own host only, and a port that was named
	// names no further one.
	if other := answer.Other; i >= 0 && !s.servers[i].named && other.IsValid() && other.Port() >= LowestPort {
		s.add(server{addr: netip.AddrPortFrom(r.server.Addr(), other.Port()), named: true, next: now})
	}
	return answer.Mapped, nil
}
