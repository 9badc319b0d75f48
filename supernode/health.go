package supernode

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/supernode/admission"
)

const (
	// healthEvery is how often the counters are looked at, healthShown how long a note
	// stays after what it is about happened last.
	healthEvery = 10 * time.Second
	healthShown = time.Minute
	// exhaustedShown is how many communities without a free address are named.
	exhaustedShown = 3
)

// health knows what went wrong lately: which counters have counted, and what has failed for
// good.
type health struct {
	started  time.Time // of the supernode
	refused  *refusals
	registry *registry
	store    *store
	proofs   admission.Proofs
	listing  *listing
	known    [dropReasons]uint64
	last     [dropReasons]time.Time // zero: never
	looking  timer.Timer
	// exhausted are the communities without a free address, as they were when somebody
	// looked at all of them last.
	exhausted exhausted

	secondPort, streams, turn atomic.Bool // failed: they serve nobody any more
	serving                   atomic.Bool // edges
	beside                    beside
}

// look notes which counters have counted since the last time.
func (h *health) look(now time.Time) {
	for r := range h.known {
		if n := h.refused.drops[r].Load(); n != h.known[r] {
			h.known[r], h.last[r] = n, now
		}
	}
}

// watch looks, and will again.
func (h *health) watch(now time.Time) {
	h.look(now)
	h.registry.events.look(now)
	h.store.check()
	h.looking.Set(now.Add(healthEvery))
}

// lately reports whether one of some counters has counted in the last minute.
func (h *health) lately(now time.Time, reasons ...dropReason) bool {
	for _, r := range reasons {
		if at := h.last[r]; !at.IsZero() && now.Sub(at) < healthShown {
			return true
		}
	}
	return false
}

// A condition stops or degrades what a supernode does, and is known to it. While it lasts
// status has a note about it, and health is not ok. The caller of note holds the mutex, unless
// it asks the disk.
type condition struct {
	name string
	note func(h *health, now time.Time) string // a sentence: what is so, why, and what to type; empty: it is not so
	asks bool                                  // note asks the disk, and its caller does not hold the mutex
}

// lately returns a condition that is there while some counters count.
func lately(name, sentence string, reasons ...dropReason) condition {
	return condition{name: name, note: func(h *health, now time.Time) string {
		if h.lately(now, reasons...) {
			return sentence
		}
		return ""
	}}
}

// failed returns a condition that is there once something has failed.
func failed(name, sentence string, flag func(h *health) *atomic.Bool) condition {
	return condition{name: name, note: func(h *health, _ time.Time) string {
		if flag(h).Load() {
			return sentence
		}
		return ""
	}}
}

// conditions are all of them, the most urgent first. TestHealth brings each about.
var conditions = [...]condition{
	lately("send", "the system refuses to send: look at the routes, the firewall and the MTU of this host.", dropSend),
	{name: "front", note: (*health).frontNote},
	{name: "pool", note: (*health).poolNote},
	lately("registrations", "there is no room for more registrations, in all or of one network: newcomers are refused. 'supernode status' shows how many there are; serve some of the communities by another supernode.", dropEdges, dropStoredFull),
	lately("communities", "there is no room for more communities, in all or of one network: new ones are refused. Serve some of them by another supernode.", dropCommunities),
	lately("newcomers", "more edges that were never seen come from one network than may: some of them wait. It ends by itself, or it is a flood.", dropNewcomerRate),
	lately("passwords", "not all passwords that are shown are looked at: too many of one network, for one name, or in all. Who has shown one before is let in, the others ask again. It ends by itself, or somebody guesses: 'supernode ban source' keeps him out.", dropPasswordRate),
	lately("list room", "there is no room for more lists of members, in all or of one network: their communities wait. Serve some of them by another supernode.", dropListFull),
	lately("handshakes", "handshakes of strangers take all the time that they may, or all places: edges that were never here wait. It is a flood, or many edges at once; those that are here lose nothing.", dropGuests, dropDisplaced),
	lately("relay budget", "not all that edges send is relayed: they, their network or their community send more than their budget, most likely multicasts to many. Those edges are told. [E50]", dropRelayBudget),
	lately("line", "the line is full: edges send more than --limit line-bytes lets pass. Communities share it equally, and so do the edges of each; who sends less than an equal part loses nothing. Raise it if the line carries more. [E50]", dropRelayLine),
	lately("load", "the processor is full: edges send more than this host can relay. Communities share it equally, and so do the edges of each; who sends less than an equal part loses nothing. Let --limit edge-bytes or line-bytes allow less, or serve some of the communities by another supernode. [E50]", dropRelayLoad),
	lately("notices", "members are not told at once of all edges that have started anew: there are more than may be told of.", dropPushes),
	{name: "month", note: (*health).monthNote},
	{name: "month of some", note: (*health).monthOfSomeNote},
	{name: "month on disk", asks: true, note: func(h *health, _ time.Time) string { return h.listing.months.keeper.Note() }},
	{name: "store", note: func(h *health, _ time.Time) string {
		return h.store.sentence()
	}},
	{name: "lists", note: func(h *health, _ time.Time) string { return h.registry.lists.Note() }},
	lately("stored", "some stored registrations were damaged and left out: edges that come back may get other addresses.", dropStored),
	{name: "proofs", asks: true, note: func(h *health, _ time.Time) string { return h.proofs.Note() }},
	{name: "set aside", asks: true, note: func(h *health, _ time.Time) string {
		return h.store.health().asideSentence()
	}},
	failed("second port", "the second port no longer answers: edges do not learn how their NATs map. Start the supernode again.", func(h *health) *atomic.Bool { return &h.secondPort }),
	failed("streams", "streams over TCP are no longer accepted: edges that cannot use UDP do not come. Start the supernode again; the log says why.", func(h *health) *atomic.Bool { return &h.streams }),
	failed("turn", "the TURN server does not run: pairs that need it are relayed. The log says why.", func(h *health) *atomic.Bool { return &h.turn }),
}

// notes are the sentences of all conditions that there are. It is not nil. The caller does
// not hold the mutex.
func (h *health) notes(now time.Time) []string {
	tables := h.listing.tables
	tables.Lock()
	h.look(now)
	refused := h.lately(now, dropPool)
	tables.Unlock()
	var found exhausted
	if refused { // there may be many thousands to look at
		found = h.listing.exhausted(now)
	}
	said := make([]string, len(conditions))
	h.ask(said, now, true)
	tables.Lock()
	h.exhausted = found
	h.ask(said, now, false)
	tables.Unlock()
	return append(slices.DeleteFunc(said, func(note string) bool { return note == "" }), h.beside.notes()...)
}

// ask has the conditions say what is so, either those that ask the disk or the others.
func (h *health) ask(said []string, now time.Time, disk bool) {
	for i, c := range conditions {
		if c.asks == disk {
			said[i] = c.note(h, now)
		}
	}
}

// beside are what whoever runs the supernode says about what belongs to it and does not work.
// Any goroutine may add to them.
type beside struct {
	mu    sync.Mutex
	asked []func() string // each for a sentence; empty: there is none now
}

func (b *beside) add(ask func() string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, ask)
}

func (b *beside) notes() (list []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ask := range b.asked {
		if note := ask(); note != "" {
			list = append(list, note)
		}
	}
	return list
}

// Note adds to the notes of status, as long as it is not empty, what ask returns: that
// something which belongs to the supernode and is none of its parts does not work. ask is
// called for each status, from any goroutine, and may ask the disk. Note may be called from
// any goroutine, a few times.
func (s *Server) Note(ask func() string) { s.health.beside.add(ask) }

// frontNote says that something before us hides where edges come from.
func (h *health) frontNote(time.Time) string {
	f := h.registry.front
	if !f.at.IsValid() {
		return ""
	}
	return fmt.Sprintf("%d of the %d edges come from %s, a private address: a NAT or a proxy before this supernode hides where they are, "+
		"so they are told wrong addresses of each other and have fewer direct paths. Forward the port without changing the source, or run a container with --network host. [E52]",
		f.seen[f.at], f.all, f.at)
}

// poolNote says in which communities newcomers got no address lately.
func (h *health) poolNote(time.Time) string {
	note := h.exhausted.shown
	if h.exhausted.all == 0 {
		return ""
	}
	if more := h.exhausted.all - exhaustedShown; more > 0 {
		note += fmt.Sprintf("and so have %d others, ", more)
	}
	return note + "all are held by members that are here or were a short time ago: newcomers get none, and are reached by IPv6 only. Start the supernode with a larger --pool. [E56]"
}
