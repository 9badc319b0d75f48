package supernode

import "sync"

// gate is what every goroutine goes through that reads from the sockets, sends by them or
// changes a table, for as long as it does so: a batch of datagrams, one answer, what is due
// by time. Who closes it knows that nothing of that happens meanwhile, so that the state
// can be handed to another process.
type gate struct {
	passing sync.RWMutex  // held for reading by whoever is in
	left    chan struct{} // closed once another process has the state: nobody comes in any more
}

func newGate() *gate { return &gate{left: make(chan struct{})} }

// enter waits until the gate is open. It reports false once another process has the state.
// leave has to follow if it reports true.
func (g *gate) enter() bool {
	g.passing.RLock()
	if g.handed() {
		g.passing.RUnlock()
		return false
	}
	return true
}

// leave undoes enter.
func (g *gate) leave() { g.passing.RUnlock() }

// handed reports whether another process has the state.
func (g *gate) handed() bool {
	select {
	case <-g.left:
		return true
	default:
		return false
	}
}

// hold calls give while nobody is in. If it succeeds nobody comes in any more. It fails at
// once if the state was handed over before.
func (g *gate) hold(give func() error) error {
	g.passing.Lock()
	defer g.passing.Unlock()
	if g.handed() {
		return errHandedOver
	}
	err := give()
	if err == nil {
		close(g.left)
	}
	return err
}
