package edge

import (
	"context"
	"time"
)

// Ceiling is how full one of the edge's bounded tables is (PROTOCOL.md,
// section 10).
type Ceiling struct {
	Table string // what it holds
	Count int    // entries now
	Max   int    // entries at most
}

// Ceilings returns how full every table that others can fill is.
func (e *Edge) Ceilings(ctx context.Context) ([]Ceiling, error) {
	return ask(ctx, e, func(time.Time) []Ceiling {
		senders, salts, retired := e.plane.Groups().Count()
		maxSenders, maxSalts, maxRetired := e.plane.Groups().Bounds()
		hosts, maxHosts := e.plane.HostCount()
		list := []Ceiling{
			{"peers", len(e.peers.byStatic), maxPeers},
			{"views", len(e.peers.byView), maxPeers},
			{"hardware addresses", len(e.peers.byMAC), maxPeers},
			{"handshakes", len(e.peers.pending), maxPeers},
			{"frames for peers", len(e.staged.frames), stagedMax},
			{"frames of strangers", len(e.unvouched.waiting), unvouchedMax},
			{"hosts", hosts, maxHosts},
			{"wanted", len(e.wantedMACs), wantedMax},
			{"pins", len(e.state.saved.Pins), maxPins},
			{"group senders", senders, maxSenders},
			{"group salts", salts, maxSalts},
			{"past group salts", retired, maxRetired},
		}
		for i := range e.links {
			list = append(list, Ceiling{"handles", len(e.peers.byHandle[i]), maxPeers})
		}
		return append(list,
			Ceiling{"sessions", e.draft.SessionCount(), 3 * len(e.peers.byStatic)},
			Ceiling{"hop sessions", e.draft.HopCount(), 2 * len(e.links)})
	})
}
