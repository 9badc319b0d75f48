package barrage

import (
	"math/rand/v2"
	"slices"
)

// The lengths of what a generator draws, in bytes.
const (
	shortestInput = 4
	longestInput  = 160
	recentInputs  = 64
)

// generator draws inputs: new ones, and others that were there before, changed.
type generator struct {
	random *rand.Rand
	corpus [][]byte
	recent [][]byte // of this stage
}

func newGenerator(seed uint64, corpus [][]byte) *generator {
	return &generator{random: rand.New(rand.NewPCG(seed, 0xba44a6e)), corpus: corpus}
}

// next returns an input, which is the caller's.
func (g *generator) next() []byte {
	var b []byte
	switch n := g.random.IntN(10); {
	case n < 3 && len(g.corpus) > 0:
		b = g.changed(g.corpus[g.random.IntN(len(g.corpus))])
	case n < 5 && len(g.recent) > 0:
		b = g.changed(g.recent[g.random.IntN(len(g.recent))])
	default:
		b = g.drawn(shortestInput + g.random.IntN(longestInput-shortestInput))
	}
	if len(g.recent) < recentInputs {
		g.recent = append(g.recent, b)
	} else {
		g.recent[g.random.IntN(recentInputs)] = b
	}
	return b
}

// drawn returns n bytes.
func (g *generator) drawn(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 8 {
		for k, v := 0, g.random.Uint64(); k < 8 && i+k < n; k, v = k+1, v>>8 {
			b[i+k] = byte(v)
		}
	}
	return b
}

// changed returns a copy of an input with some bytes that are others, left out or put in
// between.
func (g *generator) changed(in []byte) []byte {
	b := slices.Clone(in)
	for range g.random.IntN(4) {
		if len(b) == 0 {
			return g.drawn(shortestInput)
		}
		at := g.random.IntN(len(b))
		switch g.random.IntN(5) {
		case 0:
			b[at] = byte(g.random.Uint32())
		case 1:
			b[at] += byte(1 + g.random.IntN(3))
		case 2:
			b = slices.Delete(b, at, min(len(b), at+1+g.random.IntN(4)))
		case 3:
			b = slices.Insert(b, at, g.drawn(1+g.random.IntN(4))...)
		case 4: // what stands elsewhere in it
			from := g.random.IntN(len(b))
			n := min(len(b)-from, len(b)-at, 1+g.random.IntN(16))
			copy(b[at:], b[from:from+n])
		}
	}
	if len(b) > longestInput {
		b = b[:longestInput]
	}
	return b
}
