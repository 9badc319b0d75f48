// Package lists has the lists of members of communities at a supernode (PROTOCOL.md, section
// 13): which one is the newest that its authority has signed, and who is in it.
//
// Nobody has to trust the supernode for that, nor it anybody: what an edge says of its
// authority is checked against the community's id, and a list against the authority's
// signature. So an edge may bring a list, or a newer one, and no edge an older one.
//
// A Table has no lock and no clock. It collects lists in pieces; a finished one is checked as a
// whole and written to the disk by Job.Do, for which its owner needs no lock.
package lists

import (
	"log/slog"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/internal/durable"
	"hedgerow/internal/network"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// Bounds of a Table, in bytes of lists as roster.List.Append writes them. In memory a list
// takes twice as much.
const (
	// DefaultSize is how much of lists a Table keeps if its Config does not say.
	DefaultSize = 32 << 20
	// least is what a short list counts as: what a file takes on the disk.
	least = 4096
	// sourcePart is which part of all one source may have, twice as much each network around
	// it: one list of the greatest size at least.
	sourcePart = 16
	// gatherPart is which part of all may be collected at one time.
	gatherPart = 4
)

// Times of a Table.
const (
	// pieceWait is how long pieces may take before they are asked for again.
	pieceWait = time.Second
	// After slowTries questions without an answer another edge may bring the list, and after
	// lastTries it is given up.
	slowTries, lastTries = 2, 5
	// gatherLife is how long a list may take to come.
	gatherLife = time.Minute
	// A community may have a new list so often a second, and so many at once.
	newRate, newBurst = 0.5, 8
	// The edges of a source may bring so many lists a second, and so many at once; the
	// networks around it up to four times as many.
	sourceRate, sourceBurst = 1, 64
	sourceTable             = 65536 // buckets that all sources share
	// strayPackets is how many packets the edge that brings a list may send for each question,
	// besides the pieces.
	strayPackets = 8
)

// Config is what a Table is made from.
type Config struct {
	Dir  string       // where lists are kept, beside other files; empty: nowhere
	Disk durable.Disk // of Dir
	Size int          // how many bytes of lists are kept; 0: DefaultSize
	// Sources returns as how many sources an address counts.
	Sources func(netip.Addr) int
	Log     *slog.Logger
}

// Table has the lists of communities.
type Table struct {
	cfg   Config
	rooms map[[16]byte]*room
	used  map[network.Key]int // bytes of lists, by the networks of who brought them first
	size  int                 // of all lists
	idle  *network.Crowd[*room]

	coming  map[uint32]*gathering // by the session of the edge that brings the list
	crowd   *network.Crowd[*gathering]
	weight  int              // of all lists that come, or have come and are being checked
	sources *bucket.Networks // of who brings lists

	jobs queue
	gone []*room // whose files are to be removed
	bell chan struct{}
	fail failing
}

// room is a community with a list of members.
type room struct {
	of     Room
	source netip.Addr   // of who brought the first list
	list   *roster.List // nil: none has come
	charge int          // bytes that count for it; 0: none do
	ends   time.Time    // when the next entry expires; zero: none does
	busy   bool         // one of its members is here
	place  *network.Place[*room]
	gather *gathering // nil: none comes
	whole  *gathering // that has come, and waits to be checked; nil: there is none
	doing  *Job       // nil: none is being done
	stale  bool       // its file is not as its list is, or is to be removed
	file   *task      // by which that is written; nil: it does not wait
	news   bucket.Bucket
}

// gathering is a list that an edge brings, or has brought.
type gathering struct {
	room    *room
	of      *roster.Gathering
	from    uint32     // the session of the edge
	source  netip.Addr // of the edge
	begun   time.Time
	due     time.Time // for the next pieces
	tries   int       // questions since the last piece
	packets int       // that the edge may send before the next question
	weight  int
	place   *network.Place[*gathering]
	waits   *task // when it is whole; nil: it is not
}

// New returns a table with the lists that are on the disk.
func New(cfg Config) *Table {
	if cfg.Size == 0 {
		cfg.Size = DefaultSize
	}
	t := &Table{
		cfg: cfg, rooms: make(map[[16]byte]*room), used: make(map[network.Key]int), idle: network.NewCrowd[*room](),
		coming: make(map[uint32]*gathering), crowd: network.NewCrowd[*gathering](), sources: bucket.NewNetworks(sourceTable),
		bell: make(chan struct{}, 1), fail: failing{left: make(map[*room]struct{})},
	}
	t.load()
	return t
}

// Room is what is known of a community with a list of members.
type Room struct {
	crypto.Room
	NameHash, RPK [32]byte // of which the id is made, together with the authority
}

// valid reports whether the community's id is made of the rest.
func (r *Room) valid() bool {
	return crypto.UsableID(r.Authority) && crypto.CommunityID(crypto.RoomHash(r.NameHash, r.Authority), r.RPK) == r.CID
}

// Claim is what an edge has shown of the list of its community.
type Claim struct {
	Room Room
	Head *protocol.ListHead // of the list that it has; nil: it has none

	signed bool // by the authority, as Signed has found
}

// Check returns what a REGISTER shows of a list of members. ok is false if it says something of
// one that is not so. The signature of the head is not looked at. A REGISTER of a community
// without a list has no claim.
func Check(m *protocol.Register) (claim *Claim, ok bool) {
	if m.Listing == nil {
		return nil, true
	}
	c := &Claim{
		Room: Room{Room: crypto.Room{CID: m.CID, Authority: m.Listing.Authority}, NameHash: m.Listing.NameHash, RPK: m.RPK},
		Head: m.Listing.Head,
	}
	return c, c.Room.valid()
}

// Signed checks whether the head is signed by the authority, and notes it: Judge believes no
// other head that is news.
func (c *Claim) Signed() bool {
	c.signed = roster.Verify(c.Room, c.Head) == nil
	return c.signed
}

// News reports whether the head of a claim is newer than what is known, so that its signature
// has to be checked.
func (t *Table) News(c *Claim) bool {
	if c.Head == nil {
		return false
	}
	r := t.rooms[c.Room.CID]
	return r == nil || roster.Newer(c.Head, r.head()) && !r.awaits(c.Head)
}

// head returns the head of the list that counts; nil: there is none.
func (r *room) head() *protocol.ListHead {
	if r.list == nil {
		return nil
	}
	return &r.list.Head
}

// awaits reports whether a list is on its way that has a head.
func (r *room) awaits(h *protocol.ListHead) bool {
	if r == nil {
		return false
	}
	if r.gather != nil && *r.gather.of.Head() == *h {
		return true
	}
	c := r.coming()
	return c != nil && *c == *h
}

// coming returns the head of the newest list that has come whole and does not count yet; nil:
// there is none.
func (r *room) coming() *protocol.ListHead {
	switch {
	case r.whole != nil:
		return r.whole.of.Head()
	case r.doing != nil && r.doing.came != nil:
		return r.doing.came.of.Head()
	}
	return nil
}

// Verdict says what becomes of a REGISTER.
type Verdict uint8

// The verdicts.
const (
	Open   Verdict = iota // there is no list, so nobody is refused for it
	Member                // it is in the list
	NotListed
	Wanted // a list has to come first
	Full   // there is no room for the list
)

// Applicant is an edge that wants to register. What it claims was checked.
type Applicant struct {
	CID     [16]byte
	ID      [32]byte
	Claim   *Claim // nil: none
	Session uint32
	Source  netip.Addr
	Here    bool // it is registered, and others know of it
}

// Judge decides about an edge. want asks it for pieces of its list; nil: nothing is asked.
func (t *Table) Judge(now time.Time, a *Applicant) (v Verdict, want *protocol.ListWant) {
	r := t.rooms[a.CID]
	newer := a.Claim != nil && a.Claim.Head != nil && (r == nil || roster.Newer(a.Claim.Head, r.head()))
	switch {
	case newer && !a.Claim.signed && !r.awaits(a.Claim.Head):
		v = Wanted // it was no news when its signature could have been checked
	case newer:
		if r == nil {
			r = &room{of: a.Claim.Room, source: a.Source}
		}
		want, v = t.collect(now, r, a)
		if v == Full && r.list == nil {
			return Full, nil
		}
	}
	switch {
	case r == nil && a.Claim == nil:
		return Open, nil
	case r == nil || r.list == nil && a.Claim != nil:
		return Wanted, want
	case r.list == nil:
		return Open, want // until the list is here nobody who claims one is let in
	}
	member := r.member(now, a.ID)
	switch {
	case newer && v != Full && !(a.Here && member):
		return Wanted, want // nobody comes to those whom the newer one may revoke
	case !member:
		return NotListed, want
	}
	return Member, want
}

// member reports whether an identity is a member now. A clock that is behind the list is
// wrong, and nobody's time is over by it.
func (r *room) member(now time.Time, id [32]byte) bool {
	if now.Before(r.list.Made()) {
		now = time.Time{}
	}
	e, listed := r.list.Find(id)
	return listed && !e.Revoked() && !e.Expired(now)
}

// Admits reports whether an identity may be registered in a community.
func (t *Table) Admits(now time.Time, cid [16]byte, id [32]byte) bool {
	r := t.rooms[cid]
	return r == nil || r.list == nil || r.member(now, id)
}

// List returns the newest list of a community; nil: there is none.
func (t *Table) List(cid [16]byte) *roster.List {
	if r := t.rooms[cid]; r != nil {
		return r.list
	}
	return nil
}

// Occupied notes that a member of a community is here, or that none is any more. A list
// that nobody uses makes room for others. A nil Table has no lists.
func (t *Table) Occupied(cid [16]byte, busy bool) {
	if t == nil {
		return
	}
	if r := t.rooms[cid]; r != nil {
		r.busy = busy
		t.rank(r)
	}
}

// rank has a room among those that make room, or not.
func (t *Table) rank(r *room) {
	if yields := !r.busy && r.list != nil && r.doing == nil; yields && r.place == nil {
		r.place = t.idle.Add(r.source, r)
	} else if !yields && r.place != nil {
		t.idle.Remove(r.place)
		r.place = nil
	}
}

// Question is for the edge of a session.
type Question struct {
	Session uint32
	Want    *protocol.ListWant
}

// Tick gives up what takes too long, and returns what is to be asked again, and the
// communities in which somebody's time is over.
func (t *Table) Tick(now time.Time) (again []Question, over [][16]byte) {
	for _, g := range t.coming {
		switch {
		case now.Sub(g.begun) > gatherLife || g.tries == lastTries:
			t.drop(g)
		case !now.Before(g.due):
			g.tries++
			again = append(again, Question{g.from, t.ask(now, g, true)})
		}
	}
	for cid, r := range t.rooms {
		if r.list != nil && !r.ends.IsZero() && !now.Before(r.ends) {
			r.ends = r.list.Ends(now)
			over = append(over, cid)
		}
	}
	t.retry(now)
	return again, over
}
