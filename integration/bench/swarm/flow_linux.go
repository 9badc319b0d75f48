package swarm

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"hedgerow/protocol"
)

// Flow is relayed packets of all pairs of a swarm, from one edge of each to the other.
type Flow struct {
	Sent    int
	Took    []time.Duration // of those that arrived, in order of their arrival
	worker  *worker
	pairs   []pair
	rate    float64
	size    int
	began   time.Time
	ended   bool
	nothing int // packets that could not be made
}

type pair struct{ from, to *edge }

// flowWord begins the packets of a flow.
const flowWord = 0x73776172

// Relay has the pairs relay packets of so many bytes, rate a second in all, until f
// returns, and waits a moment for what is on its way.
func (s *Swarm) Relay(ctx context.Context, rate float64, size int, f func() error) (*Flow, error) {
	w := s.workers[0]
	flow := &Flow{worker: w, rate: rate, size: size}
	for i := range s.cfg.Pairs {
		flow.pairs = append(flow.pairs, pair{s.edges[i], s.edges[i+s.cfg.Communities]})
	}
	if len(flow.pairs) == 0 {
		return nil, errors.New("a swarm without pairs relays nothing")
	}
	w.Do(func() { flow.began, w.flow = time.Now(), flow })
	err := f()
	w.Do(func() { flow.ended = true })
	select {
	case <-time.After(300 * time.Millisecond):
	case <-ctx.Done():
	}
	done := make(chan struct{})
	w.Do(func() { w.flow = nil; close(done) })
	<-done
	return flow, err
}

// send sends what is due. It is the worker's.
func (f *Flow) send(now time.Time) {
	for due := int(now.Sub(f.began).Seconds() * f.rate); !f.ended && f.Sent+f.nothing < due; {
		p := f.pairs[(f.Sent+f.nothing)%len(f.pairs)]
		packet := make([]byte, f.size)
		binary.BigEndian.PutUint32(packet, flowWord)
		binary.BigEndian.PutUint64(packet[8:], uint64(time.Now().UnixNano()))
		pkt, err := p.from.guest.Relay(p.to.granted.handle, protocol.Flags(0), packet)
		if err != nil {
			f.nothing++
			continue
		}
		f.Sent++
		f.worker.send(p.from, pkt, nil)
	}
}

// arrived notes that a packet has arrived.
func (f *Flow) arrived(_ *edge, at time.Time, packet []byte) {
	if len(packet) >= 16 && binary.BigEndian.Uint32(packet) == flowWord {
		f.Took = append(f.Took, at.Sub(time.Unix(0, int64(binary.BigEndian.Uint64(packet[8:])))))
	}
}

// Delivered returns which part of what was sent has arrived.
func (f *Flow) Delivered() float64 { return float64(len(f.Took)) / float64(max(f.Sent, 1)) }

// Quantile returns the time within which a part of list was done; 0 for an empty one.
func Quantile(list []time.Duration, part float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(int(part*float64(len(sorted))), len(sorted)-1)]
}
