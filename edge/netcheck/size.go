package netcheck

import (
	"context"
	"encoding/binary"
	"net/netip"
	"time"
)

// How the size of a path is searched, in bytes of IP packets. Requests are
// multiples of four bytes long (RFC 8489, section 5), and so are the headers in
// front.
const (
	largestSize  = 1500 // Ethernet's, and all that an edge makes use of
	smallestSize = 1280 // IPv6's minimum; with less a path is of no use
	coarseStep   = 20
	fineStep     = 4
	sizeRounds   = 2 // of requests of each size: one may get lost
	sizeEvery    = 150 * time.Millisecond
	sizeWait     = 300 * time.Millisecond
)

// size returns the longest IP packet in bytes that comes to a server whole, 0 if
// that is not known. The answers are short.
func (p *probe) size(ctx context.Context, to netip.AddrPort) int {
	a := p.families[index(to.Addr())].whole
	if a == nil {
		return 0
	}
	if passed := a.passes(ctx, to, largestSize, largestSize, fineStep); passed > 0 {
		return passed
	}
	best := a.passes(ctx, to, smallestSize, largestSize-coarseStep, coarseStep)
	if best == 0 {
		return 0
	}
	return max(best, a.passes(ctx, to, best+fineStep, best+coarseStep-fineStep, fineStep))
}

// passes sends requests of sizes from least to most, and returns the longest
// that was answered, 0 for none.
func (a *asker) passes(ctx context.Context, to netip.AddrPort, least, most, step int) (best int) {
	headers := 20 + 8 // IPv4 and UDP
	if to.Addr().Is6() {
		headers = 40 + 8
	}
	var answers []chan answer
	for size := least; size <= most; size += step {
		answers = append(answers, make(chan answer, sizeRounds))
	}
	for round := range sizeRounds {
		for i, one := range answers {
			// A size over the interface's MTU is refused at once.
			_ = a.send(to, form{size: least + i*step - headers}, one)
		}
		wait := sizeEvery
		if round == sizeRounds-1 {
			wait = sizeWait
		}
		// The longest one decides, if it comes; the others have come by then.
		if _, ok := await(ctx, answers[len(answers)-1], wait); ok {
			return most
		}
	}
	for i, one := range answers {
		if len(one) > 0 {
			best = least + i*step
		}
	}
	return best
}

// The parts of a STUN message that pad needs (RFC 8489, sections 5 and 14).
const (
	stunHeader      = 20
	attributeHeader = 4
	fingerprintLen  = 8
	softwareType    = 0x8022
	longestSoftware = 760 // 763 is the most (section 14.14), and values fill four bytes
)

// pad makes a request of package stun size bytes long, which is a multiple of
// four. A message may have an attribute several times, of which readers use the
// first (section 14), so further SOFTWARE attributes fill it. They replace the
// fingerprint, which would have to be computed anew and which a request need not
// have.
func pad(request []byte, size int) []byte {
	pkt := request[:len(request)-fingerprintLen]
	for left := size - len(pkt); left >= attributeHeader; left = size - len(pkt) {
		n := min(left-attributeHeader, longestSoftware)
		pkt = binary.BigEndian.AppendUint16(pkt, softwareType)
		pkt = binary.BigEndian.AppendUint16(pkt, uint16(n))
		pkt = append(pkt, make([]byte, n)...)
	}
	binary.BigEndian.PutUint16(pkt[2:], uint16(len(pkt)-stunHeader))
	return pkt
}
