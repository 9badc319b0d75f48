package edge

import (
	"io"
	"math/rand/v2"
	"time"
)

// random is where the control loop has chance from: secrets and nonces from the
// system, jitter and indices from a generator that it seeded.
type random struct {
	system    io.Reader
	generator *rand.ChaCha8
}

func newRandom(system io.Reader) *random {
	r := &random{system: system, generator: new(rand.ChaCha8)}
	r.reseed()
	return r
}

// reseed begins the generator anew: a copy of this machine has the old one, too.
func (r *random) reseed() {
	var seed [32]byte
	r.fill(seed[:])
	r.generator.Seed(seed)
}

// fill fills b with random bytes.
func (r *random) fill(b []byte) {
	if _, err := io.ReadFull(r.system, b); err != nil {
		panic("edge: no randomness: " + err.Error())
	}
}

// nonce returns one of a ping.
func (r *random) nonce() (n [8]byte) {
	r.fill(n[:])
	return n
}

// jitter returns a random duration below d.
func (r *random) jitter(d time.Duration) time.Duration {
	return time.Duration(r.generator.Uint64() % uint64(d))
}
