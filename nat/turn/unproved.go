package turn

import (
	"net/netip"
	"sync"
)

// noncesMost is how many sources we remember the nonce of. A client uses it a round
// trip later.
const noncesMost = 4096

// unproved is what holds for clients without an allocation, whose address may be
// forged: to none goes more than one datagram, nor a longer one, than came from it, and
// an allocation is made for a client only that shows the nonce which was sent to its
// own address. pion's nonces are good for any client, and what a peer sends would go
// to whichever address a member of a community had written into its request.
type unproved struct {
	mu     sync.Mutex // writes to clients with an allocation come from other goroutines
	from   netip.AddrPort
	room   int  // bytes that may go to from
	echoed bool // the datagram that is being handled shows the nonce that was sent to from

	nonces map[netip.AddrPort]string
	order  [noncesMost]netip.AddrPort // of nonces, a ring
	next   int
}

// begin notes the datagram that is being handled.
func (u *unproved) begin(from netip.AddrPort, pkt []byte) {
	u.mu.Lock()
	defer u.mu.Unlock()
	given, known := u.nonces[from]
	u.from, u.room = from, len(pkt)
	u.echoed = known && string(attributeOf(pkt, attrNonce)) == given
}

// proved reports whether the client of the datagram that is being handled is where it
// says it is.
func (u *unproved) proved() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.echoed
}

// admits reports whether an answer may go to a client without an allocation, and notes
// the nonce in it.
func (u *unproved) admits(to netip.AddrPort, pkt []byte) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if to != u.from || len(pkt) > u.room {
		return false
	}
	u.room = 0
	u.note(to, pkt)
	return true
}

// heed notes the nonce that a client with an allocation is given.
func (u *unproved) heed(to netip.AddrPort, pkt []byte) {
	if len(pkt) < stunHeaderLen || messageType(pkt)&classMask != classError || pkt[0]&0xC0 != 0 {
		return // what a peer sent, for the most part
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.note(to, pkt)
}

// note remembers the nonce in an answer, in the place of the oldest if there are as
// many as may be. The caller holds u.mu.
func (u *unproved) note(to netip.AddrPort, pkt []byte) {
	nonce := string(attributeOf(pkt, attrNonce))
	if nonce == "" {
		return
	}
	if u.nonces == nil {
		u.nonces = make(map[netip.AddrPort]string)
	}
	if _, known := u.nonces[to]; !known {
		delete(u.nonces, u.order[u.next])
		u.order[u.next] = to
		u.next = (u.next + 1) % noncesMost
	}
	u.nonces[to] = nonce
}
