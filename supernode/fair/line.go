package fair

import "time"

const (
	// step is how often backlogs shrink, and stepEach by how much less often with each
	// member that has one, so that this costs some parts of a hundred at most.
	step     = 50 * time.Microsecond
	stepEach = 500 * time.Nanosecond
	// bulkPart and smallPart are the parts that a member may have of what its group has left,
	// for packets above Line.Small and for the others: acknowledgements and pings among its
	// own large packets are lost last, also when the group has less than a moment ago.
	bulkPart  = 7.0 / 16
	smallPart = 3.0 / 4
	// least is a backlog below which there is none: what is left by rounding.
	least = 1e-3
)

// Line is something through which so much passes a second.
type Line struct {
	// Rate is how much that is, in units of its owner's choice, above 0.
	Rate float64
	// Most is how much may wait of all groups together. With a group more that sends as
	// much as it can, each may have less.
	Most float64
	// Small is up to what size a packet is small.
	Small float64

	backlog float64  // of all groups
	groups  []*Group // those with a backlog
	members int      // with a backlog, of all groups
	shrunk  int64    // when, in nanoseconds of the Unix clock
}

// Group is what shares a Line with others, and is shared by Members. The zero value has
// nothing waiting.
type Group struct {
	backlog float64 // of all its members
	place   int32   // in Line.groups, from 1 on; 0: not in it
	members []*Member
}

// Member is one of a Group. The zero value has nothing waiting.
type Member struct {
	backlog float64
	place   int32 // in Group.members, from 1 on; 0: not in it
}

// Take lets a packet of a member of g pass that is as large as size, or reports that there
// is no room for it.
func (l *Line) Take(now time.Time, g *Group, m *Member, size float64) bool {
	l.shrink(now.UnixNano())
	if !l.room(g, m, size) {
		return false
	}
	l.Add(g, m, size)
	return true
}

// Share returns how much a second a member of g gets while all that have something waiting
// want more than their part.
func (l *Line) Share(g *Group) float64 {
	return l.Rate / float64(max(1, len(l.groups))) / float64(max(1, len(g.members)))
}

// room reports whether a packet may wait. A group may have all that others leave, and always
// an equal part; a member may have a part of what its group has left (the dynamic thresholds
// of Choudhury and Hahne, 1998). Who has nothing waiting is only refused when many others of
// the group have had room on that account.
func (l *Line) room(g *Group, m *Member, size float64) bool {
	if g.backlog == 0 {
		return true
	}
	own := max(l.Most-l.backlog+g.backlog, l.Most/float64(len(l.groups)))
	if m.backlog == 0 {
		return g.backlog+size <= 2*own
	}
	part := smallPart
	if size > l.Small {
		part = bulkPart
	}
	return m.backlog+size <= part*(own-g.backlog+m.backlog)
}

// Add counts what passes whether there is room for it or not, such as the copies of a packet
// that Take has let pass: who sends them waits the longer.
func (l *Line) Add(g *Group, m *Member, cost float64) {
	if g.place == 0 {
		l.groups = append(l.groups, g)
		g.place = int32(len(l.groups))
	}
	if m.place == 0 {
		g.members = append(g.members, m)
		m.place = int32(len(g.members))
		l.members++
	}
	m.backlog += cost
	g.backlog += cost
	l.backlog += cost
}

// shrink takes from the backlogs what has passed since the last time.
func (l *Line) shrink(now int64) {
	passed := time.Duration(now - l.shrunk)
	if passed < step+time.Duration(l.members)*stepEach && passed >= 0 {
		return
	}
	l.shrunk = now
	if passed < 0 || l.backlog == 0 {
		return
	}
	amount := l.Rate * passed.Seconds()
	if amount >= l.backlog {
		l.clear()
		return
	}
	each := level(amount, len(l.groups), func(i int) float64 { return l.groups[i].backlog })
	l.backlog = 0
	for i := len(l.groups) - 1; i >= 0; i-- {
		g := l.groups[i]
		l.members -= g.shrink(each)
		if l.backlog += g.backlog; len(g.members) == 0 {
			last := len(l.groups) - 1
			l.groups[i], l.groups[last].place = l.groups[last], g.place
			l.groups[last], l.groups = nil, l.groups[:last]
			g.place = 0
		}
	}
}

// shrink takes an amount from the backlogs of the members, and returns how many have none
// any more.
func (g *Group) shrink(amount float64) (empty int) {
	each := amount // as much as everybody has
	if amount < g.backlog {
		each = level(amount, len(g.members), func(i int) float64 { return g.members[i].backlog })
	}
	g.backlog = 0
	for i := len(g.members) - 1; i >= 0; i-- {
		m := g.members[i]
		if m.backlog -= each; m.backlog >= least {
			g.backlog += m.backlog
			continue
		}
		last := len(g.members) - 1
		g.members[i], g.members[last].place = g.members[last], m.place
		g.members[last], g.members = nil, g.members[:last]
		m.backlog, m.place = 0, 0
		empty++
	}
	return empty
}

// clear forgets all backlogs.
func (l *Line) clear() {
	for i, g := range l.groups {
		for j, m := range g.members {
			m.backlog, m.place = 0, 0
			g.members[j] = nil
		}
		g.backlog, g.place, g.members = 0, 0, g.members[:0]
		l.groups[i] = nil
	}
	l.groups, l.backlog, l.members = l.groups[:0], 0, 0
}
