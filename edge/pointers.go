package edge

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/underlay"
	"hedgerow/internal/invite"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// A supernode that moves tells its edges where it is found from now on (REDIRECT). They
// register there as well, as where a name has come to stand for another host (moved.go):
// whoever answers there has the same key, or nothing changes.

// pointers is the owner of where supernodes say that they are.
type pointers struct {
	supernodes supernodes
	hops       hopSender
	underlay   *underlay.Underlay
	state      *state
	reports    *reporter
	refusals   *refusals
	changed    func(now time.Time, s *supernode) // has a supernode looked for where it is now
}

// handle obeys a supernode that says where it is found from now on.
func (o *pointers) handle(now time.Time, s *supernode, m protocol.Redirect) {
	lead := s.leader()
	p := &lead.where.pointer
	switch {
	case s.key == nil || m.Key != *s.key:
		o.refusals.note(refusedRedirect, s, "why", "another key")
		return
	case m.Serial < p.serial:
		return // it has said something newer elsewhere
	case m.Serial > p.serial:
		if m.Host != "" && !o.mayBeAt(now, lead, m) {
			return
		}
		o.point(now, lead, m)
	}
	noted := protocol.Redirect{Serial: m.Serial}
	o.hops.send(s, noted.Append)
}

// mayBeAt reports whether a supernode may say that it is at a place, and now.
func (o *pointers) mayBeAt(now time.Time, s *supernode, m protocol.Redirect) bool {
	p := &s.where.pointer
	if !p.obeyed.IsZero() && now.Sub(p.obeyed) < redirectPause {
		o.refusals.note(refusedRedirect, s, "why", "too soon")
		return false
	}
	err := invite.CheckHost(m.Host)
	if a, bad := netip.ParseAddr(m.Host); bad == nil && err == nil {
		if why := o.refusal(s, netip.AddrPortFrom(a.Unmap(), m.Port)); why != address.Allowed {
			o.refusals.note(refusedRedirect, s, "place", m.Host, "why", why)
			return false
		}
	}
	if err != nil {
		o.refusals.note(refusedRedirect, s, "why", err)
	}
	return err == nil
}

// refusal returns why a supernode cannot be at an address by its own word. What is
// known to be its address is none that anybody is sent to.
func (o *pointers) refusal(s *supernode, a netip.AddrPort) address.Refusal {
	if s.where.pointer.has(a) || slices.Contains(s.where.named, a) {
		return address.Allowed
	}
	from := s.shownAddr().Addr()
	if !from.IsValid() { // at the start: it was looked at when the supernode said it
		from = a.Addr()
	}
	return o.underlay.Addresses.Policy().ServerRefusal(a, from)
}

// point makes a place the one where a supernode is found, and keeps that.
func (o *pointers) point(now time.Time, s *supernode, m protocol.Redirect) {
	p := &s.where.pointer
	was := *p
	o.underlay.Names.Drop(p.name)
	*p = was.next(m.Serial, now)
	if m.Host != s.cfg.Host || m.Port != s.cfg.Port {
		p.host, p.port = m.Host, m.Port
	}
	if was.host == "" && p.host == "" { // no place before, and none now: the serial is written with what changes next
		o.state.keepPointer(s.cfg.Name, *s.key, p)
		return
	}
	o.keep(s)
	if !p.until.IsZero() { // the timer of the pause may have run for a place that was forgotten
		s.kin.pausing.Set(p.until)
	}
	if p.host != "" {
		o.reports.report(now, control.Event{Kind: control.EventRedirected, Supernode: s.cfg.Name, Text: s.redirected()})
	} else if was.host != "" {
		o.reports.report(now, control.Event{Kind: control.EventRedirected, Supernode: s.cfg.Name, Text: control.NotRedirected(s.cfg.Name, was.place())})
	}
	o.lookUp(now, s)
	o.changed(now, s)
}

// redirected says where a supernode is found from now on.
func (s *supernode) redirected() string {
	return control.Redirected(s.cfg.Name, s.where.pointer.place(), s.registered() && s.isAtPlace())
}

// isAtPlace reports whether the session in use runs where the supernode says that it is.
func (s *supernode) isAtPlace() bool {
	p := &s.leader().where.pointer
	return p.has(s.hop.at) || s.streaming() && p.has(s.stream.place)
}

// recall has a supernode tried where it said in an earlier run that it is.
func (o *pointers) recall(now time.Time, s *supernode) {
	if s.kin.first != nil || s.key == nil {
		return
	}
	s.where.pointer = o.state.pointer(s.cfg.Name, *s.key)
	o.lookUp(now, s)
}

// lookUp finds the addresses of the place where a supernode says that it is.
func (o *pointers) lookUp(now time.Time, s *supernode) {
	p := &s.where.pointer
	if p.host == "" {
		return
	}
	if a, err := netip.ParseAddr(p.host); err == nil {
		o.found(now, s, []netip.Addr{a.Unmap()})
		return
	}
	if p.name == nil {
		var name *underlay.Name
		name = o.underlay.Names.New("ip", p.host, func(now time.Time, list []netip.Addr, err error) {
			i := slices.IndexFunc(o.supernodes, func(s *supernode) bool { return s.where.pointer.name == name })
			if err == nil && i >= 0 {
				o.found(now, o.supernodes[i], list)
				o.changed(now, o.supernodes[i])
			}
		})
		p.name = name
	}
	p.name.LookUp(now)
}

// found notes the addresses of the place.
func (o *pointers) found(now time.Time, s *supernode, list []netip.Addr) {
	p := &s.where.pointer
	var addrs []netip.AddrPort
	for _, a := range list {
		at := netip.AddrPortFrom(a, p.port)
		if why := o.refusal(s, at); why != address.Allowed {
			o.refusals.note(refusedRedirect, s, "place", at, "why", why)
			continue
		}
		addrs = append(addrs, at)
	}
	p.addrs = addrs
}

// spend counts a packet to the place where a supernode says that it is. One that does not
// answer there gets few.
func (o *pointers) spend(now time.Time, s *supernode, to netip.AddrPort) {
	s = s.leader()
	p := &s.where.pointer
	if !p.has(to) {
		return
	}
	if p.sent++; p.sent >= pointerPackets && p.active() {
		o.rest(now, s)
	}
}

// rest begins a pause after packets to the place that were not answered.
func (o *pointers) rest(now time.Time, s *supernode) {
	p := &s.where.pointer
	p.until = now.Add(min(pointerPause<<min(p.pauses, 10), pointerPauseMost))
	p.pauses++
	p.sent = pointerPackets - pointerMore
	s.kin.pausing.Set(now) // nothing is ended while it is being used
}

// streamTo returns where a stream is made to find a supernode where it says that it is; not
// valid: one is made to where it is configured. While a second one is sought at the place, by
// UDP, that is enough: two sessions there would end each other.
func (o *pointers) streamTo(s *supernode) netip.AddrPort {
	p := &s.where.pointer
	if second := s.kin.second; !p.active() || second != nil && !second.dormant() {
		return netip.AddrPort{}
	}
	return p.addrs[s.stream.tries%len(p.addrs)]
}

// silent notes that a stream to the place could not be made, or has ended before the supernode
// answered by it. Another one is made after a pause, whatever is left of the packets.
func (o *pointers) silent(now time.Time, s *supernode, to netip.AddrPort) {
	if p := &s.where.pointer; p.has(to) && p.active() {
		o.rest(now, s)
	}
}

// pause begins a pause, or ends it.
func (o *pointers) pause(now time.Time, s *supernode) {
	p := &s.where.pointer
	switch {
	case p.until.IsZero():
		return
	case p.pauses >= pointerPauses && s.registered() && !s.isAtPlace():
		text := control.NotRedirected(s.cfg.Name, p.place())
		o.underlay.Names.Drop(p.name)
		p.forget()
		o.keep(s)
		o.reports.report(now, control.Event{Kind: control.EventRedirected, Supernode: s.cfg.Name, Text: text})
	case now.Before(p.until):
		s.kin.pausing.Set(p.until)
	default:
		p.until = time.Time{}
	}
	o.changed(now, s)
}

// arrived notes that a supernode has answered at an address.
func (o *pointers) arrived(s *supernode, from netip.AddrPort) {
	if p := &s.leader().where.pointer; p.has(from) {
		p.sent, p.pauses, p.until, p.proved = 0, 0, time.Time{}, true
	}
}

// keep keeps where a supernode says that it is, for the next start.
func (o *pointers) keep(s *supernode) {
	o.state.keepPointer(s.cfg.Name, *s.key, &s.where.pointer)
	o.state.keep()
}
