package bridge

import (
	"net/netip"
	"time"

	"hedgerow/protocol"
)

// How long a Proxy believes what it heard.
const (
	// confirmedFor is how long an answer is given after its owner's word: for so long a
	// host believes it itself (REACHABLE_TIME of RFC 4861, section 10).
	confirmedFor = int64(30 * time.Second)
	// resolvedAge is how long it is remembered who has an address. An old entry is no
	// answer: its owner alone is asked, and everybody if it is silent.
	resolvedAge = int64(20 * time.Minute)
	// ownerTime is how long the owner has to answer. Hosts ask again after a second
	// (RETRANS_TIMER of RFC 4861, section 10), and then everybody hears it.
	ownerTime = int64(800 * time.Millisecond)
	// repeatTime is for how long after a question the next one for the same address may be
	// its repetition, since it was not answered.
	repeatTime = int64(3 * time.Second)
	// contestedFor is how long nobody is believed after two have claimed one address.
	contestedFor = int64(30 * time.Second)
)

// Address is an IP address in a VLAN; 0 stands for untagged.
type Address struct {
	VLAN uint16
	IP   netip.Addr
}

// resolved is what is known of an address.
type resolved[E Edge] struct {
	edge      E
	mac       protocol.MAC
	flags     Flags
	seen      int64 // when its owner last said that it has it
	asked     int64 // since when the owner was asked and has not answered; 0: it was not
	contested int64 // when two last claimed it; 0: never
}

func (e resolved[E]) place() (edge E, until int64) { return e.edge, e.seen + resolvedAge }

// Proxy answers ARP and neighbour solicitations of our own side for stations behind other
// edges, which are not flooded then (RFC 9161: ARP and ND suppression). It knows from
// such frames who has which address. What it does not know for sure it leaves to the
// owner: it never answers for our own side, which hears the question itself, nor for an
// address that two claim, and has the owner asked, instead of everybody, when that said
// nothing for a while.
//
// Each edge has a share of the entries. One that has used it up is not learned from any
// more: questions for its stations are flooded. It is safe for concurrent use.
type Proxy[E Edge] struct {
	table[Address, E, resolved[E]]
	n ProxyCounters // but for those refused
}

// ProxyCounters say what a Proxy has done since the start.
type ProxyCounters struct {
	Answered  uint64 // questions that it answered, and nobody heard
	Forwarded uint64 // those that the owner's edge alone heard
	Local     uint64 // those whose owner is on our own side, and nobody else heard
	Contested uint64 // addresses that two have claimed
	Silent    uint64 // owners that did not answer
	Refused   uint64 // addresses that were not learned, because of a bound
}

// NewProxy returns a proxy that knows nobody, with the bounds of the entries.
func NewProxy[E Edge](size Size) *Proxy[E] {
	return &Proxy[E]{table: newTable[Address, E, resolved[E]](size)}
}

// Heard notes that a station behind an edge, the zero edge for our own side, has said that
// it has an address. What its flags are is kept if this time it said nothing of them.
func (x *Proxy[E]) Heard(now int64, a Address, mac protocol.MAC, flags Flags, from E) {
	x.mu.RLock()
	e, ok := x.entries[a]
	x.mu.RUnlock()
	same := ok && e.mac == mac && e.edge == from
	if same && (flags == e.flags || flags == 0) && e.asked == 0 && now-e.seen < refreshEvery {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok = x.entries[a]
	next := resolved[E]{edge: from, mac: mac, flags: flags, seen: now}
	switch {
	case !ok:
		x.add(a, next)
		return
	case x.old(now, e):
	case e.mac != mac:
		next.contested = now
		x.n.Contested++
	default:
		next.contested = e.contested
		if flags == 0 {
			next.flags = e.flags
		}
	}
	if e.edge == from {
		x.entries[a] = next
		return
	}
	x.forget(a, e)
	x.add(a, next)
}

// Finding is what a Proxy makes of a question.
type Finding uint8

const (
	// AskAll: everybody has to be asked, since the owner is not known for sure.
	AskAll Finding = iota
	// AskOwner: the owner has to be asked.
	AskOwner
	// Tell: the answer is known.
	Tell
	// AskNobody: the owner is on our own side, where it has heard the question.
	AskNobody
)

// Owner is who has an address, as far as it is known.
type Owner[E Edge] struct {
	MAC   protocol.MAC
	Flags Flags
	Edge  E // where it was when it said so
}

// Find returns who has an address that somebody on our own side asks for.
func (x *Proxy[E]) Find(now int64, a Address) (o Owner[E], f Finding) {
	var here E
	x.mu.RLock()
	e, ok := x.entries[a]
	x.mu.RUnlock()
	o = Owner[E]{MAC: e.mac, Flags: e.flags, Edge: e.edge}
	switch {
	case !ok || x.old(now, e) || e.contested != 0 && now-e.contested < contestedFor:
		return o, AskAll
	case e.edge == here:
		return o, x.findHere(now, a)
	case e.asked != 0 && now-e.asked > ownerTime:
		x.silent(a)
		return o, AskAll
	case e.asked != 0 || now-e.seen > confirmedFor || a.IP.Is6() && e.flags&FlagTold == 0:
		return o, AskOwner
	}
	return o, Tell
}

// findHere is Find for an address of our own side. What the owner answers there we may not
// hear; whoever got no answer asks again, and then everybody hears it.
func (x *Proxy[E]) findHere(now int64, a Address) Finding {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, ok := x.entries[a]
	if !ok {
		return AskAll
	}
	since := now - e.asked
	repeated := e.asked != 0 && since > ownerTime && since < repeatTime
	if e.asked == 0 || since > ownerTime {
		e.asked = max(now, 1)
		x.entries[a] = e
	}
	if repeated {
		return AskAll
	}
	return AskNobody
}

// silent forgets who has an address, since the owner did not answer.
func (x *Proxy[E]) silent(a Address) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, ok := x.entries[a]; ok && e.asked != 0 {
		x.n.Silent++
		x.forget(a, e)
	}
}

// Asked notes that the owner of an address is asked, by us or by a host of ours that
// doubts what it knows.
func (x *Proxy[E]) Asked(now int64, a Address) {
	x.mu.RLock()
	e, ok := x.entries[a]
	x.mu.RUnlock()
	if !ok || e.asked != 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, ok := x.entries[a]; ok && e.asked == 0 {
		e.asked = max(now, 1)
		x.entries[a] = e
	}
}

// CountAnswered, CountForwarded and CountLocal count a question that was answered, that the
// owner's edge alone heard, and that was left to our own side.
func (x *Proxy[E]) CountAnswered()  { x.count(&x.n.Answered) }
func (x *Proxy[E]) CountForwarded() { x.count(&x.n.Forwarded) }
func (x *Proxy[E]) CountLocal()     { x.count(&x.n.Local) }

func (x *Proxy[E]) count(n *uint64) {
	x.mu.Lock()
	*n++
	x.mu.Unlock()
}

// Flush removes the addresses behind an edge that is gone, or whose hosts may be
// elsewhere; the zero edge stands for our side.
func (x *Proxy[E]) Flush(edge E) { x.remove(func(e E) bool { return e == edge }) }

// FlushBut removes all addresses that are not behind one edge.
func (x *Proxy[E]) FlushBut(edge E) { x.remove(func(e E) bool { return e != edge }) }

// Handover moves the addresses behind one edge behind another, which has taken over its
// segment. Who has which address is as it was.
func (x *Proxy[E]) Handover(from, to E) {
	x.handover(from, func(_ Address, e resolved[E]) resolved[E] {
		e.edge = to
		return e
	})
}

// Sweep removes what is past its age.
func (x *Proxy[E]) Sweep(now int64) { x.sweep(now) }

// Counters returns what the proxy has done.
func (x *Proxy[E]) Counters() ProxyCounters {
	x.mu.RLock()
	defer x.mu.RUnlock()
	n := x.n
	n.Refused = x.refused
	return n
}

// Len returns how many addresses of stations behind other edges are known, and how many
// can be: none without a proxy.
func (x *Proxy[E]) Len() (n, most int) {
	if x == nil {
		return 0, 0
	}
	return x.elsewhere()
}
