package edge

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// hubFinder looks for the hubs of a community, and keeps sessions with them.
type hubFinder struct {
	isolation *isolation
	peers     *peers
	directory *directory
	sessions  interface{ initiate(p *peer) }
	cid       [16]byte
	timers    timer.Queue
	finding   timer.Timer // asks for hubs that are not known
	wait      time.Duration
	keeping   timer.Timer // makes sessions with hubs again
}

// open makes the timers.
func (f *hubFinder) open() {
	f.finding = timer.New(&f.timers, "find hubs", f.find)
	f.keeping = timer.New(&f.timers, "keep sessions with hubs", f.keep)
}

func (f *hubFinder) deadline() time.Time { return f.timers.Next() }
func (f *hubFinder) tick(now time.Time)  { f.timers.Run(now) }

// begin begins to look for hubs, if there are any.
func (f *hubFinder) begin(now time.Time) {
	f.finding.Stop()
	f.keeping.Stop()
	if !f.isolation.on() {
		return
	}
	f.wait = findFirst
	f.finding.Set(now.Add(f.wait))
	f.keeping.Set(now.Add(keepEvery))
}

// find asks the supernodes for hubs that are not known: by the hardware address that
// follows from the identity, and for the latest members, since it may have another.
func (f *hubFinder) find(now time.Time) {
	f.wait = min(2*f.wait, findMost)
	f.finding.Set(now.Add(f.wait))
	known := make(map[[32]byte]bool)
	for _, p := range f.peers.byStatic {
		if p.known() {
			known[p.identity.statement.ID] = true
		}
	}
	missing := false
	for _, id := range f.isolation.hubs {
		if id != f.isolation.own && !known[id] {
			missing = true
			f.directory.askMAC(now, protocol.MAC(crypto.MACFor(id[:], f.cid)))
		}
	}
	if !missing {
		return
	}
	for _, s := range f.directory.supernodes {
		f.directory.ask(now, s, protocol.Query{})
	}
}

// keep makes the sessions with hubs that have gone, or whose handshake failed.
func (f *hubFinder) keep(now time.Time) {
	f.keeping.Set(now.Add(keepEvery))
	for _, p := range f.peers.byStatic {
		if p.place.hub && p.sessions.idle() {
			f.sessions.initiate(p)
		}
	}
}
