package waiter

import (
	"net"
	"sync"
	"sync/atomic"
)

// maxChannels is how many sources a loop has at most: frames, datagrams, and
// packets that came beside the datagrams.
const maxChannels = 3

// Channels waits for tokens in channels. Its methods may be called from any
// goroutine.
type Channels struct {
	// sources that there are fewer of are nil, and so never ready.
	sources [maxChannels]<-chan struct{}
	stop    chan struct{} // closed by Stop
	once    sync.Once
	sleeps  atomic.Uint64
}

// NewChannels returns a waiter for one to three channels, as many as a loop has;
// it panics for another number. A closed channel is always ready.
func NewChannels(ready ...<-chan struct{}) *Channels {
	if len(ready) < 1 || len(ready) > maxChannels {
		panic("waiter: NewChannels takes one channel to three")
	}
	c := &Channels{stop: make(chan struct{})}
	copy(c.sources[:], ready)
	return c
}

// Wait blocks until one of the channels has a token, receives it and returns
// nil. After Stop it returns net.ErrClosed, whatever the channels have. It does
// not allocate.
func (c *Channels) Wait() error {
	select {
	case <-c.stop:
		return net.ErrClosed
	default:
	}
	c.sleeps.Add(1)
	select {
	case <-c.sources[0]:
		return nil
	case <-c.sources[1]:
		return nil
	case <-c.sources[2]:
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

// Close stops the waiter, which owns nothing else. It returns nil.
func (c *Channels) Close() error {
	c.Stop()
	return nil
}
