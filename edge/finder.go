package edge

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// When the supernodes are asked for members that are sought: a while after the start, and
// then more and more rarely, since whoever comes later asks for us.
const (
	findFirst = time.Second
	findMost  = time.Minute
)

// finder looks for members that this edge wants a session with and does not know: the hubs
// of its community, and the peers that links are with. A supernode answers with the latest
// members, or with the one that has a hardware address: an identity cannot be asked for.
type finder struct {
	seekers   []seeker
	directory *directory
	timers    timer.Queue
	next      timer.Timer
	wait      time.Duration
}

// seeker is an owner that wants sessions with members whom it names.
type seeker interface {
	// seeks reports whether it names any.
	seeks() bool
	// sought returns hardware addresses that those which are not known may have, and
	// reports whether there are such members.
	sought() (list []protocol.MAC, missing bool)
}

// open makes the timer.
func (f *finder) open() { f.next = timer.New(&f.timers, "find members", f.find) }

func (f *finder) deadline() time.Time { return f.timers.Next() }
func (f *finder) tick(now time.Time)  { f.timers.Run(now) }

// begin begins to look, if there is anybody to look for.
func (f *finder) begin(now time.Time) {
	f.next.Stop()
	for _, s := range f.seekers {
		if s.seeks() {
			f.wait = findFirst
			f.next.Set(now.Add(f.wait))
		}
	}
}

// find asks the supernodes for the members that are not known.
func (f *finder) find(now time.Time) {
	f.wait = min(2*f.wait, findMost)
	f.next.Set(now.Add(f.wait))
	missing := false
	for _, s := range f.seekers {
		if !s.seeks() {
			continue
		}
		list, some := s.sought()
		missing = missing || some
		for _, mac := range list {
			f.directory.askMAC(now, mac)
		}
	}
	if !missing {
		return
	}
	for _, s := range f.directory.supernodes {
		f.directory.ask(now, s, protocol.Query{})
	}
}

// hubSeeker names the hubs of the community to the finder.
type hubSeeker struct {
	isolation *isolation
	peers     *peers
	cid       [16]byte
}

func (h hubSeeker) seeks() bool { return h.isolation.on() }

// sought returns the hardware addresses that follow from the identities of unknown hubs.
// They may have others.
func (h hubSeeker) sought() (list []protocol.MAC, missing bool) {
	known := make(map[[32]byte]bool)
	for _, p := range h.peers.byStatic {
		if p.known() {
			known[p.identity.statement.ID] = true
		}
	}
	for _, id := range h.isolation.hubs {
		if id != h.isolation.own && !known[id] {
			list = append(list, protocol.MAC(crypto.MACFor(id[:], h.cid)))
		}
	}
	return list, len(list) > 0
}
