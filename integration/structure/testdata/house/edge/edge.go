package edge

import (
	"sync"

	"house/edge/dataplane"
	"house/protocol"
)

// Edge embeds two structs of ours and one of somebody else's.
type Edge struct {
	sync.Mutex
	loop
	*dataplane.Plane
	name string
	send sender
}

type loop struct{ failed, done bool }

func (*loop) stop() {}

type sender interface {
	Send(b []byte)
}

func (e *Edge) Run(b []byte) {
	if h, ok := protocol.Parse(b); ok {
		e.register(h)
	}
	func() {
		for range b {
			if e.done {
				return
			} else if e.failed {
				e.stop()
			}
		}
	}()
}

func (e *Edge) name2() string { return e.name }
