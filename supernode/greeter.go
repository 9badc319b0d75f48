package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// HELLOs of one IPv4 address or IPv6 /64 that are answered: an office may start
// fifty edges at once that do not know our key yet.
const (
	helloRate  = 10 // a second
	helloBurst = 50
)

// greeter tells our key to edges that do not know it.
type greeter struct {
	key     [32]byte
	off     bool         // an edge must know the key beforehand
	mask    *crypto.Mask // of HELLO and WELCOME; without an obfs key everybody has its key
	answers answers
	repeats *repeats
	random  random
	refused *refusals
	front   *front
}

func newGreeter(key [32]byte, cover *Cover, random random, refused *refusals, front *front) *greeter {
	return &greeter{key: key, off: cover.HelloOff, mask: crypto.HelloMask(cover.ObfsKey), answers: newAnswers(), repeats: newRepeats(cover.ObfsKey), random: random, refused: refused, front: front}
}

// answer answers an edge that does not know our key with a WELCOME that holds it: 96
// bytes for 96 bytes, or for a HELLO that was made longer one of most bytes at most. The HELLO is
// unmasked.
func (g *greeter) answer(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, most int) {
	nonce, err := protocol.ParseHello(pkt)
	if err != nil {
		g.refused.about(dropHeader, false, out.origin(from), nil)
		return
	}
	if h, err := protocol.ParseHeader(pkt); err == nil && h.Older() {
		g.refused.older(out.origin(from))
	}
	if g.repeats.known(out.end) {
		g.refused.about(dropRepeated, false, out.origin(from), nil)
		return
	}
	g.repeats.note(out.end)
	if g.off {
		g.refused.about(dropHelloOff, false, out.origin(from), nil)
		return
	}
	if reason := g.answers.take(now, g.front.initSource(from, out.source), helloRate, helloBurst, dropHello, dropHelloTotal); reason != answered {
		g.refused.about(reason, false, out.origin(from), nil)
		return
	}
	var fresh [32]byte
	g.random.fill(fresh[:])
	out.admit(from, streamHello)
	welcome := protocol.AppendWelcome(out.buffer(), nonce, g.key, fresh)
	welcome = crypto.Lengthen(welcome, most)
	g.mask.Hide(out.sc, welcome)
	out.answerPlain(welcome, from)
}
