//go:build !linux

package main

import (
	"hedgerow/internal/waiter"
	"hedgerow/tap"
	"hedgerow/transport"
)

// waitFor returns what waits for a queue of the device, a socket, and, for the
// queue that reads them, the other transports.
func waitFor(q *tap.Queue, s *transport.UDP, sides *transport.MuxReader) (*waiter.Channels, error) {
	if sides == nil {
		return waiter.NewChannels(q.Ready(), s.Ready()), nil
	}
	return waiter.NewChannels(q.Ready(), s.Ready(), sides.SideReady()), nil
}

// waitForLink returns what waits for the device of a link.
func waitForLink(q *tap.Queue) (*waiter.Channels, error) { return waiter.NewChannels(q.Ready()), nil }
