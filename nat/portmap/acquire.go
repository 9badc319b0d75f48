package portmap

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// findTime bounds the search for a protocol: by UDP it ends earlier, the
	// pages of UPnP may need this long.
	findTime = 10 * time.Second
	// betterWait is how long a better protocol is waited for once another has
	// answered. The same router answers at once or not at all.
	betterWait = 250 * time.Millisecond
)

// A finding is the result of the search for one protocol.
type finding struct {
	speaker int // its place in the order of preference
	service service
	err     error
}

// find asks the router by every protocol at once and sends the results in the
// order in which they come. The channel has room for all; done waits, after the
// end of ctx, for searches that still run.
func (m *Mapper) find(ctx context.Context, r router) (findings <-chan finding, done func()) {
	out := make(chan finding, len(m.speakers))
	var asking sync.WaitGroup
	for i, s := range m.speakers {
		asking.Go(func() {
			limit, cancel := context.WithTimeout(ctx, findTime)
			defer cancel()
			found, err := s.find(limit, r)
			out <- finding{i, found, inTime(err)}
		})
	}
	return out, asking.Wait
}

// acquire gets a mapping from the router by the best protocol that grants one.
// The error is a sentence for the user.
func (m *Mapper) acquire(ctx context.Context) (*lease, error) {
	select {
	case <-m.wake: // acquire does now what this asked for
	default:
	}
	r, err := m.router()
	if err != nil {
		return nil, err
	}
	search, cancel := context.WithCancel(ctx)
	findings, done := m.find(search, r)
	defer done()
	defer cancel()

	c := newContest(len(m.speakers))
	var worst error
	for {
		i, over := c.next()
		switch {
		case over:
			return nil, errors.New(problem(worst, r.gateway))
		case i >= 0:
			l, err := newLease(ctx, r, m.speakers[i].protocol(), c.found[i].service, m.port)
			if err == nil {
				return l, nil
			}
			worst = tellsMore(worst, err)
			continue
		}
		select {
		case f := <-findings:
			c.add(f)
			worst = tellsMore(worst, f.err)
		case <-c.patience:
			c.late = true
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// standing is the state of a protocol in a contest.
type standing uint8

const (
	asks     standing = iota // the router
	answered                 // and may map
	out                      // of the contest: failed, or tried
)

// A contest decides which protocol maps: the best one, or one that answered
// betterWait before it.
type contest struct {
	found     []finding // by preference, of those that answered
	standings []standing
	patience  <-chan time.Time // runs from the first answer on
	late      bool             // it is over
}

func newContest(protocols int) *contest {
	return &contest{found: make([]finding, protocols), standings: make([]standing, protocols)}
}

// add records the result of a protocol.
func (c *contest) add(f finding) {
	if f.err != nil {
		c.standings[f.speaker] = out
		return
	}
	c.found[f.speaker], c.standings[f.speaker] = f, answered
	if c.patience == nil {
		c.patience = time.After(betterWait)
	}
}

// next returns the place of the one to map by now, each once. With -1 it is to
// be waited for another to answer, or it is over because all are out.
func (c *contest) next() (place int, over bool) {
	over = true
	for i, s := range c.standings {
		if s == answered {
			c.standings[i] = out
			return i, false
		}
		if s == asks {
			over = false
			if !c.late {
				break
			}
		}
	}
	return -1, over
}
