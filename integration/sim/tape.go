package sim

import (
	"bytes"
	"net/netip"
	"sync"
)

// Tape records datagrams of the public internet.
type Tape struct {
	mu   sync.Mutex
	list []Recorded
	max  int
}

// Recorded is one datagram as it was on the wire.
type Recorded struct {
	From, To netip.AddrPort
	Bytes    []byte
}

// Record records up to max datagrams from now on. It takes the place of the
// internet's Tap.
func (w *World) Record(max int) *Tape {
	t := &Tape{max: max}
	w.Net.Tap(t.add)
	return t
}

func (t *Tape) add(from, to netip.AddrPort, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.list) < t.max {
		t.list = append(t.list, Recorded{from, to, bytes.Clone(b)})
	}
}

// Take returns what was recorded so far.
func (t *Tape) Take() []Recorded {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.list
}

// Hold drops every datagram that which names and records up to max of them,
// until the internet's drop function is set again.
func (w *World) Hold(max int, which func(from, to netip.AddrPort) bool) *Tape {
	t := &Tape{max: max}
	w.Net.SetDrop(func(from, to netip.AddrPort, b []byte) bool {
		if !which(from, to) {
			return false
		}
		t.add(from, to, b)
		return true
	})
	return t
}
