package edge

import (
	"fmt"
	"io"
	"log/slog"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

const (
	// saltAhead is how long a new salt is vouched for in pair sessions before
	// it is used, so that its GROUP packets rarely overtake the SALT message.
	saltAhead = 500 * time.Millisecond
	// saltLife is how long a salt is used for (PROTOCOL.md, section 3).
	saltLife = 120 * time.Second
)

// keyring is the owner of the community's keys: the schedule of epochs, the
// sender of GROUP packets in use and the one that will follow it.
type keyring struct {
	community *crypto.Community
	schedule  *crypto.Schedule
	group     *crypto.GroupSender // in use; nil while no epoch may be sent under
	coming    *crypto.GroupSender // vouched for, and used from changing on
	vouching  bool                // peers have to be told of a new salt
	psks      map[uint8][32]byte  // by key index; deriving one costs as much as an agreement

	salts  saltSource
	plane  *dataplane.Plane
	draft  *dataplane.Draft
	report func(now time.Time, ev control.Event)
	log    *slog.Logger

	timers   timer.Queue
	rolling  timer.Timer // when what may be received or sent under changes next
	changing timer.Timer // to the salt that is coming
	wearing  timer.Timer // when the salt in use has served its time
}

// saltSource is what salts are drawn from.
type saltSource struct {
	static [32]byte // ours, which they name
	serial uint64   // of the newest
	rand   io.Reader
}

// open makes the timers.
func (k *keyring) open() {
	k.psks = make(map[uint8][32]byte)
	k.rolling = timer.New(&k.timers, "roll the epochs", k.roll)
	k.changing = timer.New(&k.timers, "change the salt", k.change)
	k.wearing = timer.New(&k.timers, "draw a new salt", k.wear)
}

func (k *keyring) deadline() time.Time { return k.timers.Next() }
func (k *keyring) tick(now time.Time)  { k.timers.Run(now) }

// Transmit returns the key index to send under, false when there is none.
func (k *keyring) Transmit(now time.Time) (ki uint8, ok bool) {
	e, ok := k.schedule.Transmit(k.plane.Wall(now))
	return e.Index, ok
}

// Acceptable returns the key indices that are received under, the best for a retry
// of a handshake first.
func (k *keyring) Acceptable(now time.Time) []uint8 { return k.schedule.Acceptable(k.plane.Wall(now)) }

// PSK returns the key that handshakes under a key index prove, false when nothing
// is received under it.
func (k *keyring) PSK(now time.Time, ki uint8) (psk [32]byte, ok bool) {
	e, ok := k.schedule.CanReceive(k.plane.Wall(now), ki)
	if !ok {
		return psk, false
	}
	psk, known := k.psks[ki]
	if !known {
		psk = k.community.PairPSK(e)
		k.psks[ki] = psk
	}
	return psk, true
}

// NoticeKey returns the key of the mac of a NOTICE.
func (k *keyring) NoticeKey() [32]byte { return k.community.NoticeKey() }

// listed reports whether the community has a list of members.
func (k *keyring) listed() bool { return k.community.Members == crypto.MembersList }

// sendingIndex returns the key index that GROUP packets are sent under,
// protocol.KINone for none.
func (k *keyring) sendingIndex() uint8 {
	if k.group == nil {
		return protocol.KINone
	}
	return k.group.KI()
}

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

// use sends GROUP packets under a salt from now on; nil is none.
func (k *keyring) use(g *crypto.GroupSender) {
	k.group, k.coming = g, nil
	k.changing.Stop()
	k.draft.SetGroup(g)
}

// serialBits leaves each run the serials of four years of salts.
const serialBits = 20

// countFrom has the serials of salts begin behind those of every earlier run, as
// the sequence number of our statement does.
func (k *keyring) countFrom(seq uint64) { k.salts.serial = seq << serialBits }

// countAgain has them begin behind another number. The salts so far may be taken for older
// ones than those of the run before.
func (k *keyring) countAgain(now time.Time, seq uint64) {
	k.countFrom(seq)
	k.drawSalt(now, true)
}

// drawSalt draws a salt under the epoch that is sent under now, which peers have to
// be told of. With a salt in use the new one waits for saltAhead; fresh says that
// the old one must not be used again.
func (k *keyring) drawSalt(now time.Time, fresh bool) {
	k.vouching = true
	k.wearing.Set(now.Add(saltLife))
	err := ErrScheduleEnded
	if e, ok := k.schedule.Transmit(k.plane.Wall(now)); ok {
		var g *crypto.GroupSender
		k.salts.serial++
		g, err = crypto.NewGroupSender(crypto.GroupConfig{
			Community: k.community, Epoch: e, XF: k.groupTransform(e), Static: k.salts.static, Serial: k.salts.serial,
			Now: k.plane.Wall(now), Random: k.salts.rand,
		})
		if err == nil {
			k.follow(now, g, fresh)
			return
		}
	} else {
		k.use(nil)
	}
	if fresh {
		k.use(nil)
	}
	k.log.Error("cannot send to the community", "err", err)
}

// follow has a new salt follow the one in use.
func (k *keyring) follow(now time.Time, g *crypto.GroupSender, fresh bool) {
	if k.group == nil || fresh {
		k.use(g)
		return
	}
	k.coming = g
	k.changing.Set(now.Add(saltAhead))
}

// change begins to use the salt that is coming.
func (k *keyring) change(now time.Time) { k.use(k.coming) }

// wear draws a new salt: the one in use has served its time.
func (k *keyring) wear(now time.Time) { k.drawSalt(now, false) }

// checkWear draws a new salt if the one in use was used too often.
func (k *keyring) checkWear(now time.Time) {
	if k.coming == nil && k.group != nil && k.group.Worn(k.plane.Wall(now)) {
		k.drawSalt(now, false)
	}
}

// appendSalts appends the SALT messages that vouch for what we send under.
func (k *keyring) appendSalts(b []byte) []byte { return k.appendSaltsTo(nil, b) }

// appendSaltsTo does so for a peer whose session begins. The messages may overtake what went
// to it before there was a session, which they vouch for as well.
func (k *keyring) appendSaltsTo(p *dataplane.Peer, b []byte) []byte {
	for _, g := range []*crypto.GroupSender{k.group, k.coming} {
		if g != nil {
			v := g.Vouch()
			if p != nil && g == k.group && p.Grouped() > 0 {
				v.Lowest = min(v.Lowest, p.Grouped()-1)
			}
			m := protocol.Salt{XF: protocol.Transform(v.XF), KI: v.KI, Salt: v.Salt, Lowest: v.Lowest, Serial: v.Serial}
			b = m.Append(b)
		}
	}
	return b
}

// roll applies what the schedule says now: what is received, what is sent under,
// and when that changes again.
func (k *keyring) roll(now time.Time) {
	wall := k.plane.Wall(now)
	if next := k.schedule.Next(wall); !next.IsZero() {
		k.rolling.Set(now.Add(max(next.Sub(wall), time.Millisecond)))
	} else {
		k.rolling.Stop()
	}
	k.publishEpochs(wall)
	e, ok := k.schedule.Transmit(wall)
	newest := k.coming
	if newest == nil {
		newest = k.group
	}
	if newest != nil && ok && newest.KI() == e.Index {
		return
	}
	first := k.group == nil
	k.drawSalt(now, false)
	if ok && !first {
		k.log.Info("sending under another key index", "index", e.Index)
	}
	if until, ends := k.schedule.Ends(); ends && until.Sub(wall) < endWarning {
		k.report(now, control.Event{Kind: control.EventScheduleEnds, Elapsed: until.Sub(wall)})
	}
}

// publishEpochs tells the queues which epochs are received.
func (k *keyring) publishEpochs(wall time.Time) {
	var list []crypto.Epoch
	for _, ki := range k.schedule.Acceptable(wall) {
		if e, ok := k.schedule.CanReceive(wall, ki); ok && !k.schedule.Superseded(wall, e) {
			list = append(list, e)
		}
	}
	k.draft.SetEpochs(list)
	k.draft.SetList(k.listed())
}

// learn moves transmission to an epoch that an authenticated packet came under,
// if it is newer than ours and inside its receive window.
func (k *keyring) learn(now time.Time, ki uint8) {
	if k.schedule.Learn(k.plane.Wall(now), ki) {
		k.roll(now)
	}
}

// replace uses a community that was read again. Name and secret cannot change under
// a running edge: it would be another community.
func (k *keyring) replace(now time.Time, c *crypto.Community) error {
	if c.Name != k.community.Name || c.Secret != k.community.Secret {
		return fmt.Errorf("the new file is of community %q with another secret: stop this edge and start one for it", c.Name)
	}
	if c.ID() != k.community.ID() {
		return fmt.Errorf("the new file has another authority, or is the first with one or without: to supernodes and members that is another community. Stop this edge and start it again")
	}
	k.community = c
	clear(k.psks)
	k.schedule.Replace(c)
	k.plane.Groups().Replace(c)
	k.plane.ReportEpochs()
	k.roll(now)
	return nil
}
