package supernode

import (
	"net/netip"
	"time"

	"hedgerow/nat/stun"
)

// stunRate is how many STUN requests of one IPv4 address or IPv6 /64 are answered, a
// second and at once: an edge asks from many sockets how its NAT gives out ports.
const stunRate = 64

// Lengths of the shortest answers (RFC 8489, sections 5 and 14.2): a header, and an
// address.
const (
	stunAnswerIPv4 = 32
	stunAnswerIPv6 = 44
)

// binding tells senders the address that they come from, by STUN.
type binding struct {
	answers answers
	cover   *cover
	refused *refusals
}

func newBinding(hidden *cover, refused *refusals) *binding {
	return &binding{answers: newAnswers(), cover: hidden, refused: refused}
}

// answerAny answers a datagram that is a request or nothing, covered if there is an
// obfuscation key.
func (b *binding) answerAny(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, other Conn) {
	if b.cover != nil {
		if inner := b.cover.mask.Uncover(out.sc, pkt, stun.Begins); inner != nil {
			b.answerHidden(now, out, inner, len(pkt), from, other)
			return
		}
	}
	b.answer(now, out, pkt, from, other)
}

// answerHidden answers a request that a datagram of size bytes has hidden, by one that hides
// the answer.
func (b *binding) answerHidden(now time.Time, out *outbox, inner []byte, size int, from netip.AddrPort, other Conn) {
	b.reply(now, out, stun.Leading(inner), from, other, func(answer []byte) []byte { return b.cover.hide(out.sc, answer, size) })
}

// answer is reply for a request that nothing hides. With an obfuscation key it has no answer:
// a server of STUN is something that a stranger would recognise.
func (b *binding) answer(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, other Conn) {
	if b.cover != nil {
		b.refused.about(dropSTUN, false, out.origin(from), nil)
		return
	}
	b.reply(now, out, pkt, from, other, func(answer []byte) []byte { return answer })
}

// reply answers a STUN Binding request (RFC 8489) with the address that
// it came from, and names the port of our other socket, if there is one, from
// which it also answers when it is asked to (RFC 5780, section 6). An edge that measures
// for how long its NATs keep a mapping has it answer to another port of that address
// (section 4.6). finish makes what leaves of an answer.
func (b *binding) reply(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, other Conn, finish func(answer []byte) []byte) {
	request, reason := b.check(now, pkt, from, other)
	if reason != answered {
		b.refused.about(reason, false, out.origin(from), nil)
		return
	}
	var named netip.AddrPort
	if other != nil {
		named = netip.AddrPortFrom(netip.IPv4Unspecified(), other.LocalAddr().Port())
	}
	to := from
	if request.AnswerPort != 0 {
		to = netip.AddrPortFrom(from.Addr(), request.AnswerPort)
	}
	answer, err := stun.AppendResponse(out.buffer(), pkt, from, named)
	switch {
	case err != nil:
		b.refused.about(dropSTUN, false, out.origin(from), nil)
	case len(answer) > len(pkt):
		b.refused.about(dropSTUNShort, false, out.origin(from), nil)
	case request.ChangePort:
		out.answerByOtherSocket(finish(answer), to)
	default:
		out.answerPlain(finish(answer), to)
	}
}

// check says why a STUN message gets no answer, and answered if it gets one.
// Indications, responses and everything malformed are dropped, what comes over a
// stream, whose address is of no use, and what is shorter than its answer: the
// address that it names as its source is not proved.
func (b *binding) check(now time.Time, pkt []byte, from netip.AddrPort, other Conn) (stun.Request, dropReason) {
	const bindingRequest = 1
	switch {
	case len(pkt) < 2 || pkt[0] != 0 || pkt[1] != bindingRequest || stun.Guard(pkt) != nil:
		return stun.Request{}, dropSTUN
	case !underlayAddr(from).IsValid():
		return stun.Request{}, dropSTUNStream
	case len(pkt) < stunAnswerIPv4 || !from.Addr().Unmap().Is4() && len(pkt) < stunAnswerIPv6:
		return stun.Request{}, dropSTUNShort
	}
	if reason := b.answers.take(now, from.Addr(), stunRate, stunRate, dropSTUNRate, dropSTUNTotal); reason != answered {
		return stun.Request{}, reason
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
