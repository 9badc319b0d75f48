//go:build !linux

package main

import (
	"hedgerow/internal/waiter"
	"hedgerow/tap"
	"hedgerow/transport"
)

// waitFor returns what waits for a queue of the device and a socket.
func waitFor(q *tap.Queue, s *transport.UDP) (*waiter.Channels, error) {
	return waiter.NewChannels(q.Ready(), s.Ready()), nil
}
