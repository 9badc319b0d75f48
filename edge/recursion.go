package edge

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/stack"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// Bounds of what is remembered of addresses that were routed into the overlay.
const (
	recursionShown = time.Minute // in status since it was noticed last
	maxRecursions  = 16
	lookAgain      = time.Second // between two looks for the sake of a stranger
)

// recursion is the owner of addresses of the underlay that this host's routes lead into
// the overlay itself to. Nothing is sent to them, and what was sent before that is known
// comes out of the device and is dropped there.
type recursion struct {
	own     Own
	nat64   *transport.NAT64
	device  string
	reports *reporter
	list    []recursive // the latest last
	looked  time.Time
}

// recursive is one such address.
type recursive struct {
	to      netip.AddrPort
	who     string
	noticed time.Time
}

// inside reports whether no path may lead to an address.
func (r *recursion) inside(a netip.Addr) bool {
	return r.egress(a) != stack.Outside
}

// swallowed reports whether the device itself would get what is sent to a server, which
// is noted then.
func (r *recursion) swallowed(now time.Time, server netip.AddrPort, name string) bool {
	if !r.swallows(server) {
		return false
	}
	r.noticed(now, server, name)
	return true
}

// swallows reports whether the device itself would get what is sent to a server at an
// address. A server may be on the LAN that the device is bridged to: what goes there by
// another port of the bridge is right. It may be called from any goroutine.
func (r *recursion) swallows(a netip.AddrPort) bool {
	return r.egress(a.Addr()) == stack.Into
}

// egress returns where packets to an address go, by the NAT64 if it is reached by that.
func (r *recursion) egress(a netip.Addr) stack.Egress {
	if r.own.Stack == nil {
		return stack.Outside
	}
	return r.own.Stack.Egress(r.nat64.Outward(netip.AddrPortFrom(a, 0)).Addr())
}

// look finds the hardware addresses of this host, whose network has changed or may have.
func (r *recursion) look(now time.Time) {
	r.looked = now
	if r.own.Stack == nil {
		return
	}
	r.own.Stack.Forget()
	if r.own.Sockets == nil {
		return
	}
	var list []protocol.MAC
	for _, a := range r.own.Stack.Stations() {
		if len(a) == protocol.MACLen {
			list = append(list, protocol.MAC(a))
		}
	}
	r.own.Sockets.SetStations(list)
}

// found looks for the hardware addresses of this host again, since a datagram that is our
// own, or may be, came out of the device. Hosts behind a bridge can cause the latter.
func (r *recursion) found(now time.Time, own bool) {
	if own || now.Sub(r.looked) >= lookAgain {
		r.look(now)
	}
}

// noticed notes that what was sent to an address has come back, or would.
func (r *recursion) noticed(now time.Time, to netip.AddrPort, who string) {
	r.expire(now)
	for i := range r.list {
		if r.list[i].to == to {
			r.list[i].noticed = now
			return
		}
	}
	if len(r.list) == maxRecursions {
		return
	}
	r.list = append(r.list, recursive{to: to, who: who, noticed: now})
	r.reports.report(now, control.Event{Kind: control.EventRecursion, Addr: to, Text: control.Recursion(to, who, r.device)})
}

// expire forgets what was not noticed for long.
func (r *recursion) expire(now time.Time) {
	r.list = slices.DeleteFunc(r.list, func(x recursive) bool { return now.Sub(x.noticed) >= recursionShown })
}

// notes says for status to which addresses nothing is sent.
func (r *recursion) notes(now time.Time) (list []string) {
	r.expire(now)
	for _, x := range r.list {
		list = append(list, control.Recursion(x.to, x.who, r.device))
	}
	return list
}
