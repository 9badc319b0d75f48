package swarm

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/crypto"
)

// Config says which edges there are, and where their supernode is.
type Config struct {
	// Supernode is its address, one of 127.0.0.0/8, and Key its static key.
	Supernode netip.AddrPort
	Key       [32]byte
	// Edges is how many there are, MaxEdges at most, and Communities how many they belong
	// to: edge i to community i modulo Communities.
	Edges, Communities int
	// Workers is how many goroutines share the edges, besides the one of the Flow.
	Workers int
	// Pairs is how many pairs of edges relay to each other. Both are of one community, and
	// have a goroutine and a socket of their own, so that what they measure is the
	// supernode's.
	Pairs int
}

// MaxEdges is how many edges 127.0.0.0/8 has room for, two in each /24 but the first.
const MaxEdges = 2*1<<16 - 2

// Swarm is many edges of one supernode. New makes it; Close ends it.
type Swarm struct {
	cfg     Config
	edges   []*edge
	workers []*worker // the first is the Flow's
	Counts  Counts
	stop    context.CancelFunc
	running sync.WaitGroup
}

// Counts are what has happened to all edges since the start.
type Counts struct {
	Inits, Registers  atomic.Int64 // that were sent, again included
	Registered, Naks  atomic.Int64 // answers
	Resets, Abandoned atomic.Int64 // sessions that ended by RESET, and since no ping was answered
}

// String says what has happened.
func (c *Counts) String() string {
	return fmt.Sprintf("%d INITs, %d REGISTERs, %d ACKs, %d NAKs; %d sessions ended by RESET, %d without an answer",
		c.Inits.Load(), c.Registers.Load(), c.Registered.Load(), c.Naks.Load(), c.Resets.Load(), c.Abandoned.Load())
}

// New makes the edges, of which none speaks yet. The error is about a socket, or a
// configuration that does not fit.
func New(cfg Config) (*Swarm, error) {
	if cfg.Communities < 1 || cfg.Workers < 1 || cfg.Edges > MaxEdges || cfg.Edges < cfg.Communities+cfg.Pairs {
		return nil, fmt.Errorf("%d edges in %d communities, %d pairs of one community among them: there are %d at most", cfg.Edges, cfg.Communities, cfg.Pairs, MaxEdges)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Swarm{cfg: cfg, stop: stop}
	for range cfg.Workers + 1 {
		w, err := newWorker(s)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.workers = append(s.workers, w)
	}
	communities := make([]*membership, cfg.Communities)
	for i := range communities {
		c := &crypto.Community{Name: fmt.Sprint("swarm ", i)}
		binary.BigEndian.PutUint32(c.Secret[:], uint32(i)+1)
		communities[i] = &membership{Community: c, id: c.ID()}
	}
	for i := range cfg.Edges {
		w := s.workers[1+i%cfg.Workers]
		if s.paired(i) {
			w = s.workers[0]
		}
		s.edges = append(s.edges, w.add(i, communities[i%cfg.Communities]))
	}
	for _, w := range s.workers {
		s.running.Go(func() { w.read(ctx) })
		s.running.Go(func() { w.run(ctx) })
	}
	return s, nil
}

// paired reports whether an edge is one of a pair: i and i+Communities are one.
func (s *Swarm) paired(i int) bool {
	return i < s.cfg.Pairs || i >= s.cfg.Communities && i < s.cfg.Communities+s.cfg.Pairs
}

// Close ends all edges, without a goodbye, and returns when none speaks any more.
func (s *Swarm) Close() {
	s.stop()
	for _, w := range s.workers {
		w.close()
	}
	s.running.Wait()
}

// Community returns the id of a community, as a supernode shows it.
func (s *Swarm) Community(i int) string { return hex.EncodeToString(s.edges[i].community.id[:]) }

// address returns where edge i is.
func address(i int) netip.Addr {
	n := i/2 + 256 // without 127.0.0.0/16
	return netip.AddrFrom4([4]byte{127, byte(n >> 8), byte(n), 10 + byte(i%2)})
}

// number returns which edge is at an address.
func number(a netip.Addr) int {
	b := a.As4()
	return (int(b[1])<<8+int(b[2])-256)*2 + int(b[3]) - 10
}

// Arrivals are edges that make a session and register, and how long that takes.
type Arrivals struct {
	Took []time.Duration // of each that is registered, from when it was due to the ACK
	Over time.Duration   // from the first to the last ACK's arrival
}

// Arrive has edges from first on, as many as count, make a session and register, and
// returns when all have, or with ctx. With a rate above 0, in edges a second, each is due
// at its time, however late the others are; otherwise no more than atOnce are on their way
// at any time.
func (s *Swarm) Arrive(ctx context.Context, first, count int, rate float64, atOnce int) (a Arrivals, err error) {
	done := make(chan time.Duration, count)
	room := make(chan struct{}, max(atOnce, 1))
	began := time.Now()
	go func() {
		for i := range count {
			due := time.Now()
			if rate > 0 {
				due = began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
				time.Sleep(time.Until(due))
			} else {
				select {
				case room <- struct{}{}:
				case <-ctx.Done():
					return
				}
			}
			e := s.edges[first+i]
			e.worker.Do(func() {
				e.come(due, func(at time.Time) {
					done <- at.Sub(due)
					if rate <= 0 {
						<-room
					}
				})
			})
		}
	}()
	for range count {
		select {
		case took := <-done:
			a.Took = append(a.Took, took)
		case <-ctx.Done():
			return a, fmt.Errorf("%d of %d edges are registered: %w", len(a.Took), count, ctx.Err())
		}
	}
	a.Over = time.Since(began)
	return a, nil
}

// Returned returns for each edge from first on, as many as count, how long after a time it
// was registered anew; those that are not yet are left out.
func (s *Swarm) Returned(first, count int, since time.Time) (list []time.Duration) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, w := range s.workers {
		all.Add(1)
		w.Do(func() {
			defer all.Done()
			var own []time.Duration
			for _, e := range w.edges {
				if e.number >= first && e.number < first+count && e.phase == registered && e.granted.at.After(since) {
					own = append(own, e.granted.at.Sub(since))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			list = append(list, own...)
		})
	}
	all.Wait()
	return list
}
