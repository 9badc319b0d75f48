package edge

import (
	"fmt"
	"io"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

const (
	// saltAhead is how long a new salt is vouched for in pair sessions before
	// it is used, so that its GROUP packets rarely overtake the SALT message.
	saltAhead = 500 * time.Millisecond
	// clockEvery is the watchdog's period (PROTOCOL.md, section 4).
	clockEvery = time.Second
	// clockJump is the difference between two clocks that counts as a jump.
	clockJump = 10 * time.Second
)

// keyring is the community's schedule, the GROUP sender in use and the one
// that will follow it, and the watchdog of the clocks.
type keyring struct {
	community *crypto.Community
	schedule  *crypto.Schedule
	rand      io.Reader

	group  *crypto.GroupSender // in use; nil while no epoch may be sent under
	coming *crypto.GroupSender // vouched for, used from switchAt on
	switchAt,
	rollAt, // when what may be received or sent changes next; zero: never
	wornAt time.Time // when the salt in use has served its time

	clock clockWatch
	psks  map[uint8][32]byte // by key index; deriving one costs as much as an agreement
}

func newKeyring(c *crypto.Community, build time.Time, rand io.Reader) *keyring {
	return &keyring{community: c, schedule: crypto.NewSchedule(c, build), rand: rand, psks: make(map[uint8][32]byte)}
}

// pairPSK returns the key that handshakes under an epoch prove.
func (k *keyring) pairPSK(e crypto.Epoch) [32]byte {
	psk, ok := k.psks[e.Index]
	if !ok {
		psk = k.community.PairPSK(e)
		k.psks[e.Index] = psk
	}
	return psk
}

// saltLife is how long a salt is used for (PROTOCOL.md, section 3).
const saltLife = 120 * time.Second

// groupTransform returns the GROUP transform of an epoch.
func (k *keyring) groupTransform(e crypto.Epoch) uint8 {
	switch {
	case k.community.Insecure:
		return uint8(protocol.XFNull)
	case e.Transform == crypto.TransformChaCha, e.Transform != crypto.TransformAES && !crypto.HardwareAES():
		return uint8(protocol.XFGroupChaCha)
	}
	return uint8(protocol.XFGroupGCM)
}

// renewGroup draws a new salt under the epoch that is sent under now. With a
// salt in use the new one waits for saltAhead; fresh says that the old one
// must not be used again.
func (k *keyring) renewGroup(now, wall time.Time, fresh bool) error {
	e, ok := k.schedule.Transmit(wall)
	if !ok {
		k.group, k.coming = nil, nil
		return ErrScheduleEnded
	}
	g, err := crypto.NewGroupSender(k.community, e, k.groupTransform(e), wall, k.rand)
	if err != nil {
		return fmt.Errorf("draw a salt: %w", err)
	}
	k.wornAt = now.Add(saltLife)
	if k.group == nil || fresh {
		k.group, k.coming = g, nil
		return nil
	}
	k.coming, k.switchAt = g, now.Add(saltAhead)
	return nil
}

// salts returns the SALT messages that vouch for what we send under.
func (k *keyring) salts() []protocol.Salt {
	var m []protocol.Salt
	for _, g := range []*crypto.GroupSender{k.group, k.coming} {
		if g != nil {
			m = append(m, protocol.Salt{XF: protocol.Transform(g.XF()), KI: g.KI(), Salt: g.Salt()})
		}
	}
	return m
}

// deadline returns when tickKeys has something to do next.
func (k *keyring) deadline() time.Time {
	d := earliest(k.clock.next, k.rollAt)
	if k.coming != nil {
		return earliest(d, k.switchAt)
	}
	return earliest(d, k.wornAt)
}

// tickKeys rolls keys and salts that are due and watches the clocks.
func (e *Edge) tickKeys(now time.Time) {
	k := e.keys
	wall := e.plane.Wall(now)
	if due(now, k.clock.next) {
		e.watchClock(now)
	}
	if due(now, k.rollAt) {
		e.rollEpochs(now)
	}
	if k.coming != nil && due(now, k.switchAt) {
		k.group, k.coming = k.coming, nil
		e.dirty = true
	}
	if k.coming == nil && (due(now, k.wornAt) || (k.group != nil && k.group.Worn(wall))) {
		e.newSalt(now, false)
	}
}

// newSalt draws a salt and vouches for it in every pair session.
func (e *Edge) newSalt(now time.Time, fresh bool) {
	if err := e.keys.renewGroup(now, e.plane.Wall(now), fresh); err != nil {
		e.keys.wornAt = now.Add(saltLife)
		e.host.Log.Error("cannot send to the community", "err", err)
	}
	e.dirty = true
	salts := e.keys.salts()
	for _, p := range e.peers.byStatic {
		if p.sessions.current != nil {
			// On every path: a peer that misses this hears no flood of ours
			// until it has asked again.
			r := p.view.Route()
			r.Dual = true
			e.sendControl(p, &r, 0, func(b []byte) []byte { return appendSalts(b, salts) })
		}
	}
}

func appendSalts(b []byte, salts []protocol.Salt) []byte {
	for i := range salts {
		b = salts[i].Append(b)
	}
	return b
}

// rollEpochs applies what the schedule says now: what is received, what is
// sent under, and when that changes again.
func (e *Edge) rollEpochs(now time.Time) {
	k := e.keys
	wall := e.plane.Wall(now)
	k.rollAt = time.Time{}
	if next := k.schedule.Next(wall); !next.IsZero() {
		k.rollAt = now.Add(max(next.Sub(wall), time.Millisecond))
	}
	e.dirty = true
	epoch, ok := k.schedule.Transmit(wall)
	if k.group != nil && ok && k.group.KI() == epoch.Index && k.coming == nil {
		return
	}
	if k.coming != nil && ok && k.coming.KI() == epoch.Index {
		return
	}
	first := k.group == nil
	e.newSalt(now, false)
	if ok && !first {
		e.host.Log.Info("sending under another key index", "index", epoch.Index)
	}
	if until, ends := k.schedule.Ends(); ends && until.Sub(wall) < endWarning {
		e.report(now, Event{Kind: EventScheduleEnds, Elapsed: until.Sub(wall)})
	}
}

// learnEpoch moves transmission to an epoch that an authenticated packet came
// under, if it is newer than ours and inside its receive window.
func (e *Edge) learnEpoch(now time.Time, ki uint8) {
	if e.keys.schedule.Learn(e.plane.Wall(now), ki) {
		e.rollEpochs(now)
	}
}

// replaceCommunity takes over a community that was read again. Name and
// secret cannot change under a running edge: they name other people.
func (e *Edge) replaceCommunity(now time.Time, c *crypto.Community) error {
	old := e.keys.community
	if c.Name != old.Name || c.Secret != old.Secret {
		return fmt.Errorf("the new file is of community %q with another secret: stop this edge and start one for it", c.Name)
	}
	e.keys.community = c
	clear(e.keys.psks)
	e.keys.schedule.Replace(c)
	e.plane.Groups().Replace(c)
	e.plane.ReportEpochs()
	e.rollEpochs(now)
	return nil
}

// earliest returns the earlier of two times, where zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// due reports whether a time that is not zero has come.
func due(now, at time.Time) bool { return !at.IsZero() && !now.Before(at) }
