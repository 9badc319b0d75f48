package edge

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/subnet"
)

// How long a question for routes waits for peers that were not asked before.
const (
	routesWait  = 2 * time.Second
	routesCheck = 50 * time.Millisecond
)

// Routes returns the networks behind other edges. Those that were not asked yet, since no
// network of anybody is accepted here, are asked now.
func (e *Edge) Routes(ctx context.Context) (control.Routes, error) {
	for began := time.Now(); ; {
		waits, err := ask(ctx, e, e.paths.subnets.greet)
		if err != nil || !waits || time.Since(began) >= routesWait {
			break
		}
		select {
		case <-ctx.Done():
			return control.Routes{}, ctx.Err()
		case <-time.After(routesCheck):
		}
	}
	return ask(ctx, e, e.paths.subnets.status)
}

// greet makes sessions with the peers that networks may be behind, and reports whether one
// of these has not told of them yet.
func (s *subnets) greet(time.Time) (waits bool) {
	for _, p := range s.peers.byStatic {
		if !p.place.router {
			continue
		}
		if p.sessions.idle() {
			s.sessions.initiate(p)
		}
		if r := s.of[p]; r == nil || !r.heard {
			waits = true
		}
	}
	return waits
}

// status returns the networks behind other edges.
func (s *subnets) status(now time.Time) control.Routes {
	v := control.Routes{Announced: []string{}, Routes: []control.Route{}}
	for _, n := range s.cfg.Announce {
		v.Announced = append(v.Announced, n.String())
	}
	type entry struct {
		control.Route
		offer *offer
	}
	var list []entry
	for p, r := range s.of {
		for i := range r.list {
			o := &r.list[i]
			e := entry{control.Route{Prefix: o.network.String(), Edge: p.title(), ID: p.shortID(), State: control.RouteUsed, Why: o.why, Cost: s.cost(now, p)}, o}
			switch {
			case o.spare:
				e.State = control.RouteSpare
			case o.why != "":
				e.State = control.RouteRefused
			}
			if o.via.IsValid() {
				e.Via = o.via.String()
			}
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b entry) int {
		return cmp.Or(comparePrefixes(a.offer.network, b.offer.network), cmp.Compare(b.State, a.State), cmp.Compare(a.ID, b.ID))
	})
	for _, e := range list {
		v.Routes = append(v.Routes, e.Route)
	}
	return v
}

// routeNotes bounds how many networks are named that are accepted and cannot be used.
const routeNotes = 5

// notes returns what the user should know of networks behind this edge and others.
func (s *subnets) notes() (list []string) {
	if s.routes.fault != nil {
		list = append(list, fmt.Sprintf("packets do not go to networks behind others as they should: %v. [E42]", s.routes.fault))
	}
	for _, n := range s.cfg.Announce {
		if !subnet.IsDefault(n) && slices.ContainsFunc(s.here.own(), n.Overlaps) {
			list = append(list, fmt.Sprintf("the network %s of -r is the community's own, so nobody takes it: leave it out. [E42]", n))
		}
	}
	var refused []string
	host := s.host()
	for p, r := range s.of {
		for _, o := range r.list {
			if o.refused != "" || o.why == "" || o.spare || subnet.IsDefault(o.network) {
				continue
			}
			if why := host.Fault(o.network); why != "" {
				refused = append(refused, fmt.Sprintf("the network %s behind %s is not used: it %s. 'edge routes' shows all. [E42]", o.network, p.title(), why))
			}
		}
	}
	slices.Sort(refused)
	return append(list, refused[:min(routeNotes, len(refused))]...)
}
