package turn

import (
	"errors"
	"net/netip"
	"sync"
)

// Why an allocation is refused. pion tells clients of both as 508, Insufficient
// Capacity (RFC 8656, section 19).
var (
	errQuota = errors.New("the identity has as many allocations as it may")
	errFull  = errors.New("the server has as many allocations as it may")
)

// allocations is the table of relay sockets: by the client's address, which owns
// one, and the number of each identity.
type allocations struct {
	limits  ServerLimits
	readers sync.WaitGroup // of relays

	mu         sync.Mutex
	byClient   map[netip.AddrPort]*relaySocket
	open       int
	byIdentity map[string]int
}

func newAllocations(limits ServerLimits) *allocations {
	return &allocations{limits: limits, byClient: make(map[netip.AddrPort]*relaySocket), byIdentity: make(map[string]int)}
}

// of returns the relay of a client, or nil.
func (t *allocations) of(client netip.AddrPort) *relaySocket {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byClient[client]
}

func (t *allocations) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

// room returns why an identity gets no allocation now, or nil. Only the calling
// goroutine adds allocations, so the answer holds until it does.
func (t *allocations) room(identity string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.byIdentity[identity] >= t.limits.PerIdentity:
		return errQuota
	case t.open >= t.limits.Allocations:
		return errFull
	}
	return nil
}

func (t *allocations) add(r *relaySocket) {
	t.readers.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byClient[r.client] = r
	t.byIdentity[r.identity]++
	t.open++
}

// remove removes a closed allocation. Its client may have another one already.
func (t *allocations) remove(r *relaySocket) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byClient[r.client] == r {
		delete(t.byClient, r.client)
	}
	if t.byIdentity[r.identity]--; t.byIdentity[r.identity] == 0 {
		delete(t.byIdentity, r.identity)
	}
	t.open--
}

// wait returns when the readers of all relay sockets have got their end.
func (t *allocations) wait() { t.readers.Wait() }
