package main

import (
	"hedgerow/internal/waiter"
	"hedgerow/tap"
	"hedgerow/transport"
)

// waitFor returns what waits for a queue of the device, a socket, and, for the
// queue that reads them, the other transports.
func waitFor(q *tap.Queue, s *transport.UDP, sides *transport.MuxReader) (*waiter.Files, error) {
	fds := []int{q.Fd(), s.Fd()}
	if sides != nil {
		fds = append(fds, sides.SideFd())
	}
	w, err := waiter.NewFiles(fds...)
	if err != nil {
		return nil, err
	}
	w.KeepProcessor()
	return w, nil
}

// waitForLink returns what waits for the device of a link.
func waitForLink(q *tap.Queue) (*waiter.Parked, error) { return waiter.NewParked(q.Fd()) }
