package turn

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"hedgerow/internal/bucket"
	"hedgerow/nat/stun"
)

// Limits of the gate, in datagrams a second. An answer to a stranger costs about
// 10 us, so that all of them together take a tenth of a processor.
const (
	strangerRate, strangerBurst = 5, 20   // of one IPv4 address; four times as much of a /24
	strangersRate               = 10_000  // of all
	requestRate, requestBurst   = 50, 300 // of one allocation
	sourceTable                 = 16384   // buckets for all sources
)

const (
	minLifetime                 = 600   // seconds; see requestAllowed
	stunHeaderLen, attributeLen = 20, 4 // bytes (RFC 8489, sections 5 and 14)
)

// gate is the server's socket for pion. It drops datagrams that would crash
// pion, that pion would answer without need, and that pion would have to search
// its tables for.
type gate struct {
	net.PacketConn
	allocations *allocations
	counters    *serverCounters
	ended       chan struct{} // closed when pion has got the end
	once        sync.Once

	strangers bucket.Bucket    // used by the one goroutine that reads
	sources   *bucket.Networks // the same
	unproved  unproved
}

func newGate(c net.PacketConn, t *allocations, counters *serverCounters) *gate {
	return &gate{PacketConn: c, allocations: t, counters: counters, ended: make(chan struct{}), sources: bucket.NewNetworks(sourceTable)}
}

// ReadFrom reads the next datagram that may pass. It fails after Close only.
func (g *gate) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := readDatagram(g.PacketConn, b, func(n int, from netip.AddrPort) bool {
		if g.admits(time.Now(), b[:n], from) {
			g.counters.admitted.Add(1)
			return true
		}
		g.counters.dropped.Add(1)
		return false
	})
	if err != nil {
		g.once.Do(func() { close(g.ended) })
	}
	return n, from, err
}

// WriteTo sends an answer of pion's or what a peer has sent. What an address must not
// get that has not proved itself is dropped; to pion it is sent.
func (g *gate) WriteTo(b []byte, to net.Addr) (int, error) {
	at := addrPort(to)
	switch {
	case g.allocations.of(at) != nil:
		g.unproved.heed(at, b) // it may end its allocation and ask for another
	case !g.unproved.admits(at, b):
		g.counters.dropped.Add(1)
		return len(b), nil
	}
	return g.PacketConn.WriteTo(b, to)
}

// admits says whether pion may see a datagram.
func (g *gate) admits(now time.Time, pkt []byte, from netip.AddrPort) bool {
	if len(pkt) > maxDatagram || !from.IsValid() {
		return false
	}
	owner := g.allocations.of(from)
	if _, _, ok := parseChannelData(pkt); ok {
		return owner != nil
	}
	if stun.Guard(pkt) != nil {
		return false
	}
	t := messageType(pkt)
	switch {
	case t == typeSend:
		return owner != nil
	case t&classMask != classRequest || !requestAllowed(method(t), pkt):
		return false
	case owner != nil:
		return owner.ask(now)
	case method(t) != methodAllocate:
		return false // pion would not answer it either
	}
	if !g.sources.Take(now, from.Addr(), strangerRate, strangerBurst) || !g.strangers.Take(now, 1, strangersRate, strangersRate) {
		return false
	}
	g.unproved.begin(from, pkt)
	return true
}

// ask counts a request of the allocation's client.
func (r *relaySocket) ask(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests.Take(now, 1, requestRate, requestBurst)
}

// requestAllowed says whether a request is free of what pion should not see:
// pairs of ports, which cost it up to 128 sockets; channel numbers of which it
// would search a list of thousands for each datagram; and a lifetime below the
// default of 600 s, which the server has to raise (RFC 8656, section 7.2) and
// pion does not. An allocation that expires while pion makes a permission for it
// can crash pion, so it should seldom expire.
func requestAllowed(m method, pkt []byte) bool {
	switch m {
	case methodAllocate, methodRefresh, methodCreatePermission, methodChannelBind:
	default:
		return false
	}
	for b := pkt[stunHeaderLen:]; len(b) >= attributeLen; {
		kind := binary.BigEndian.Uint16(b)
		n := int(binary.BigEndian.Uint16(b[2:]))
		value := b[attributeLen : attributeLen+n] // the guard has measured it
		b = b[attributeLen+(n+3)&^3:]
		switch kind {
		case attrEvenPort, attrReservationToken:
			return false
		case attrLifetime:
			if n != 4 {
				return false
			}
			if seconds := binary.BigEndian.Uint32(value); seconds != 0 && seconds < minLifetime {
				return false
			}
		case attrChannelNumber:
			if n != 4 || !isChannel(binary.BigEndian.Uint16(value)) {
				return false
			}
		}
	}
	return true
}
