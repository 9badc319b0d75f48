package quota

import (
	"math"
	"net/netip"
	"time"

	"hedgerow/internal/network"
)

// Limits are how many bytes may be relayed in a month; 0: any number.
type Limits struct {
	// All is of the whole supernode, Community of one community, Edge of one identity,
	// whatever its communities are, and Source of one IPv4 address or IPv6 /64.
	All, Community, Edge, Source uint64
}

// Defaults returns limits in which those that are not set follow from All: half of it for a
// community and a quarter for an edge or a source, so that nobody uses up what all share.
// Without All there are none: what a line may carry in a month its owner alone knows.
func (l Limits) Defaults() Limits {
	set := func(v *uint64, part uint64) {
		if *v == 0 && l.All != 0 {
			*v = max(l.All/part, 1)
		}
	}
	set(&l.Community, 2)
	set(&l.Edge, 4)
	set(&l.Source, 4)
	return l
}

// Scope is whose use of a month there is a limit of.
type Scope uint8

const (
	// All is the whole supernode.
	All Scope = iota
	// Community is one community.
	Community
	// Edge is one identity.
	Edge
	// Source is one IPv4 address or IPv6 /64.
	Source
	// None is nobody's.
	None
)

// scopes is how many there are.
const scopes = int(None)

// key names one of a scope: the id of a community, an identity, or a network, with zeros
// behind it.
type key [32]byte

func sourceKey(from netip.Addr) (k key) {
	network.Of(from)[0].Append(k[:0])
	return k
}

// account is what one has used.
type account struct {
	used  uint64
	month uint16 // of which; 0: it has lost its place
	scope Scope
	dirty bool // it is in Table.dirty
	key   key
}

// Payer is whom the packets of a registration are counted for. The zero value is found out
// by the first packet.
type Payer struct {
	edge, community, source *account
	from                    netip.Addr
}

// book has the accounts of one scope. Each keeps its place in list until it loses it.
type book struct {
	of   map[key]*account
	list []*account
	most int
	hand int // where in list the next newcomer looks for a place
}

// yielding is among how many accounts that of a newcomer takes the place of the smallest.
const yielding = 16

// Table is what everybody has used in this month. It has no lock.
type Table struct {
	limits Limits
	month  month
	all    account
	books  [scopes]book
	dirty  []*account // have changed since they were written
	keeps  bool       // somebody writes them
	anew   bool       // everything is to be written

	settled time.Time // until then a clock that is behind may still be set; zero: it was not behind
}

// settling is for how long after a start a clock that is behind what was written then may still
// be set: a host without a clock that runs while it is off begins at a day in its past.
const settling = 10 * time.Minute

// NewTable returns a table of a time in which nobody has used anything, with places for so
// many communities, identities and sources, and mostAccounts of each at most.
func NewTable(now time.Time, limits Limits, communities, edges, sources int) *Table {
	t := &Table{limits: limits}
	for scope, most := range map[Scope]int{Community: communities, Edge: edges, Source: sources} {
		t.books[scope].most = min(max(most, yielding), mostAccounts)
	}
	t.begin(monthOf(now))
	return t
}

// begin forgets what was used before a month.
func (t *Table) begin(m month) {
	t.month = m
	t.all = account{month: m.number}
	for scope := range t.books {
		t.books[scope] = book{of: make(map[key]*account), most: t.books[scope].most}
	}
	t.dirty, t.anew = nil, true
}

// Look begins a new month if it is time. A clock that is set back goes back to the month
// before, too, and nothing that was used in it is known any more; a clock that was never set,
// or that is still behind soon after a start, changes nothing.
func (t *Table) Look(now time.Time) {
	if t.month.has(now) || unset(now) || now.Unix() < t.month.begins && now.Before(t.settled) {
		return
	}
	t.begin(monthOf(now))
}

// Current reports whether a payer that sends from an address is known as it is now. If not,
// SetPayer has to follow before anything is counted.
func (t *Table) Current(now time.Time, p *Payer, from netip.Addr) bool {
	t.Look(now)
	n := t.month.number
	return p.edge != nil && p.from == from && p.edge.month == n && p.community.month == n && p.source.month == n
}

// SetPayer finds out whom the packets of an identity in a community are counted for that
// come from an address; they are counted for the source that another address is in.
func (t *Table) SetPayer(p *Payer, community [16]byte, id [32]byte, from, source netip.Addr) {
	var c key
	copy(c[:], community[:])
	*p = Payer{edge: t.account(Edge, id), community: t.account(Community, c), source: t.account(Source, sourceKey(source)), from: from}
}

// account returns the account with a key. A new one may take the place of another.
func (t *Table) account(scope Scope, k key) *account {
	b := &t.books[scope]
	if a := b.of[k]; a != nil {
		return a
	}
	a := &account{month: t.month.number, scope: scope, key: k}
	b.of[k] = a
	if len(b.list) < b.most {
		b.list = append(b.list, a)
		return a
	}
	// They are far from each other, since those who have used most came early.
	least, apart := b.hand, b.most/yielding
	for i := range yielding {
		if at := (b.hand + i*apart) % b.most; b.list[at].used < b.list[least].used {
			least = at
		}
	}
	b.hand = (b.hand + 1) % b.most
	gone := b.list[least]
	delete(b.of, gone.key)
	gone.month = 0
	b.list[least] = a
	return a
}

// Over returns whose limit is reached of those that a payer counts for, None: nobody's.
// Sources that stand for several have so many times as much.
func (t *Table) Over(p *Payer, sources int) Scope { return t.over(p, sources, 0) }

// Spent is Over for limits that are larger by a part, which is what handshakes are let pass
// for once a limit is reached.
func (t *Table) Spent(p *Payer, sources int) Scope { return t.over(p, sources, signalPart) }

// signalPart is the part of a limit that may be used beyond it: a hundredth.
const signalPart = 100

func (t *Table) over(p *Payer, sources int, part uint64) Scope {
	l := &t.limits
	switch {
	case reached(t.all.used, l.All, part):
		return All
	case reached(p.community.used, l.Community, part):
		return Community
	case reached(p.edge.used, l.Edge, part):
		return Edge
	case reached(p.source.used, l.Source, part) && reached(p.source.used, times(l.Source, sources), part):
		return Source
	}
	return None
}

// reached reports whether a limit and one part in so many beyond it are reached.
func reached(used, limit, part uint64) bool {
	if limit == 0 || used < limit {
		return false
	}
	return part == 0 || used-limit >= limit/part
}

// times returns a limit as often as there are sources.
func times(limit uint64, sources int) uint64 {
	if n := uint64(max(sources, 1)); limit <= math.MaxUint64/n {
		return limit * n
	}
	return math.MaxUint64
}

// Add counts bytes that leave for a payer, who is Current.
func (t *Table) Add(p *Payer, n uint64) {
	t.add(&t.all, n)
	t.add(p.community, n)
	t.add(p.edge, n)
	t.add(p.source, n)
}

func (t *Table) add(a *account, n uint64) {
	a.used += n
	if !a.dirty && t.keeps {
		t.note(a)
	}
}

// note notes that an account is to be written. With more of them than there are places,
// which takes a disk that writes nothing, everything is.
func (t *Table) note(a *account) {
	if len(t.dirty) > 1+t.books[Community].most+t.books[Edge].most+t.books[Source].most {
		for _, noted := range t.dirty {
			noted.dirty = false
		}
		t.dirty, t.anew = nil, true
	}
	a.dirty = true
	t.dirty = append(t.dirty, a)
}

// Use is what one has used in this month.
type Use struct {
	// Used and Limit are bytes; a Limit of 0 is none.
	Used, Limit uint64
}

// Part returns how much of the limit is used, in per cent, rounded down; 0 without one.
func (u Use) Part() int {
	if u.Limit == 0 {
		return 0
	}
	return int(min(float64(u.Used)/float64(u.Limit)*100, math.MaxInt32))
}

// All returns what was used in all.
func (t *Table) All() Use { return Use{t.all.used, t.limits.All} }

// Community returns what a community has used.
func (t *Table) Community(id [16]byte) Use {
	var k key
	copy(k[:], id[:])
	return t.use(Community, k, t.limits.Community)
}

// Edge returns what an identity has used, in all its communities.
func (t *Table) Edge(id [32]byte) Use { return t.use(Edge, id, t.limits.Edge) }

// Source returns what was used from where an address is, which stands for several sources.
func (t *Table) Source(from netip.Addr, sources int) Use {
	return t.use(Source, sourceKey(from), times(t.limits.Source, sources))
}

func (t *Table) use(scope Scope, k key, limit uint64) Use {
	if a := t.books[scope].of[k]; a != nil {
		return Use{a.used, limit}
	}
	return Use{0, limit}
}

// Limit returns what the limit of a scope is.
func (t *Table) Limit(s Scope) uint64 {
	return [...]uint64{All: t.limits.All, Community: t.limits.Community, Edge: t.limits.Edge, Source: t.limits.Source, None: 0}[s]
}

// Begins returns when the month has begun.
func (t *Table) Begins() time.Time { return time.Unix(t.month.begins, 0).UTC() }

// Ends returns when the month ends, and everybody begins at zero.
func (t *Table) Ends() time.Time { return time.Unix(t.month.ends, 0).UTC() }
