package supernode

import (
	"math/bits"
	"sync/atomic"

	"hedgerow/supernode/admin"
)

// trainSizes is admin.TrainSizes while it is counted.
type trainSizes [len(admin.TrainSizes{})]atomic.Uint64

// count adds a train of n datagrams, at least one.
func (t *trainSizes) count(n int) { t[min(bits.Len(uint(n-1)), len(t)-1)].Add(1) }

// read returns the present values.
func (t *trainSizes) read() (r admin.TrainSizes) {
	for i := range t {
		r[i] = t[i].Load()
	}
	return r
}
