package edge

import (
	"fmt"
	"time"

	"hedgerow/roster"
)

// A condition stops or degrades traffic, or will soon, and is known to this process. While
// it lasts status has a note about it, and health is not ok.
type condition struct {
	name  string
	notes func(e *Edge, now time.Time) []string // sentences: what is so, why, and what to type
}

// conditions are all of them, the most urgent first. TestHealth brings each about.
var conditions = [...]condition{
	{"identity", func(e *Edge, now time.Time) []string { return one(e.self.twin.note(now)) }},
	{"start", func(e *Edge, _ time.Time) []string { return e.cfg.Host.Notes }},
	{"segment", func(e *Edge, now time.Time) []string { return e.paths.segment.notes(now) }},
	{"device", func(e *Edge, _ time.Time) []string { return deviceOf(&e.cfg).Notes }},
	{"narrow bridges", func(e *Edge, _ time.Time) []string { return e.peers.narrower(e.cfg.Ethernet.Bridge, mtuOf(&e.cfg)) }},
	{"crowd", crowdNotes},
	{"members", func(e *Edge, _ time.Time) []string { return e.data.lists.notes(rolesOf(&e.cfg)) }},
	{"isolation", func(e *Edge, _ time.Time) []string { return e.self.isolation.notes(e.peers.byStatic) }},
	{"recursion", func(e *Edge, now time.Time) []string { return e.user.recursion.notes(now) }},
	{"supernodes", func(e *Edge, now time.Time) []string {
		return e.servers.list.notes(e.cfg.Reach.StreamOnly, e.self.twin.near(now), e.underlay.Addresses.Policy())
	}},
	{"no IPv4", noIPv4Notes},
	{"relay limits", func(e *Edge, now time.Time) []string { return e.user.limits.notes(now) }},
	{"wrong key", wrongKeyNotes},
	{"addresses", func(e *Edge, _ time.Time) []string { return e.servers.addresses.notes() }},
	{"duplicates", func(e *Edge, _ time.Time) []string { return e.servers.duplicates.notes() }},
	{"links", func(e *Edge, _ time.Time) []string { return e.paths.links.notes() }},
	{"subnets", func(e *Edge, _ time.Time) []string { return e.paths.subnets.notes() }},
	{"violations", func(e *Edge, now time.Time) []string { return e.data.guard.violations.notes(now) }},
	{"schedule", func(e *Edge, now time.Time) []string {
		return one(KeyStatus(e.keys.community, e.keys.schedule, e.data.plane.Wall(now)).Warning)
	}},
	{"key file", func(e *Edge, _ time.Time) []string { return one(e.chores.keyFault) }},
	{"clock", clockNotes},
	{"book", bookNotes},
	{"state", func(e *Edge, _ time.Time) []string { return e.state.notes() }},
}

// rolesOf returns what an edge is by its configuration.
func rolesOf(cfg *Config) (r roster.Role) {
	if cfg.Ethernet.Bridge {
		r |= roster.Bridge
	}
	if len(cfg.Address.Subnets.Announce) > 0 {
		r |= roster.Router
	}
	return r
}

// one returns a sentence as a list, which is empty without one.
func one(sentence string) []string {
	if sentence == "" {
		return nil
	}
	return []string{sentence}
}

// notesOf returns the sentences of all conditions that there are. It is not nil.
func notesOf(e *Edge, now time.Time) []string {
	list := []string{}
	for _, c := range conditions {
		list = append(list, c.notes(e, now)...)
	}
	return list
}

// crowdNotes says that the network has grown beyond what is good to bridge.
func crowdNotes(e *Edge, _ time.Time) []string {
	if !e.cfg.Ethernet.Bridge {
		return nil
	}
	hosts, _ := e.data.plane.Stations().Len()
	return one(crowded(e.peers.bridges()+1, hosts))
}

// noIPv4Notes says how many members are not reached directly since this host has no IPv4.
func noIPv4Notes(e *Edge, _ time.Time) []string {
	policy, n := e.underlay.Addresses.Policy(), 0
	if policy.Missing != 4 {
		return nil
	}
	for _, p := range e.peers.byStatic {
		if p.reach.path != nil && !p.view.Route().Direct.IsValid() && p.reach.path.Remotes().OfMissing(policy) {
			n++
		}
	}
	switch n {
	case 0:
		return nil
	case 1:
		return one("1 member has " + onlyIPv4)
	}
	return one(fmt.Sprintf("%d members have %s", n, onlyIPv4))
}

const onlyIPv4 = "IPv4 addresses alone, and this host has no IPv4, its network no NAT64: frames for them go by a supernode. [E55]"

// wrongKeyNotes says that we are alone, and others use our community's name.
func wrongKeyNotes(e *Edge, _ time.Time) (list []string) {
	for _, s := range e.servers.list {
		if s.registered() && s.reported.wrongKey && s.grant.others == 0 && !e.peers.met() {
			list = append(list, fmt.Sprintf("nobody else is here, and the name %q is in use on %s with another key, or another authority in its file: check -k. [E06]", e.cfg.Community.Name, s.cfg.Name))
		}
	}
	return list
}

// clockNotes says that the wall clock is before any time that it can be.
func clockNotes(e *Edge, now time.Time) []string {
	wall := e.data.plane.Wall(now)
	if !e.keys.schedule.ClockWrong(wall) {
		return nil
	}
	return one(fmt.Sprintf("the clock of this host is wrong: it says %s. Set it: until then keys are used whether they are valid or not.", wall.UTC().Format(time.DateOnly)))
}

// bookNotes says that there are more members than an edge keeps.
func bookNotes(e *Edge, _ time.Time) []string {
	if len(e.peers.byStatic)-len(e.peers.half) < maxPeers {
		return nil
	}
	return one(fmt.Sprintf("this edge knows %d members, which is all that it keeps: more are not met. Make several communities, and route between them.", maxPeers))
}
