package edge

import (
	"time"

	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// When the supernodes are asked for peers with links that are not known yet: a while after
// the start, and then more and more rarely, since whoever comes later asks for us.
const (
	findFirst = time.Second
	findMost  = time.Minute
)

// linkFinder looks for the peers that links are with. A supernode answers with the latest
// members, or with the one that has a hardware address: an identity cannot be asked for.
type linkFinder struct {
	links     *links
	directory *directory
	state     *state
	timers    timer.Queue
	next      timer.Timer
	wait      time.Duration
}

// open makes the timer.
func (f *linkFinder) open(l *links) {
	f.links = l
	f.next = timer.New(&f.timers, "find peers with links", f.find)
}

// begin begins to look, if there is anybody to look for.
func (f *linkFinder) begin(now time.Time) {
	if f.links.any() {
		f.wait = findFirst
		f.next.Set(now.Add(f.wait))
	}
}

// find asks for the peers that are not known.
func (f *linkFinder) find(now time.Time) {
	f.wait = min(2*f.wait, findMost)
	f.next.Set(now.Add(f.wait))
	missing := f.links.auto.open != nil
	for _, k := range f.links.named {
		if !f.known(k) {
			missing = true
			for _, mac := range f.state.linkAddresses(k.Peer, f.links.self.cid) {
				f.directory.askMAC(now, mac)
			}
		}
	}
	if !missing {
		return
	}
	for _, s := range f.directory.supernodes {
		f.directory.ask(now, s, protocol.Query{})
	}
}

// known reports whether a named link's peer is known.
func (f *linkFinder) known(k *link) bool {
	for _, p := range f.links.peers.byStatic {
		if p.known() && f.links.forID(p.identity.statement.ID) == k {
			return true
		}
	}
	return false
}
