package tap

import "sync/atomic"

// Counters is what one queue has done since it was opened. In is from the device
// to its owner (ReadBatch), Out is from the owner to the device (WriteBatch).
type Counters struct {
	Reads     uint64 // calls of the system to read, with those that found nothing
	Writes    uint64 // calls of the system to write, with those that were refused
	FramesIn  uint64 // frames and super-frames that were read
	FramesOut uint64 // frames and super-frames that the kernel accepted
	SuperIn   uint64 // super-frames among FramesIn
	SuperOut  uint64 // super-frames among FramesOut
}

// tally is Counters while they are counted: touched once per batch, read at any
// time.
type tally struct {
	reads, writes, framesIn, framesOut, superIn, superOut atomic.Uint64
	dropped                                               atomic.Uint64
}

// snapshot reads every counter; they may be of different moments.
func (t *tally) snapshot() Counters {
	return Counters{
		Reads: t.reads.Load(), Writes: t.writes.Load(),
		FramesIn: t.framesIn.Load(), FramesOut: t.framesOut.Load(),
		SuperIn: t.superIn.Load(), SuperOut: t.superOut.Load(),
	}
}

// add adds to a counter; most are 0 in most batches, which costs no write then.
func add(c *atomic.Uint64, n int) {
	if n > 0 {
		c.Add(uint64(n))
	}
}
