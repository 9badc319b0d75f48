package edge

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// Times of a registration. A supernode says when it wants to be asked again, within
// bounds: it can neither have us register without a pause nor keep us away for hours.
const (
	registerRetry = 500 * time.Millisecond // before a REGISTER is repeated for the first time, doubling
	renewSoonest  = 10 * time.Second       // after an ACK, whatever the lease
	renewLatest   = 12 * time.Hour
	poolAgain     = time.Minute     // after an ACK without an address since none is free
	nakSoonest    = 5 * time.Second // after a NAK, whatever it says
	nakLatest     = 10 * time.Minute
	superseded    = 5100 * time.Millisecond // after a newer one, a session is taken by a supernode no more
)

// registrar is the owner of our registrations with the supernodes: it registers on
// each hop session, keeps it alive, and tells the supernode which peers need no
// copy of our floods.
type registrar struct {
	supernodes supernodes
	hops       hopSender
	connector  hopConnector
	directory  *directory
	peers      *peers
	keys       *keyring
	self       *self
	addresses  *deviceAddresses
	underlay   *underlay.Underlay
	reports    *reporter
	refusals   *refusals
	random     *random
	draft      *dataplane.Draft
	timers     timer.Queue
	serving    []*dataplane.Supernode // that have us registered, in the order of the configuration
}

// hopConnector is what the registrar needs of the connector.
type hopConnector interface {
	restart(now time.Time, s *supernode)
	resolve(now time.Time, s *supernode)
	giveUp(now time.Time, s *supernode)
}

// open makes the timers of every supernode.
func (r *registrar) open() {
	for _, s := range r.supernodes {
		s.grant.retry = s.timer(&r.timers, "repeat a REGISTER", r.register)
		s.grant.renew = s.timer(&r.timers, "renew a registration", r.renew)
		s.keepalive.next = s.timer(&r.timers, "ping a supernode", r.ping)
		s.direct.again = s.timer(&r.timers, "repeat a DIRECT", r.sendDirect)
	}
}

func (r *registrar) deadline() time.Time { return r.timers.Next() }
func (r *registrar) tick(now time.Time)  { r.timers.Run(now) }

// settle registers on new sessions, gives broken ones up, and tells the queues
// which supernodes relay.
func (r *registrar) settle(now time.Time) {
	for _, s := range r.supernodes {
		if s.hop.broken {
			s.hop.broken = false
			r.lost(now, s)
		}
		if s.hop.fresh {
			s.hop.fresh = false
			r.begin(now, s)
		}
	}
	r.serving = r.serving[:0]
	for _, s := range r.supernodes {
		if s.registered() {
			r.serving = append(r.serving, s.view)
		}
	}
	r.draft.SetSupernodes(r.serving)
}

// begin registers on a new session.
func (r *registrar) begin(now time.Time, s *supernode) {
	s.grant.pending, s.grant.attempts, s.grant.holder = false, 0, protocol.MAC{}
	s.grant.renew.Stop()
	s.keepalive.forget()
	s.keepalive.next.Set(r.keepaliveAt(now, now, s))
	r.self.listed.begin(s)
	r.register(now, s)
}

// forked notes that every session with a supernode ends. None has us registered until
// the next ones are made.
func (r *registrar) forked() {
	for _, s := range r.supernodes {
		s.grant.done, s.grant.pending, s.keepalive.late = false, false, false
		s.grant.retry.Stop()
		s.grant.renew.Stop()
		s.keepalive.forget()
		s.keepalive.next.Stop()
		r.forgetDirect(s)
	}
	r.peers.markAll()
}

// renew registers again: half of the lease is over.
func (r *registrar) renew(now time.Time, s *supernode) {
	s.grant.attempts = 0
	r.register(now, s)
}

// register registers on the session in use.
func (r *registrar) register(now time.Time, s *supernode) {
	g := &s.grant
	g.pending = true
	g.attempts++
	g.renew.Stop()
	g.retry.Set(now.Add(min(registerRetry<<min(g.attempts-1, 5), 10*time.Second)))
	c := r.keys.community
	rsk := c.Rendezvous()
	m := protocol.Register{
		CID: r.self.cid, RPK: [32]byte(rsk[32:]), NH: c.RoomHash(), MAC: r.self.mac,
		Statement: r.self.statement, Candidates: r.underlay.Addresses.HostCandidates(),
		SigC:  crypto.SignMembership(rsk, s.hop.hash, r.self.cid, r.self.mac, r.self.identity.Static),
		Token: s.cfg.Token, User: s.cfg.User, Password: s.cfg.Password, Listing: r.self.listed.claim(),
	}
	m.Prefix, m.Features = r.addresses.wanted(s), r.self.features|r.addresses.features(s)
	r.hops.send(s, m.Append)
}

// handleAck notes what a supernode granted. Here an edge becomes registered.
func (r *registrar) handleAck(now time.Time, s *supernode, m protocol.Ack) {
	g := &s.grant
	first := !g.done || g.on != s.hop.session
	g.done, g.on, g.pending, g.attempts = true, s.hop.session, false, 0
	g.retry.Stop()
	g.token = m.ResetToken
	g.others, g.nameInUse = max(int(m.Members)-1, 0), m.NameInUse != 0
	if g.leased = m.LeaseSeconds > 0; m.Code == protocol.CodePool {
		g.renew.Set(now.Add(poolAgain))
	} else if g.leased {
		g.renew.Set(now.Add(min(max(time.Duration(m.LeaseSeconds)*time.Second/2, renewSoonest), renewLatest)))
	}
	r.underlay.Addresses.Observed(now, s.hop.at, m.Seen)
	r.offerTURN(now, s, m.TURN)
	if first {
		s.keepalive.late = false
		r.underlay.Lifetime.Ask(now, s.hop.at)
		r.forgetDirect(s)
		s.publishHop()
		r.updateDirect(now)
		r.peers.markAll()
		r.reports.registered(now, s)
		if s.kin.first != nil && s.kin.first.keepalive.next.IsSet() {
			// If both are one supernode it answers in the newer session alone, after a while.
			s.kin.first.keepalive.next.NotAfter(now.Add(superseded))
		}
	}
	r.addresses.granted(now, s, m)
	if first {
		r.reports.ready(now)
		r.directory.ask(now, s, protocol.Query{})
	}
}

// handleNak reports why a supernode refused us, and tries again later.
func (r *registrar) handleNak(now time.Time, s *supernode, m protocol.Nak) {
	if m.Code == protocol.CodeIdentityTwice { // which answers nothing
		if now.Sub(s.grant.twinAt) >= twinRestart {
			s.grant.twinAt = now
			r.connector.restart(now, s) // it may have replaced our session, and does not say so otherwise
		}
		r.self.twin.notice(now, s.cfg.Name)
		return
	}
	ended := m.Code == protocol.CodeNotServed || m.Code == protocol.CodeRemoved || m.Code == protocol.CodeNotListed
	if ended && s.current() {
		r.removed(now, s, m)
		return
	}
	if !s.grant.pending {
		r.refusals.note(refusedNak, s)
		return
	}
	s.grant.retry.Set(now.Add(min(max(time.Duration(m.Retry)*time.Second, nakSoonest), nakLatest)))
	if l := r.self.listed.claim(); m.Code == protocol.CodeListWanted && l != nil && l.Head != nil && s.grant.attempts < listTries {
		s.grant.retry.Set(now.Add(registerRetry))
		return // it has asked us for it, or another member
	}
	if s.registered() && !s.current() { // it was for the session before
		s.grant.done = false
		r.peers.markAll()
	}
	if m.Code == protocol.CodeOldStatement {
		if plane := r.keys.plane; r.self.signAgain(plane.Wall(now), now.Sub(plane.Started())) {
			r.keys.countAgain(now, r.self.seq)
			s.grant.retry.Set(now.Add(registerRetry))
		} else {
			r.self.twin.notice(now, s.cfg.Name)
		}
	}
	if m.Code == protocol.CodeIPTaken && r.addresses.elsewhere(s, m.Holder) {
		s.grant.retry.Set(now)
	}
	r.tell(now, s, m)
}

// removed notes that a supernode has ended our registration, with its session, since its
// operator or the list of members wants it so. It is asked again in a new one.
func (r *registrar) removed(now time.Time, s *supernode, m protocol.Nak) {
	g := &s.grant
	g.done, g.on, g.pending = false, nil, false
	g.retry.Stop()
	g.renew.Stop()
	r.peers.markAll()
	r.tell(now, s, m)
	r.connector.restart(now, s)
}

// tell tells the user of a refusal, once until there is another one.
func (r *registrar) tell(now time.Time, s *supernode, m protocol.Nak) {
	if s.reported.refused == m.Code {
		return
	}
	var since time.Time
	if m.Since != 0 && m.Since < 1<<37 { // before the year 6000: else it is no time
		since = time.Unix(int64(m.Since), 0)
	}
	s.reported.refused, s.reported.refusal = m.Code, control.Refusal(s.cfg.Name, r.keys.community.Name, m.Code, since)
	r.refused(now, s, m)
}

// refused tells the user why a supernode refuses us.
func (r *registrar) refused(now time.Time, s *supernode, m protocol.Nak) {
	switch m.Code {
	case protocol.CodeIPTaken:
		if m.Holder.IsZero() || r.addresses.trouble.told[s.id()] != m.Holder {
			r.addresses.trouble.told[s.id()] = m.Holder
			ev := control.Event{Kind: control.EventAddressRefused, Supernode: s.cfg.Name, Wanted: m.Prefix, MAC: m.Holder}
			if r.addresses.without(s) { // the edge goes on
				ev.Kind, ev.Err = control.EventRefused, fmt.Errorf("%s is used by %s there", m.Prefix.Addr(), m.Holder)
			}
			r.reports.report(now, ev)
		}
		r.addresses.refused(now)
	case protocol.CodeOldStatement: // the user is told of the other machine
	case protocol.CodeMACTaken:
		r.reports.report(now, control.Event{Kind: control.EventMACTaken, Supernode: s.cfg.Name, MAC: r.self.mac})
	default:
		r.reports.report(now, control.Event{
			Kind: control.EventRefused, Supernode: s.cfg.Name, Err: errors.New(protocol.CodeString(m.Code)),
			Text: s.reported.refusal,
		})
	}
}

// released ends the registration with a supernode that is no more.
func (r *registrar) released(now time.Time, s *supernode) {
	g := &s.grant
	g.done, g.on, g.pending, g.leased, g.token = false, nil, false, false, [16]byte{}
	s.keepalive.late = false
	g.offer, g.holder, g.fault = netip.Prefix{}, protocol.MAC{}, ""
	g.retry.Stop()
	g.renew.Stop()
	s.keepalive.forget()
	s.keepalive.next.Stop()
	r.forgetDirect(s)
	for _, p := range r.peers.byStatic {
		r.peers.setHandle(p, s.id(), 0)
	}
	r.peers.markAll()
}

// offerTURN uses the TURN server that a supernode hands out, if it can be one. The
// edge sends requests there, and takes what comes from there for answers.
func (r *registrar) offerTURN(now time.Time, s *supernode, server protocol.TURNServer) {
	if !server.Addr.IsValid() {
		return
	}
	if why := r.underlay.Addresses.Policy().ServerRefusal(server.Addr, s.shownAddr().Addr()); why != address.Allowed {
		r.refusals.note(refusedTURNAddress, s, "address", server.Addr, "why", why)
		return
	}
	if r.peers.at(now, server.Addr) {
		r.refusals.note(refusedTURNAddress, s, "address", server.Addr, "why", "a peer is there")
		return
	}
	r.underlay.TURN.Offer(now, s.id(), server)
}

// goodbye tells a supernode that we leave.
func (r *registrar) goodbye() {
	for _, s := range r.supernodes {
		r.hops.send(s, (&protocol.Unregister{}).Append)
	}
}
