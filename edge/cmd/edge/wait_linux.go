package main

import (
	"hedgerow/internal/waiter"
	"hedgerow/tap"
	"hedgerow/transport"
)

// waitFor returns what waits for a queue of the device and a socket.
func waitFor(q *tap.Queue, s *transport.UDP) (*waiter.Files, error) {
	return waiter.NewFiles(q.Fd(), s.Fd())
}
