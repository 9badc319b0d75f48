//go:build !linux

package main

import (
	"hedgerow/internal/waiter"
	"hedgerow/tap"
	"hedgerow/transport"
)

// waitFor returns what waits for a queue of the device, a socket, and what comes
// by other ways to that one of them which takes it.
func waitFor(q *tap.Queue, s *transport.UDP, sides *transport.MuxReader) (*waiter.Channels, error) {
	if sides == nil {
		return waiter.NewChannels(q.Ready(), s.Ready()), nil
	}
	return waiter.NewChannels(q.Ready(), s.Ready(), sides.SideReady()), nil
}
