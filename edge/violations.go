package edge

import (
	"fmt"
	"slices"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// Bounds of what the user is told of violations.
const (
	violationsMax   = 64
	violationsShare = 8           // of one peer
	violationQuiet  = time.Minute // after which it is told of again
)

// violations are who broke a rule lately. Each is told once, and then stands in status
// until a minute has passed without it.
type violations struct {
	list    []violation
	device  string
	reports *reporter
}

type violation struct {
	of    violator
	text  string
	last  time.Time
	count uint64 // frames
}

// violator is who broke which rule.
type violator struct {
	static [32]byte // of the peer; zero: hosts of ours
	reason dataplane.DropReason
	host   protocol.MAC // for storms, which each host has for itself
	class  bridge.Class
}

// note notes a violation of a peer, or of our own hosts if p is nil.
func (l *violations) note(now time.Time, p *peer, v dataplane.Violation) {
	l.expire(now)
	of := violator{reason: v.Reason}
	if p != nil {
		of.static = p.view.Static()
	}
	if v.Reason == dataplane.DropStorm || v.Reason == dataplane.DropStormSent {
		of.host, of.class = v.Host, v.Storm.Class
	}
	share := 0
	for i := range l.list {
		known := &l.list[i]
		if known.of == of {
			known.last = now
			known.count += v.Count
			return
		}
		if known.of.static == of.static {
			share++
		}
	}
	if len(l.list) == violationsMax || share == violationsShare {
		return // it is counted
	}
	text := l.sentence(p, v)
	l.list = append(l.list, violation{of, text, now, v.Count})
	l.reports.report(now, control.Event{Kind: control.EventViolation, Text: text, MAC: v.Host})
}

// expire forgets what has not happened for long.
func (l *violations) expire(now time.Time) {
	l.list = slices.DeleteFunc(l.list, func(v violation) bool { return now.Sub(v.last) > violationQuiet })
}

// notes says for status what happens.
func (l *violations) notes(now time.Time) (list []string) {
	l.expire(now)
	for _, v := range l.list {
		list = append(list, fmt.Sprintf("%s (%d frames)", v.text, v.count))
	}
	return list
}

// sentence says what happened, why, and what to type.
func (l *violations) sentence(p *peer, v dataplane.Violation) string {
	if p == nil && v.Reason == dataplane.DropNoBridge {
		return fmt.Sprintf("host %v is behind the device %s, and this edge is no bridge: frames of hosts go nowhere. Start it with --bridge. [E25]", v.Host, l.device)
	}
	who, id := "this edge", ""
	if p != nil {
		who, id = p.title(), p.shortID()
		if !p.known() {
			who = "a member that does not say who it is"
		}
	}
	switch v.Reason {
	case dataplane.DropIsolated:
		return isolatedText(who, v.Group)
	case dataplane.DropUnlisted:
		return unlistedText(who)
	case dataplane.DropNotBridge:
		return fmt.Sprintf("dropped frames of host %v behind %s: that edge is no bridge, or none that this one accepts (--bridge there, --accept-bridges here). [E25]", v.Host, who)
	case dataplane.DropForeignClaim:
		return fmt.Sprintf("dropped what %s says of another hardware address than its own: it is no bridge, and speaks for nobody else. [E26]", who)
	case dataplane.DropAddressTheft:
		return fmt.Sprintf("dropped what %s says of %v: that address is another member's. [E26]", who, v.IP)
	case dataplane.DropDHCPServer:
		return fmt.Sprintf("dropped answers of the DHCP server at %s: none is accepted from there. If it is meant, type --accept-dhcp %s. [E20]", who, id)
	case dataplane.DropRouter:
		return fmt.Sprintf("dropped advertisements of the router at %s: none are accepted from there. If they are meant, type --accept-ra %s. [E20]", who, id)
	case dataplane.DropHidden:
		return fmt.Sprintf("dropped frames of %s that hide what they are, as only somebody does who wants to get past a guard. [E20]", who)
	}
	source := "of host " + v.Host.String() + " behind " + who
	switch {
	case v.Host.IsZero():
		source = "of the hosts behind " + who + " together"
	case p != nil && v.Host == p.view.MAC():
		source = "of " + who
	}
	return fmt.Sprintf("%v %s exceed %d a second: limited. If they are meant, start every edge with a higher --storm. [E21]", v.Storm.Class, source, v.Storm.Limit)
}
