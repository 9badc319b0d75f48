package handover

import (
	"errors"
	"sync"
)

// ErrHandedOver says that another process has the state, and with it the sockets.
var ErrHandedOver = errors.New("another process has taken over from this one: ask again")

// Gate is what every goroutine goes through that reads from the sockets, sends by them or
// changes a table, for as long as it does so: a batch of datagrams, one answer, what is due
// by time. Who closes it knows that nothing of that happens meanwhile, so that the state
// can be handed to another process.
type Gate struct {
	passing sync.RWMutex  // held for reading by whoever is in
	left    chan struct{} // closed once another process has the state: nobody comes in any more
}

// NewGate returns an open gate.
func NewGate() *Gate { return &Gate{left: make(chan struct{})} }

// Enter waits until the gate is open. It reports false once another process has the state.
// Leave has to follow if it reports true.
func (g *Gate) Enter() bool {
	g.passing.RLock()
	if g.Handed() {
		g.passing.RUnlock()
		return false
	}
	return true
}

// Leave undoes Enter.
func (g *Gate) Leave() { g.passing.RUnlock() }

// Handed reports whether another process has the state.
func (g *Gate) Handed() bool {
	select {
	case <-g.left:
		return true
	default:
		return false
	}
}

// Left returns what is closed once another process has the state.
func (g *Gate) Left() <-chan struct{} { return g.left }

// Hold calls give while nobody is in. If it succeeds nobody comes in any more. It fails at
// once if the state was handed over before.
func (g *Gate) Hold(give func() error) error {
	g.passing.Lock()
	defer g.passing.Unlock()
	if g.Handed() {
		return ErrHandedOver
	}
	err := give()
	if err == nil {
		close(g.left)
	}
	return err
}

// Gates are what everybody goes through who sends by a socket or reads from one, where one
// loop owns the state and others carry the load: queues.
type Gates struct {
	queues *Gate // and links
	others *Gate // but the loop that owns the state
}

// NewGates returns open gates.
func NewGates() *Gates { return &Gates{NewGate(), NewGate()} }

// Hold calls finish and then give, on the goroutine of the loop, while no queue reads or sends anything. While give runs nobody sends at all. If it succeeds they never
// do again: another process does. What comes meanwhile waits in the device and in the sockets.
func (g *Gates) Hold(finish func(), give func() error) error {
	return g.queues.Hold(func() error {
		finish()
		return g.others.Hold(give)
	})
}

// Send calls send, which sends by a socket of the queues and is called by none of them, unless
// another process has taken over.
func (g *Gates) Send(send func()) {
	if g.others.Enter() {
		defer g.others.Leave()
		send()
	}
}

// Queue returns the gate of the queues.
func (g *Gates) Queue() *Gate { return g.queues }

// Handed reports whether another process has taken over.
func (g *Gates) Handed() bool { return g.queues.Handed() }
