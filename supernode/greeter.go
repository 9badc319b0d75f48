package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// helloRate is how many HELLOs a second are answered, over all sources.
const helloRate = 100

// greeter tells our key to edges that do not know it.
type greeter struct {
	key     [32]byte
	off     bool         // an edge must know the key beforehand
	mask    *crypto.Mask // of HELLO and WELCOME; everybody has its key
	answers bucket.Bucket
	random  random
	refused *refusals
}

func newGreeter(key [32]byte, off bool, random random, refused *refusals) *greeter {
	return &greeter{key: key, off: off, mask: crypto.NewMask(crypto.HelloMaskKey()), random: random, refused: refused}
}

// answer answers an edge that does not know our key with a WELCOME that holds it: 96
// bytes for 96 bytes.
func (g *greeter) answer(now time.Time, out *outbox, pkt []byte, from netip.AddrPort) {
	g.mask.Show(out.sc, pkt)
	nonce, err := protocol.ParseHello(pkt)
	if err != nil {
		g.refused.about(dropHeader, false, out.origin(from), nil)
		return
	}
	switch {
	case g.off:
		g.refused.about(dropHelloOff, false, out.origin(from), nil)
		return
	case !g.answers.Take(now, 1, helloRate, helloRate):
		g.refused.about(dropHello, false, out.origin(from), nil)
		return
	}
	var fresh [32]byte
	g.random.fill(fresh[:])
	out.admit(from)
	welcome := protocol.AppendWelcome(out.buffer(), nonce, g.key, fresh)
	g.mask.Hide(out.sc, welcome)
	out.sendPlain(welcome, from)
}
