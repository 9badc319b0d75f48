package edge

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/handshake"
	"hedgerow/internal/timer"
)

// connector is the owner of how supernodes are reached: it finds their addresses,
// learns their keys, makes and renews the hop sessions, and makes streams where
// UDP does not get through. What is said inside the sessions is the registrar's.
type connector struct {
	supernodes supernodes
	out        *dataplane.Sender
	plane      *dataplane.Plane
	party      *handshake.Party
	underlay   *underlay.Underlay
	transports *underlay.Transports
	streamOnly bool // supernodes are reached by streams alone
	loop       *background
	locator    *locator
	reports    *reporter
	refusals   *refusals
	random     *random
	draft      *dataplane.Draft
	timers     timer.Queue
	released   func(now time.Time, s *supernode) // tells the registrar
}

// open makes the timers of every supernode.
func (c *connector) open() {
	for _, s := range c.supernodes {
		if _, err := netip.ParseAddr(s.cfg.Host); err != nil && s.kin.first == nil {
			var name *underlay.Name
			name = c.underlay.Names.New("ip", s.cfg.Host, func(now time.Time, list []netip.Addr, err error) {
				c.resolved(now, c.supernodes.named(name), list, err)
			})
			s.where.name = name
		}
		s.kin.pausing = s.timer(&c.timers, "try the place that a supernode has named", c.locator.pointers.pause)
		s.hello.retry = s.timer(&c.timers, "repeat a HELLO", c.sendHello)
		s.init.retry = s.timer(&c.timers, "repeat an INIT to a supernode", c.retryInit)
		s.hop.rekey = s.timer(&c.timers, "renew a hop session", func(now time.Time, s *supernode) {
			c.restart(now, s)
			c.resolve(now, s) // its name may stand for another host by now
		})
		s.stream.making = s.timer(&c.timers, "make a stream", c.dialStream)
		s.stream.sparing = s.timer(&c.timers, "end a stream", c.endSpareStream)
		if s.key != nil {
			c.pinned(s)
		}
	}
}

// pinned gets ready for handshakes with a supernode whose key is known.
func (c *connector) pinned(s *supernode) {
	s.init.initiator = handshake.NewInitiator(c.party, *s.key)
}

// begin looks for every supernode.
func (c *connector) begin(now time.Time) {
	for _, s := range c.supernodes {
		c.locator.pointers.recall(now, s)
		if c.locator.recall(now, s) {
			c.restart(now, s)
		}
		c.resolve(now, s)
	}
}

func (c *connector) deadline() time.Time { return c.timers.Next() }
func (c *connector) tick(now time.Time)  { c.timers.Run(now) }

// settle tells the queues the addresses and sessions of supernodes, and registers
// when a stream is wanted. It looks at everything, so that nobody has to say what
// has changed; supernodes are eight at most.
func (c *connector) settle(now time.Time) {
	for _, s := range c.supernodes {
		c.publishSources(s)
		c.settleStream(now, s)
		c.settleRekey(now, s)
	}
}

// settleRekey registers when a hop session is renewed: at its age, or at once when
// it is worn.
func (c *connector) settleRekey(now time.Time, s *supernode) {
	switch e := s.hop.session; {
	case e == nil || s.init.active() || c.streamOnly && !s.streaming(): // then a stream begins it
		s.hop.rekey.Stop()
	case e.Crypto().NeedsRekey():
		s.hop.rekey.Set(now)
	default:
		s.hop.rekey.Set(e.Crypto().Created().Add(hopRekeyAfter))
	}
}

// publishSources tells the queues which underlay addresses a supernode has, and
// which mask its datagrams have now.
func (c *connector) publishSources(s *supernode) {
	source := dataplane.Source{Supernode: s.view, Mask: s.mask, Second: s.secondMask()}
	switch {
	case s.mask == nil:
		source.Mask = s.hello.mask
	case s.hello.active:
		source.Welcome = s.hello.mask
	}
	for _, a := range s.where.published {
		if a != s.stream.side && a != s.stream.further.side && !slices.Contains(s.where.addrs, a) {
			c.draft.DropSource(a)
		}
	}
	s.where.published = append(s.where.published[:0], s.where.addrs...)
	for _, side := range [...]netip.AddrPort{s.stream.side, s.stream.further.side} {
		if side.IsValid() {
			s.where.published = append(s.where.published, side)
		}
	}
	for _, a := range s.where.published {
		c.draft.SetSource(a, source)
	}
}

// roamed notes that addresses or routes of this host have changed: the INIT or HELLO
// that waits for an answer is sent again at once, from the new ones, names are looked up,
// and no stream waits any longer.
func (c *connector) roamed(now time.Time) {
	for _, s := range c.supernodes {
		c.resolve(now, s)
		s.stream.next, s.stream.tries = time.Time{}, 0
		switch {
		case s.init.active(): // and is as old as it was: silence counts from its beginning
			pkt, err := s.init.initiator.Retry(now)
			c.sendInit(now, s, s.target(s.init.to), pkt, err)
		case s.hello.active:
			c.sendHello(now, s)
		}
	}
}

// renewAll makes new sessions with every supernode: nothing is sealed under the old
// ones any more, nor sent by the old streams, and no handshake goes on.
func (c *connector) renewAll(now time.Time) {
	for _, s := range c.supernodes {
		c.dropStream(s)
		s.stream.further.close()
		c.retire(s)
		c.locator.rotations.stay(s)
		if i := s.init.initiator; i != nil {
			i.Stop()
		}
		s.init.retry.Stop()
		s.hello.end()
		c.restart(now, s)
	}
}

// retire ends sealing under the session with a supernode. What comes in it is still
// opened.
func (c *connector) retire(s *supernode) {
	h := &s.hop
	if h.session == nil {
		return
	}
	if h.old != nil {
		c.draft.DropHop(h.old.Crypto().LocalIndex())
	}
	h.old, h.session, h.at, h.fresh, h.broken = h.session, nil, netip.AddrPort{}, false, false
	h.route = dataplane.HopRoute{}
	s.view.ClearRoute()
}

// giveUp ends a session that a supernode no longer answers in, and looks for the
// supernode anew.
func (c *connector) giveUp(now time.Time, s *supernode) {
	if s.streaming() {
		c.dropStream(s)
	}
	if s.byFurther() {
		s.stream.further.close()
	}
	if c.takeOver(now, s) {
		return
	}
	c.locator.rotations.stay(s)
	s.hop.at = netip.AddrPort{}
	if s.where.name != nil || s.where.pointer.host != "" {
		s.init.to = netip.AddrPort{}
		c.locator.place(now, s)
	}
	c.restart(now, s)
	if s.stream.conn != nil { // it was made ready when the first pings got lost
		c.beginAt(now, s, s.stream.side)
	}
	c.resolve(now, s) // its name may stand for another host by now
}
