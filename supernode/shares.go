package supernode

import (
	"net/netip"

	"hedgerow/internal/network"
)

// How many registrations and communities may come from one source: this part of the
// tables, but not less than so many. Each network around it may have twice as many as
// the one in it.
const (
	sourceEdgesPart        = 64
	sourceEdgesLeast       = 256
	sourceCommunitiesPart  = 512
	sourceCommunitiesLeast = 64
)

// edgesAt returns how many registrations may come from a network of a level.
func (l *Limits) edgesAt(level int) int {
	return l.SourceEdges << level
}

// communitiesAt returns how many communities may come from a network of a level.
func (l *Limits) communitiesAt(level int) int {
	return max(l.Communities/sourceCommunitiesPart, sourceCommunitiesLeast) << level
}

// share is what the tables hold from one network.
type share struct{ registrations, communities int }

// shares are what the tables hold from each network, and who makes room for newcomers: a
// registration whose edge is away and was never here for long is a visitor, a community
// of visitors only is deserted. Both belong to the networks that they came from at first,
// wherever their edges are later.
type shares struct {
	limits   *Limits
	front    *front
	of       map[network.Key]share
	visitors *network.Crowd[*registration]
	deserted *network.Crowd[*community]
}

func newShares(limits *Limits, front *front) shares {
	return shares{
		limits: limits, front: front, of: make(map[network.Key]share),
		visitors: network.NewCrowd[*registration](), deserted: network.NewCrowd[*community](),
	}
}

// count adds registrations and communities to the share of each of their networks.
func (s *shares) count(keys [network.Levels]network.Key, registrations, communities int) {
	for _, k := range keys {
		has := s.of[k]
		has.registrations += registrations
		has.communities += communities
		if has == (share{}) {
			delete(s.of, k)
		} else {
			s.of[k] = has
		}
	}
}

// visitorIn returns who makes room for one more registration from a source. full
// says that somebody has to: one of its networks has its share, or the table is full.
func (s *shares) visitorIn(source netip.Addr, tableFull bool) (who *registration, full bool) {
	place := s.visitors.Yielding()
	for _, k := range network.Of(source) {
		if s.of[k].registrations >= s.limits.edgesAt(k.Level())*s.front.sourcesIn(source) {
			place, tableFull = s.visitors.YieldingIn(k), true
			break
		}
	}
	if !tableFull || place == nil {
		return nil, tableFull
	}
	return place.Value, true
}

// desertedIn is visitorIn for communities.
func (s *shares) desertedIn(source netip.Addr, tableFull bool) (which *community, full bool) {
	place := s.deserted.Yielding()
	for _, k := range network.Of(source) {
		if s.of[k].communities >= s.limits.communitiesAt(k.Level())*s.front.sourcesIn(source) {
			place, tableFull = s.deserted.YieldingIn(k), true
			break
		}
	}
	if !tableFull || place == nil {
		return nil, tableFull
	}
	return place.Value, true
}
