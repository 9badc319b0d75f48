package nat

import (
	"io"
	"net/netip"
	"time"

	"hedgerow/nat/stun"
)

const (
	bindingEvery = 25 * time.Second // NAT.md, 1.3: an endpoint is fresh for so long
	bindingWait  = 3 * time.Second  // an answer counts within this time
	maxServers   = 8
)

// Bindings asks STUN servers under which address they see us (RFC 8489,
// section 3), from the data socket so that the answer is that of its mapping.
// It is driven by one goroutine: Poll at Deadline, Take for what IsSTUN finds.
type Bindings struct {
	servers []netip.AddrPort
	asked   map[[12]byte]binding // outstanding requests
	next    time.Time
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

// Add takes a server on; of more than 8 the later ones are not asked.
func (s *Bindings) Add(now time.Time, server netip.AddrPort) {
	if len(s.servers) < maxServers {
		s.servers, s.next = append(s.servers, server), now
	}
}

// Deadline returns when Poll has something to send, zero for never.
func (s *Bindings) Deadline() time.Time { return s.next }

// Poll returns a request to every server if it is time for them. Transaction
// identifiers come from random; a source that fails ends the round.
func (s *Bindings) Poll(now time.Time, random io.Reader) []Request {
	if s.next.IsZero() || now.Before(s.next) {
		return nil
	}
	s.next = now.Add(bindingEvery)
	s.asked = make(map[[12]byte]binding, len(s.servers))
	var list []Request
	for _, server := range s.servers {
		var id [12]byte
		if _, err := io.ReadFull(random, id[:]); err != nil {
			return list
		}
		s.asked[id] = binding{server: server, sent: now}
		list = append(list, Request{To: server, Packet: stun.AppendRequest(nil, id)})
	}
	return list
}

// Take reads an answer. It reports whether it belongs to an outstanding
// request and came from the server that was asked, and if so which server sees
// us as what. Any other message changes nothing.
func (s *Bindings) Take(now time.Time, from netip.AddrPort, b []byte) (seen netip.AddrPort, ok bool) {
	id, mapped, err := stun.ParseResponse(b)
	r, asked := s.asked[id]
	if err != nil || !asked || r.server != unmap(from) || now.Sub(r.sent) > bindingWait {
		return netip.AddrPort{}, false
	}
	delete(s.asked, id)
	return mapped, true
}
