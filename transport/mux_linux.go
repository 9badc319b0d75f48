package transport

import (
	"errors"

	"hedgerow/internal/waiter"
)

// wakeFor returns what a MuxReader over a socket waits with, and the signal that
// wakes it for the side ways. A socket without descriptor is waited for by
// channels, and then there is no signal.
func wakeFor(socket Batch, sides <-chan struct{}, keepProcessor bool) (signal, waits, error) {
	source, ok := socket.(interface{ Fd() int })
	if !ok {
		w, err := wakeByReady(socket, sides)
		return signal{}, w, err
	}
	event, err := newSignal()
	if err != nil {
		return signal{}, nil, err
	}
	w, err := waiter.NewFiles(source.Fd(), event.fd)
	if err != nil {
		return signal{}, nil, errors.Join(err, event.close())
	}
	if keepProcessor {
		w.KeepProcessor(waiter.KeepFor)
	}
	return event, w, nil
}

// SideFd returns a descriptor that is readable while side ways have delivered
// something that was not read, for a waiter.Files along with the socket's own Fd.
// It is the connection's: valid until Close, and not to be read, written or
// closed by anybody else. Over a socket without descriptor it is -1.
func (m *MuxReader) SideFd() int {
	b := &m.sides.inbox
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.event.open {
		return -1
	}
	return b.event.fd
}
