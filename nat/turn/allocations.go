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

// allocations is the table of relays: by the client's address, which is what one
// belongs to, and how many each identity has.
type allocations struct {
	limits  ServerLimits
	readers sync.WaitGroup // of relays

	mu         sync.Mutex
	byClient   map[netip.AddrPort]*relay
	open       int
	byIdentity map[string]int
}

func newAllocations(limits ServerLimits) *allocations {
	return &allocations{limits: limits, byClient: make(map[netip.AddrPort]*relay), byIdentity: make(map[string]int)}
}

// of returns the relay of a client, or nil.
func (t *allocations) of(client netip.AddrPort) *relay {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byClient[client]
}

func (t *allocations) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.open
}

// room says why an identity gets no relay now, or nil. Only the goroutine that
// asks adds any, so what it says holds until then.
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

func (t *allocations) add(r *relay) {
	t.readers.Add(1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byClient[r.client] = r
	t.byIdentity[r.identity]++
	t.open++
}

// remove takes a closed relay out. Its client may have another one already.
func (t *allocations) remove(r *relay) {
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

// wait returns when the readers of all relays have been told of their end.
func (t *allocations) wait() { t.readers.Wait() }
