package supernode

import (
	"net/netip"
	"time"

	"hedgerow/internal/bucket"
	"hedgerow/nat/stun"
)

// Rates of answers to STUN requests, a second.
const (
	stunRate       = 1000 // over all sources
	stunSourceRate = 10   // of one IPv4 address or IPv6 /64
	stunPaddedRate = 64   // the same, when the answer is not longer than the request
)

// binding tells senders the address that they come from, by STUN.
type binding struct {
	answers bucket.Bucket
	sources *bucket.Sources
	refused *refusals
}

func newBinding(refused *refusals) *binding {
	return &binding{sources: bucket.NewSources(sourceTable), refused: refused}
}

// answer answers a STUN Binding request (RFC 8489) with the address that
// it came from, and names the port of our other socket, if there is one, from
// which it also answers when it is asked to (RFC 5780, section 6).
func (b *binding) answer(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, other Conn) {
	request, reason := b.check(now, pkt, from, other)
	if reason != answered {
		b.refused.about(reason, false, out.origin(from), nil)
		return
	}
	var named netip.AddrPort
	if other != nil {
		named = netip.AddrPortFrom(netip.IPv4Unspecified(), other.LocalAddr().Port())
	}
	answer, err := stun.AppendResponse(out.buffer(), pkt, from, named)
	switch {
	case err != nil:
		b.refused.about(dropSTUN, false, out.origin(from), nil)
	case request.ChangePort:
		out.sendByOtherSocket(answer, from)
	default:
		out.sendPlain(answer, from)
	}
}

// check says why a STUN message gets no answer, and answered if it gets one.
// Indications, responses and everything malformed are dropped, and what comes over
// a stream, whose address is of no use.
func (b *binding) check(now time.Time, pkt []byte, from netip.AddrPort, other Conn) (stun.Request, dropReason) {
	const bindingRequest = 1
	switch {
	case len(pkt) < 2 || pkt[0] != 0 || pkt[1] != bindingRequest || stun.Guard(pkt) != nil:
		return stun.Request{}, dropSTUN
	case !underlayAddr(from).IsValid():
		return stun.Request{}, dropSTUNStream
	}
	// An answer that is not longer than its request cannot amplify, so an edge may
	// ask from many sockets at once how its NAT gives out ports.
	rate := float64(stunSourceRate)
	if len(pkt) >= stun.RequestLen {
		rate = stunPaddedRate
	}
	switch {
	case !b.sources.Take(now, from.Addr(), rate, rate):
		return stun.Request{}, dropSTUNRate
	case !b.answers.Take(now, 1, stunRate, stunRate):
		return stun.Request{}, dropSTUNTotal
	}
	request, err := stun.ParseRequest(pkt)
	switch {
	case err != nil:
		return request, dropSTUN
	case request.ChangePort && other == nil:
		return request, dropSTUNPort
	}
	return request, answered
}
