package supernode

import (
	"fmt"
	"time"

	"hedgerow/internal/format"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/quota"
)

// What an edge may send through us once a limit of the month is reached: packets up to
// signalSize bytes, signalRate bytes a second and signalBurst at once. It takes a handshake
// and some candidates to find a direct path, and these may have to be relayed.
const (
	signalSize  = 512
	signalRate  = 512
	signalBurst = 16 << 10
)

// months are what was relayed in this month, and what keeps it.
type months struct {
	table  *quota.Table
	keeper *quota.Keeper
}

// newMonths reads them from the state directory.
func newMonths(s *Server) *months {
	cfg, edges := &s.cfg, s.cfg.Limits.Edges
	// Twice as many places as may be here at once: who is away keeps his.
	table := quota.NewTable(cfg.Now(), cfg.Limits.Month, 2*cfg.Limits.Communities, 2*edges, 2*edges)
	return &months{table, quota.Open(table, quota.Config{
		Dir: cfg.StateDir, Disk: s.store.cfg.disk, Log: cfg.Log, Tables: &s.mu, Now: cfg.Now, Released: s.store.cfg.released,
	})}
}

// monthCodes say to an edge whose limit of the month is reached.
var monthCodes = [...]uint8{
	quota.All: protocol.LimitedMonth, quota.Community: protocol.LimitedCommunityMonth,
	quota.Edge: protocol.LimitedEdgeMonth, quota.Source: protocol.LimitedNetworkMonth,
}

// ofMonth reports whether a limit is one of a calendar month.
func (l limit) ofMonth() bool {
	return l.what >= protocol.LimitedMonth && l.what <= protocol.LimitedNetworkMonth
}

// overMonth returns which limit of the month an edge has reached that sends a packet of size
// bytes, to all if it is a flood. What then leaves for it can be counted. A run is looked at
// once, if nothing is reached: a train more or less is no matter.
func (r *relayer) overMonth(now time.Time, out *outbox, edge *hop, size int, flood bool) limit {
	if r.months.table.Over(r.months.payer(now, edge), 1) == quota.None {
		out.run.month = true
		return limit{}
	}
	return r.beyondMonth(now, edge, size, flood)
}

// payer returns whom what is sent for an edge is counted for.
func (m *months) payer(now time.Time, edge *hop) *quota.Payer {
	p := &edge.reg.budget.payer
	if !m.table.Current(now, p, edge.source) {
		m.table.SetPayer(p, edge.reg.community.id, edge.reg.owner, edge.source, lastingSource(edge.addr, edge.source))
	}
	return p
}

// spendByTURN counts datagrams with so many bytes that the TURN server has sent for an edge,
// and reports whether it may send more. The caller holds the mutex.
func (r *relayer) spendByTURN(now time.Time, edge *hop, datagrams, bytes int) (more bool) {
	p := r.months.payer(now, edge)
	r.months.table.Add(p, uint64(bytes+datagrams*udpCost))
	over := r.months.table.Over(p, 1)
	if over != quota.None {
		over = r.months.table.Over(p, r.registry.front.sourcesIn(lastingSource(edge.addr, edge.source)))
	}
	if over != quota.None {
		r.refused.drop(dropRelayMonth)
	}
	return over == quota.None
}

// beyondMonth is overMonth for an edge that has reached a limit, unless its source stands for
// several.
func (r *relayer) beyondMonth(now time.Time, edge *hop, size int, flood bool) limit {
	b := &edge.reg.budget
	source := lastingSource(edge.addr, edge.source)
	sources := r.registry.front.sourcesIn(source)
	scope := r.months.table.Over(&b.payer, sources)
	if scope == quota.None {
		return limit{}
	}
	if !flood && size <= signalSize && r.months.table.Spent(&b.payer, sources) == quota.None && b.signals.Take(now, float64(size), signalRate, signalBurst) {
		return limit{}
	}
	most := r.months.table.Limit(scope)
	if scope == quota.Source {
		most = r.months.table.Source(source, sources).Limit
	}
	return limit{monthCodes[scope], float64((most-1)/1e6 + 1)}
}

// spend counts copies of a packet of size bytes for an edge, as they leave on the line.
func (r *relayer) spend(src *registration, size, copies int) {
	r.months.table.Add(&src.budget.payer, uint64((lineCost+size)*copies))
}

// status returns what was used in all, and when the month ends. The caller holds the mutex.
func (m *months) status(now time.Time) (used admin.Month, ends time.Time) {
	m.table.Look(now)
	return monthOf(m.table.All()), m.table.Ends()
}

// monthOf returns what a document says of a use.
func monthOf(u quota.Use) admin.Month { return admin.Month{Used: u.Used, Limit: u.Limit} }

// Quota returns what quota.FileName holds of what was relayed this month, as it is now. It
// may be called from any goroutine.
func (s *Server) Quota() []byte { return s.relayer.months.keeper.Content() }

// monthNearly is how much of what all may use in a month is worth a note, in per cent.
const monthNearly = 90

// monthNote says that what may be relayed in this month is used up, or nearly so.
func (h *health) monthNote(now time.Time) string {
	t := h.listing.months.table
	t.Look(now)
	all := t.All()
	part := all.Part()
	if part < monthNearly {
		return ""
	}
	next := t.Ends().Format("2 January 2006")
	if part < 100 {
		return fmt.Sprintf("%d %% of what may be relayed this month is used: %sB of --limit line-month=%sB. When all is used nothing is relayed until %s UTC. Raise it if the line may carry more.",
			part, format.Bytes(all.Used), format.Bytes(all.Limit), next)
	}
	return fmt.Sprintf("as much was relayed this month as --limit line-month=%sB lets be: nothing is until %s UTC, but for what pairs need to find direct paths. Edges are told. Raise it if the line may carry more. [E50]",
		format.Bytes(all.Limit), next)
}

// monthOfSomeNote says that something was not relayed lately for a limit of a part of all. What
// the counter shows in the first seconds of a month may be of the month before, in which
// the limit of all may have been reached.
func (h *health) monthOfSomeNote(now time.Time) string {
	t := h.listing.months.table
	t.Look(now)
	if !h.lately(now, dropRelayMonth) || h.last[dropRelayMonth].Sub(t.Begins()) <= healthEvery || t.All().Part() >= 100 {
		return ""
	}
	return "for some communities, edges or networks nothing more is relayed this month, since they have used as much as --limit community-month, edge-month or source-month lets them: " +
		"'supernode communities' and 'supernode edges' show which. They are told, and their direct paths go on. [E50]"
}
