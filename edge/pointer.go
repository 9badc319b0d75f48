package edge

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/underlay"
	"hedgerow/internal/invite"
)

const (
	// redirectPause is the shortest time between two redirects of one supernode that are
	// obeyed.
	redirectPause = time.Minute
	// pointerPackets is how many packets go to a place that has not answered before there is
	// a pause, pointerMore how many after each pause. A pause is twice as long as the one
	// before.
	pointerPackets   = 8
	pointerMore      = 2
	pointerPause     = time.Minute
	pointerPauseMost = time.Hour
	// pointerPauses is after how many pauses without an answer a place is forgotten, while
	// the supernode answers where it was.
	pointerPauses = 6
)

// pointer is where a supernode has said that it is found from now on.
type pointer struct {
	serial uint64           // of the redirect that was obeyed last
	host   string           // empty: it is where we know it
	port   uint16           // there
	name   *underlay.Name   // nil: host is an address
	addrs  []netip.AddrPort // that host stands for, as far as a supernode may be there
	obeyed time.Time        // when a redirect was obeyed last in this run

	sent   int       // packets to addrs since one was answered
	pauses int       // since one was answered
	until  time.Time // nothing is sent there before; zero: no pause
	proved bool      // the supernode has answered there
}

// has reports whether an address is one of the place.
func (p *pointer) has(a netip.AddrPort) bool { return slices.Contains(p.addrs, a) }

// active reports whether the place is tried.
func (p *pointer) active() bool { return p.until.IsZero() && len(p.addrs) > 0 }

// next returns the pointer of a later redirect, without its place. Another place begins with
// what is left of the packets, and in the pause of one that has not answered, so that many
// redirects are no way to have many packets sent. It is tried once at least before it is
// forgotten.
func (p *pointer) next(serial uint64, now time.Time) pointer {
	n := pointer{serial: serial, obeyed: now}
	if p.serial != 0 {
		n.sent = pointerPackets - pointerMore
	}
	if !p.proved {
		n.sent, n.pauses, n.until = max(n.sent, p.sent), min(p.pauses, pointerPauses-1), p.until
	}
	if !n.until.IsZero() { // what went out in the pause is not of the packets after it
		n.sent = pointerPackets - pointerMore
	}
	return n
}

// forget ends the use of the place.
func (p *pointer) forget() {
	*p = p.next(p.serial, p.obeyed)
}

// place returns host and port as they are typed.
func (p *pointer) place() string { return invite.Supernode{Host: p.host, Port: p.port}.Place() }
