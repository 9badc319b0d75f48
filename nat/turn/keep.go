package turn

import (
	"context"
	"errors"
	"time"
)

const (
	// keepEvery is how often the allocation is refreshed: far more often than it
	// expires, since that also keeps the NATs on the path to the server open and
	// shows whether the server still has the allocation.
	keepEvery = 25 * time.Second
	// refusedWait is how long a channel that was refused is not asked for again.
	refusedWait = time.Minute
)

// keep is the goroutine that keeps an allocation until the client's life ends.
func (c *Client) keep(granted time.Duration) {
	timer := time.NewTimer(pause(granted))
	defer timer.Stop()
	for {
		select {
		case <-c.life.Done():
			return
		case <-c.wake:
		case <-timer.C:
			granted, err := c.refresh()
			if err != nil {
				if c.life.Err() == nil {
					c.lose(err)
				}
				return
			}
			timer.Reset(pause(granted))
			c.renewPermissions()
		}
		c.bindChannels()
	}
}

// pause is the time between two refreshes of an allocation that lasts so long.
func pause(granted time.Duration) time.Duration {
	return min(keepEvery, max(granted/2, time.Second))
}

// refresh asks twice before it believes that a server is silent.
func (c *Client) refresh() (granted time.Duration, err error) {
	for range 2 {
		var a answer
		a, err = c.do(c.life, request{method: methodRefresh, lifetime: lifetime})
		var refused *ServerError
		switch {
		case err == nil && a.lifetime > 0:
			return a.lifetime, nil
		case err == nil:
			return 0, errors.New("the TURN server ended it")
		case errors.As(err, &refused) && !refused.transient():
			return 0, err
		case c.life.Err() != nil:
			return 0, context.Cause(c.life)
		}
	}
	return 0, err
}

// renewPermissions renews those that are due. After a passing failure one is due
// again at the next refresh; one that the server refuses is removed.
func (c *Client) renewPermissions() {
	c.mu.Lock()
	due := c.peers.duePermissions(time.Now())
	c.mu.Unlock()
	for _, peer := range due {
		err := c.askPermission(c.life, peer)
		if errors.Is(err, errSilent) || c.life.Err() != nil {
			return // the next refresh shows whether the server is there
		}
	}
}

// bindChannels binds the channels that are wanted and renews those in use.
func (c *Client) bindChannels() {
	for {
		c.mu.Lock()
		ch, ok := c.peers.dueChannel(time.Now())
		c.mu.Unlock()
		if !ok {
			return
		}
		now := time.Now()
		_, err := c.do(c.life, request{method: methodChannelBind, peer: ch.peer, channel: ch.number})
		c.mu.Lock()
		if err == nil {
			c.peers.bound(now, ch.peer)
		} else {
			c.peers.refused(time.Now(), ch.peer)
		}
		c.mu.Unlock()
		if errors.Is(err, errSilent) || c.life.Err() != nil {
			return
		}
	}
}
