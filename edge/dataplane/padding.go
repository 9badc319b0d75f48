package dataplane

import (
	"fmt"
	"math/rand/v2"

	"hedgerow/protocol"
)

// Padding says how packets are made longer, so that their lengths tell less of what is in them.
// Receivers take it off (PROTOCOL.md, section 3), whatever is set at their end.
type Padding uint8

const (
	// PaddingOff leaves packets as they are.
	PaddingOff Padding = iota
	// PaddingLight makes short packets longer by a random number of bytes.
	PaddingLight
	// PaddingFull makes every packet as long as one of four lengths, of which the last is
	// what its path carries.
	PaddingFull
)

// Paddings are the names of the kinds of padding, by their values.
var Paddings = [...]string{PaddingOff: "off", PaddingLight: "light", PaddingFull: "full"}

// String names the kind.
func (p Padding) String() string { return Paddings[p] }

// ParsePadding reads the name of a kind.
func ParsePadding(text string) (Padding, error) {
	for p, name := range Paddings {
		if name == text {
			return Padding(p), nil
		}
	}
	return PaddingOff, fmt.Errorf("%q is no kind of padding: off, light or full", text)
}

const (
	// padShort is below how many bytes an inner is short. Longer ones are those of transfers,
	// whose length is what the path carries, and leave in trains of one length.
	padShort = 512
	// padSpread bounds the bytes that light padding adds.
	padSpread = 64
	// padSteps is how many lengths full padding knows.
	padSteps = 4
	// padLeast is the least padding that there is: its length stands in it.
	padLeast = 2
)

// of returns by how many bytes an inner is made longer that has one byte at least and is sent
// where limit are the most; a limit below 1 is not known. Of control inners a long one stays
// as it is, which measures what the path carries, and a PONG, which must not be longer than its
// PING and has the padding of that.
func (p Padding) of(inner []byte, limit int) (n int) {
	short := len(inner) < padShort
	switch {
	case p == PaddingOff, protocol.Kind(inner[0]>>6) == protocol.KindControl && (!short || len(inner) > 1 && protocol.MsgType(inner[1]) == protocol.MsgPong):
		return 0
	case p == PaddingFull && limit > padShort:
		step := (limit + padSteps - 1) / padSteps
		n = min((len(inner)+step-1)/step*step, limit) - len(inner)
		if n == 1 { // there is no such padding
			n = min(1+step, limit-len(inner))
		}
	case short:
		n = rand.IntN(padSpread + 1)
		if limit > 0 {
			n = min(n, limit-len(inner))
		}
	}
	if n < padLeast {
		return 0
	}
	return n
}

// pingPads are how many lengths a short PING has.
var pingPads = [...]int{PaddingOff: 1, PaddingLight: padSpread + 1, PaddingFull: padSpread + 1}

// pingPad returns the padding of a short PING, which its PONG has as well.
func (p Padding) pingPad() int { return protocol.MinPingPad + rand.IntN(pingPads[p]) }

// padded makes the inner at the end of b longer, in the room behind it.
func (p Padding) padded(b []byte, at, limit int) []byte {
	n := p.of(b[at:], limit)
	if n == 0 {
		return b
	}
	return b[:at+len(protocol.AppendPadding(b[at:], n))]
}
