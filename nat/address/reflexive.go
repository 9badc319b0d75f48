package address

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// MappingBehavior is how the NATs in front of an edge choose the external
// address and port of a flow (RFC 4787, section 4.1).
type MappingBehavior uint8

// The mapping behaviours. An edge without a NAT counts as endpoint-independent.
const (
	MappingUnknown                 MappingBehavior = iota // too few servers answered
	MappingEndpointIndependent                            // the same for every destination
	MappingAddressDependent                               // the same for every port of one destination
	MappingAddressAndPortDependent                        // another for every destination and port
)

// String returns the behaviour in the words of RFC 4787.
func (m MappingBehavior) String() string {
	switch m {
	case MappingEndpointIndependent:
		return "endpoint-independent"
	case MappingAddressDependent:
		return "address-dependent"
	case MappingAddressAndPortDependent:
		return "address-and-port-dependent"
	}
	return "unknown"
}

const (
	maxObservations = 16
	// observationLife is how long an address counts as ours without a new
	// sighting: several keepalives of 20 s may get lost.
	observationLife = 2 * time.Minute
	// comparable observations lie at most this far from the newest, so that a
	// NAT's reboot between two of them does not look like two mappings.
	comparisonSpan = 30 * time.Second
)

// observation is the address that one server saw last.
type observation struct {
	server, seen netip.AddrPort
	at           time.Time
}

// Reflexive collects the addresses of the data socket that servers (supernodes,
// STUN servers) saw. The zero value is ready. It holds the newest observation
// of each of the 16 servers heard last.
type Reflexive struct {
	list []observation // newest first
}

// Observe records that server saw us as seen. It reports whether that differs
// from what the same server saw before, or is its first sight.
func (r *Reflexive) Observe(now time.Time, server, seen netip.AddrPort) (changed bool) {
	server, seen = Unmap(server), Unmap(seen)
	if !server.IsValid() || !seen.IsValid() {
		return false
	}
	changed = true
	for i, o := range r.list {
		if o.server == server {
			changed = o.seen != seen
			r.list = slices.Delete(r.list, i, i+1)
			break
		}
	}
	if len(r.list) == maxObservations {
		r.list = r.list[:maxObservations-1]
	}
	r.list = slices.Insert(r.list, 0, observation{server, seen, now})
	return changed
}

// Moved reports whether a server sees us at another port of the address that it saw before,
// and how long ago that was. Reflexive has yet to be told of what it sees now.
func (r *Reflexive) Moved(now time.Time, server, seen netip.AddrPort) (since time.Duration, moved bool) {
	server, seen = Unmap(server), Unmap(seen)
	for _, o := range r.list {
		if o.server == server {
			return now.Sub(o.at), o.seen.Addr() == seen.Addr() && o.seen.Port() != seen.Port()
		}
	}
	return 0, false
}

// List returns the addresses seen within the last two minutes, the most recent
// first, none twice.
func (r *Reflexive) List(now time.Time) []netip.AddrPort {
	var list []netip.AddrPort
	for _, o := range r.list {
		if now.Sub(o.at) < observationLife && !slices.Contains(list, o.seen) {
			list = append(list, o.seen)
		}
	}
	return list
}

// Common returns the addresses that List does, those first that most have seen.
func (r *Reflexive) Common(now time.Time) []netip.AddrPort {
	list, count := r.List(now), make(map[netip.AddrPort]int)
	for _, o := range r.list {
		if now.Sub(o.at) < observationLife {
			count[o.seen]++
		}
	}
	slices.SortStableFunc(list, func(a, b netip.AddrPort) int { return cmp.Compare(count[b], count[a]) })
	return list
}

// Forget forgets everything: our own addresses or routes have changed.
func (r *Reflexive) Forget() { r.list = nil }

// Mapping classifies the mapping behaviour by comparing the addresses that several
// servers saw within 30 s of the newest observation, over IPv4 when there is any. Servers
// on our own side of the NATs, which see a private address, are compared with each other
// alone. Two servers with different addresses tell endpoint-independent mapping from the
// others; telling those two apart takes two ports of one server, and until then the worse
// one is returned. It is a hint for which techniques to add, never a reason not to try.
func (r *Reflexive) Mapping() MappingBehavior {
	list := r.recent()
	var hosts, hostsDiffer, ports, portsDiffer bool
	for i, a := range list {
		for _, b := range list[i+1:] {
			differ := a.seen != b.seen
			if a.server.Addr() == b.server.Addr() {
				ports, portsDiffer = true, portsDiffer || differ
			} else {
				hosts, hostsDiffer = true, hostsDiffer || differ
			}
		}
	}
	switch {
	case portsDiffer:
		return MappingAddressAndPortDependent
	case !hosts:
		return MappingUnknown
	case !hostsDiffer:
		return MappingEndpointIndependent
	case ports:
		return MappingAddressDependent
	}
	return MappingAddressAndPortDependent
}

// recent returns the observations that Mapping may compare.
func (r *Reflexive) recent() []observation {
	var list []observation
	for _, want := range []struct{ four, public bool }{{true, true}, {false, true}, {true, false}, {false, false}} {
		for _, o := range r.list {
			fits := o.seen.Addr().Is4() == want.four && Public(o.seen.Addr()) == want.public
			if fits && (len(list) == 0 || list[0].at.Sub(o.at) <= comparisonSpan) {
				list = append(list, o)
			}
		}
		if len(list) > 0 {
			break
		}
	}
	return list
}
