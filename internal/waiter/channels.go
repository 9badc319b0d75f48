package waiter

import (
	"net"
	"sync"
	"sync/atomic"
)

// Channels waits for tokens in channels. Its methods may be called from any
// goroutine.
type Channels struct {
	// first and second are the sources; second is nil, and so never ready, when
	// there is one.
	first, second <-chan struct{}
	stop          chan struct{} // closed by Stop
	once          sync.Once
	sleeps        atomic.Uint64
}

// NewChannels returns a waiter for one channel or two, which is what a loop has;
// it panics for another number. A closed channel is always ready.
func NewChannels(ready ...<-chan struct{}) *Channels {
	if len(ready) < 1 || len(ready) > 2 {
		panic("waiter: NewChannels takes one channel or two")
	}
	c := &Channels{first: ready[0], stop: make(chan struct{})}
	if len(ready) == 2 {
		c.second = ready[1]
	}
	return c
}

// Wait blocks until one of the channels has a token and takes it: nil. After
// Stop it returns net.ErrClosed, whatever the channels have. It does not
// allocate.
func (c *Channels) Wait() error {
	select {
	case <-c.stop:
		return net.ErrClosed
	default:
	}
	c.sleeps.Add(1)
	select {
	case <-c.first:
		return nil
	case <-c.second:
		return nil
	case <-c.stop:
		return net.ErrClosed
	}
}

// Stop ends a Wait that runs and every one that comes. It may be called any
// number of times.
func (c *Channels) Stop() { c.once.Do(func() { close(c.stop) }) }

// Sleeps returns how many times Wait was ready to sleep. That a token was there
// already is counted too.
func (c *Channels) Sleeps() uint64 { return c.sleeps.Load() }

// Close stops the waiter; there is nothing to give back. It returns nil.
func (c *Channels) Close() error {
	c.Stop()
	return nil
}
