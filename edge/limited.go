package edge

import (
	"fmt"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
	"hedgerow/protocol"
)

// limitedShown is how long status says that a supernode has not relayed all.
const limitedShown = time.Minute

// limits is the owner of what supernodes say that they did not relay of what we sent. It
// counts and tells; a supernode may say what it likes.
type limits struct {
	of       [maxSupernodes]limited
	refusals *refusals
	reports  *reporter
}

// limited is what one supernode said last.
type limited struct {
	name    string
	last    protocol.Limited
	at      time.Time // zero: never
	dropped uint64    // packets, since the note is shown
}

// near reports whether the supernode has said so lately.
func (l *limited) near(now time.Time) bool { return !l.at.IsZero() && now.Sub(l.at) < limitedShown }

// handle notes what a supernode says, and tells the user once as long as it goes on.
func (m *limits) handle(now time.Time, s *supernode, said protocol.Limited) {
	if said.Dropped == 0 {
		return
	}
	m.refusals.add(refusedRelay, uint64(said.Dropped)-1)
	m.refusals.note(refusedRelay, s, "packets", said.Dropped, "limit", said.What, "rate", said.Rate)
	l := &m.of[s.id()]
	fresh := !l.near(now)
	if fresh {
		l.dropped = 0
	}
	l.name, l.last, l.at, l.dropped = s.cfg.Name, said, now, l.dropped+uint64(said.Dropped)
	if fresh {
		m.reports.report(now, control.Event{Kind: control.EventLimited, Supernode: s.cfg.Name, Text: l.sentence()})
	}
}

// notes says for status which supernodes have not relayed all.
func (m *limits) notes(now time.Time) (list []string) {
	for i := range m.of {
		if l := &m.of[i]; l.near(now) {
			list = append(list, l.sentence())
		}
	}
	return list
}

// sentence says what is lost, why, and what to do.
func (l *limited) sentence() string {
	limit, advice := fmt.Sprintf("a limit of its own (number %d): %d a second", l.last.What, l.last.Rate), ""
	const copies = " A broadcast or multicast costs a copy for each member that has no direct path: send less of them, or see in 'edge peers' why paths are relayed."
	switch l.last.What {
	case protocol.LimitedBytes:
		limit = fmt.Sprintf("%d bytes a second of one edge", l.last.Rate)
	case protocol.LimitedCommunityBytes:
		limit = fmt.Sprintf("%d bytes a second of one community", l.last.Rate)
	case protocol.LimitedCopies:
		limit, advice = fmt.Sprintf("%d copies of broadcasts and multicasts a second of one edge", l.last.Rate), copies
	case protocol.LimitedNetworkCopies:
		limit, advice = fmt.Sprintf("%d copies of broadcasts and multicasts a second of all edges at one address", l.last.Rate), copies
	case protocol.LimitedCommunityCopies:
		limit, advice = fmt.Sprintf("%d copies of broadcasts and multicasts a second of one community", l.last.Rate), copies
	case protocol.LimitedLine:
		limit = fmt.Sprintf("an equal part of its line, which is full: %d bytes a second", l.last.Rate)
	case protocol.LimitedLoad:
		limit = "an equal part of its processor, which is full"
	case protocol.LimitedMonth, protocol.LimitedCommunityMonth, protocol.LimitedEdgeMonth, protocol.LimitedNetworkMonth:
		return l.monthSentence()
	}
	return fmt.Sprintf("%s has dropped %d packets of this edge, which sends more through it than its limit of %s.%s [E50]", l.name, l.dropped, limit, advice)
}

// monthSentence is sentence for a limit of a calendar month.
func (l *limited) monthSentence() string {
	whom := map[uint8]string{
		protocol.LimitedMonth: "everybody", protocol.LimitedCommunityMonth: "this community",
		protocol.LimitedEdgeMonth: "this edge", protocol.LimitedNetworkMonth: "all edges at this address",
	}[l.last.What]
	y, m, _ := l.at.UTC().Date()
	next := time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
	return fmt.Sprintf("%s has dropped %d packets of this edge: it has relayed as much for %s this month as it may (%sB), and relays again from %s UTC on. "+
		"Direct paths go on: see in 'edge peers' which peers have none, and why, or add another supernode. [E50]",
		l.name, l.dropped, whom, format.Bytes(uint64(l.last.Rate)*1e6), next.Format("2 January 2006"))
}
