package main

import (
	"hedgerow/internal/waiter"
	"hedgerow/tap"
	"hedgerow/transport"
)

// waitFor returns what waits for a queue of the device and a socket.
func waitFor(q *tap.Queue, s *transport.UDP) (*waiter.Files, error) {
	w, err := waiter.NewFiles(q.Fd(), s.Fd())
	if err != nil {
		return nil, err
	}
	w.KeepProcessor(waiter.KeepFor)
	return w, nil
}
