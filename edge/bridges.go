package edge

import (
	"fmt"
	"slices"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// keepEvery is how often sessions are looked for that should be there. Their bound is that
// of the book: a supernode may say of everybody that he is a bridge.
const keepEvery = 10 * time.Second

// announced notes the features of a peer, by its own word or a supernode's: whether the
// session with it is kept while nothing passes, and whether networks are behind it. Bridges
// keep one with each other: what hosts behind them send is believed in a session alone, and
// they begin at any time. An edge that accepts networks behind others keeps one with these,
// since they name them in a session.
func (s *self) announced(p *peer, features uint32) {
	p.place.kept, p.place.router = s.keeping&features != 0, features&protocol.FeatureRoutes != 0
}

// keepsSession reports whether the session with a peer is kept while nothing passes.
func (p *place) keepsSession() bool { return p.kept || p.linked || p.hub || p.routed }

// missing reports whether the session with a peer is to be kept, and none is made.
func (p *peer) missing() bool { return p.place.keepsSession() && p.sessions.idle() }

// keptSessions is the owner of which sessions are made although nothing passes.
type keptSessions struct {
	peers    *peers
	sessions interface{ initiate(p *peer) }
	policy   *address.Policy
	timers   timer.Queue
	next     timer.Timer
}

// open sets the timer.
func (k *keptSessions) open() {
	k.next = timer.New(&k.timers, "keep sessions", k.keep)
	k.next.Set(k.policy.Next(k.peers.plane.Started(), keepEvery))
}

func (k *keptSessions) deadline() time.Time { return k.timers.Next() }
func (k *keptSessions) tick(now time.Time)  { k.timers.Run(now) }

// keep makes the sessions that are to be kept and have gone, or whose handshake failed.
func (k *keptSessions) keep(now time.Time) {
	k.next.Set(k.policy.Next(now, keepEvery))
	for _, p := range k.peers.byStatic {
		if p.missing() || p.identity.listing.kept && p.sessions.idle() {
			k.sessions.initiate(p)
		}
	}
}

// narrowerShown bounds how many bridges are named whose LANs carry less than ours.
const narrowerShown = 3

// narrower says which bridges stand before LANs that carry less than our own, if we are
// one, whose MTU is given. A bridge drops what is too long for a port without telling anybody, as a
// switch does.
func (b *peers) narrower(own bool, mtu int) (notes []string) {
	if !own {
		return nil
	}
	for _, p := range b.byStatic {
		if p.known() && p.view.Bridge() && p.place.mtu > 0 && p.place.mtu < mtu {
			name := p.about.Name
			if name == "" {
				name = p.shortID()
			}
			notes = append(notes, fmt.Sprintf("the LAN behind %s carries %d bytes and the one here %d: longer frames from here vanish there without a word. "+
				"Type on one of the two, for its bridge and each port of it: ip link set br0 mtu, and the other's number. [E17]", name, p.place.mtu, mtu))
		}
	}
	slices.Sort(notes)
	return notes[:min(narrowerShown, len(notes))]
}

// How many bridges and hosts one layer-2 network is good for: beyond, what everybody has
// to hear of everybody else costs more than what it is for.
const (
	manyBridges  = 20
	manyStations = 500
)

// crowded says that a network has grown beyond what is good to bridge, if it has.
func crowded(bridges, hosts int) string {
	if bridges <= manyBridges && hosts <= manyStations {
		return ""
	}
	return fmt.Sprintf("%d bridges and %d hosts are one Ethernet here: each broadcast of each host goes to all of them. "+
		"Route between the sites instead, with --p2p. [E34]", bridges, hosts)
}

// bridges counts the members that are bridges.
func (b *peers) bridges() (n int) {
	for _, p := range b.byStatic {
		if p.known() && p.view.Bridge() {
			n++
		}
	}
	return n
}
