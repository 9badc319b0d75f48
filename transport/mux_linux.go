package transport

import (
	"errors"

	"hedgerow/internal/waiter"
)

// wakeFor returns what the Wait of a MuxReader uses, and the signal that side
// transports set to wake it. For a socket without descriptor it uses channels,
// and no signal.
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
		w.KeepProcessor()
	}
	return event, w, nil
}

// SideFd returns a descriptor that is readable while packets of side transports
// wait, for a waiter.Files along with the socket's own Fd. The connection owns
// it: it is valid until Close, and the caller must not read, write or close it.
// Over a socket without descriptor it is -1.
func (m *MuxReader) SideFd() int {
	b := &m.sides.inbox
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.event.open {
		return -1
	}
	return b.event.fd
}
