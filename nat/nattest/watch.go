package nattest

import (
	"context"
	"slices"
	"time"
)

// quiet is how long no further change may come before one is told, as in
// internal/netwatch.
const quiet = 250 * time.Millisecond

// Watch calls changed 250 ms after the host has got other addresses or another
// LAN, once for several that follow each other faster. It returns nil when ctx
// ends.
func (h *Host) Watch(ctx context.Context, changed func()) error {
	events := make(chan struct{}, 1)
	h.net.mu.Lock()
	h.watchers = append(h.watchers, events)
	h.net.mu.Unlock()
	defer func() {
		h.net.mu.Lock()
		defer h.net.mu.Unlock()
		h.watchers = slices.DeleteFunc(h.watchers, func(c chan struct{}) bool { return c == events })
	}()
	timer := time.NewTimer(quiet)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-events:
			timer.Reset(quiet)
		case <-timer.C:
			changed()
		}
	}
}
