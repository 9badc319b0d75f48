package address

import (
	"net/netip"
	"time"

	"hedgerow/internal/bucket"
)

// BurstPerAddress is how many packets an IP address that never answered gets in
// any 10 s, over all peers of an edge.
const BurstPerAddress = 30

// The limits of packets to addresses that never answered (docs/NAT.md, "Limits towards
// strangers"). A datagram costs one token, or one for each 120 bytes, so that the
// rate in packets bounds the bytes as well.
const (
	budgetRate  = 200  // tokens a second, over all peers
	budgetBurst = 400  // tokens
	tokenBytes  = 120  // 24 kB/s
	visitSpan   = 11   // seconds looked at: ten whole ones and the running one
	maxVisits   = 4096 // addresses remembered

	// claimsRate is the part of the whole that goes to addresses that only peers name:
	// what they name must not use up what peers need that a supernode has seen. Since a
	// token is owed for 30 s, no more than 3200 addresses are remembered for it.
	claimsRate  = 100
	claimsBurst = 200
	// claimBurst is how many packets an IP address gets that only a peer names and
	// that never answered; one is forgiven every 30 s. So a peer that names a
	// stranger's address makes an edge send 70 packets there in twenty minutes, and
	// three edges that it aims at one address send 90 at once.
	claimBurst = 30
	claimRate  = 1. / 30
	// seenBurst is the same for an address at which a supernode saw a peer. It, too,
	// may lie; but those who tell the truth have some attempts in a row.
	seenBurst = 240
	seenRate  = 1. / 2
)

// Evidence is what is known of an address besides that it is named.
type Evidence uint8

// The degrees of evidence.
const (
	// Claimed: one peer says that it can be reached there.
	Claimed Evidence = iota
	// Seen: a supernode says that it has seen a peer there.
	Seen
	// Answered: an answer came from there once, but not within the last minute.
	Answered
)

// OnLAN is what is known of an address at which a peer was met on a LAN that both share,
// or was answered from: if it is private, whoever gets the packets is on that LAN, and
// has as many as on a supernode's word; else it is the peer's word.
func OnLAN(a netip.Addr) Evidence {
	if a.IsPrivate() || a.IsLinkLocalUnicast() {
		return Seen
	}
	return Claimed
}

// Budget bounds the datagrams that an edge sends to addresses that have not proved
// that they want any, over all its paths and handshakes, so that neither a peer that
// lies about its addresses nor a supernode that lies about a peer's can use an edge to
// flood a stranger. In all that is 200 datagrams a second and 24 kB/s with a burst of
// 400, half of it for what only peers name; to one IP address,
// 30 in any 10 s, and as long as nothing has answered there 30 and then one every 30 s
// on a peer's word, 240 and then one every 2 s on a supernode's. What techniques for
// hard NATs send on the word of both is counted apart (Reserve).
type Budget struct {
	all    bucket.Bucket
	claims bucket.Bucket // the part of what only peers name
	few    bucket.Bucket // packets of techniques that need few
	many   bucket.Bucket // techniques that need many
	began  time.Time     // of the seconds in visits
	swept  time.Time
	visits map[netip.Addr]visit
}

// visit counts the packets to one address in each of the last seconds.
type visit struct {
	second     int64 // the newest, since the budget began
	counts     [visitSpan]uint8
	claims     bucket.Bucket // packets to it while only a peer names it
	seen       bucket.Bucket // packets to it while a supernode says that the peer is there
	techniques bucket.Bucket // packets of techniques
}

// NewBudget returns a full budget.
func NewBudget() *Budget { return &Budget{visits: make(map[netip.Addr]visit)} }

// Spend counts a datagram of the given size in bytes, IP header included, that is
// about to be sent to an unverified address, and returns Allowed; or it counts
// nothing and returns why the datagram may not be sent now. known says how much more
// than a name is known of the address.
func (b *Budget) Spend(now time.Time, to netip.Addr, bytes int, known Evidence) Refusal {
	refusal, v := b.look(now, to.Unmap(), bytes, known)
	if refusal != Allowed {
		return refusal
	}
	cost := tokens(bytes)
	b.all.Take(now, cost, budgetRate, budgetBurst)
	if known == Claimed {
		b.claims.Take(now, cost, claimsRate, claimsBurst)
	}
	v.counts[v.second%visitSpan]++
	b.visits[to.Unmap()] = v
	return Allowed
}

// Look returns what Spend would, and counts nothing: for callers that have work to do
// before there is a datagram.
func (b *Budget) Look(now time.Time, to netip.Addr, bytes int, known Evidence) Refusal {
	refusal, _ := b.look(now, to.Unmap(), bytes, known)
	return refusal
}

// tokens returns what a datagram of so many bytes costs.
func tokens(bytes int) float64 { return max(1, float64(bytes)/tokenBytes) }

// look returns why a datagram may not be sent, or else what is to be remembered of its
// target if it is.
func (b *Budget) look(now time.Time, to netip.Addr, bytes int, known Evidence) (Refusal, visit) {
	cost := tokens(bytes)
	v, ok := b.visit(now, to) // a copy
	switch {
	case !ok:
		return RefusedTable, v
	case v.advance(b.second(now)) >= BurstPerAddress:
		return RefusedAddressRate, v
	case known == Claimed && !v.claims.Take(now, cost, claimRate, claimBurst),
		known == Seen && !v.seen.Take(now, cost, seenRate, seenBurst):
		return RefusedClaim, v
	case !b.all.Has(now, cost, budgetRate, budgetBurst),
		known == Claimed && !b.claims.Has(now, cost, claimsRate, claimsBurst):
		return RefusedRate, v
	}
	return Allowed, v
}

// The part of a Budget that one path has: an attempt over 20 addresses, and a tenth of the
// rate.
const (
	shareRate  = 20  // packets a second
	shareBurst = 200 // packets
)

// Share is the part of a Budget that one path, and so one peer, may use. The zero value
// is full.
type Share struct{ packets bucket.Bucket }

// Spend is Budget.Spend for a path with a share: 20 packets a second, with a burst of 200.
func (s *Share) Spend(b *Budget, now time.Time, to netip.Addr, bytes int, known Evidence) Refusal {
	if !s.packets.Has(now, 1, shareRate, shareBurst) {
		return RefusedRate
	}
	refusal := b.Spend(now, to, bytes, known)
	if refusal == Allowed {
		s.packets.Take(now, 1, shareRate, shareBurst)
	}
	return refusal
}

// The limits of techniques for hard NATs. Each fills the tables of two routers, and
// most of its packets get to nobody who wants them.
const (
	fewPackets  = 200     // of a technique that need not wait for another one
	fewRate     = 100     // packets a second of those, over all paths
	fewBurst    = 3000    // packets
	manyRate    = 1. / 60 // of the others, a second over all paths
	targetBurst = 3072    // packets of techniques to one address at once: three of the largest
	targetRate  = 1024. / 600
)

// Reserve counts a technique of so many packets to an address, and returns Allowed; or
// it counts nothing and returns RefusedRate. Over all paths one of more than 200 packets
// may begin a minute, and of the others 100 packets a second with a burst of 3000; to
// one IP address they send 3072 packets at once, and then 1024 in 10 minutes.
func (b *Budget) Reserve(now time.Time, to netip.Addr, packets int) Refusal {
	to = to.Unmap()
	v, ok := b.visit(now, to)
	kind, cost, rate, burst := &b.few, float64(packets), float64(fewRate), float64(fewBurst)
	if packets > fewPackets {
		kind, cost, rate, burst = &b.many, 1, manyRate, 1
	}
	switch {
	case !ok, !v.techniques.Take(now, float64(packets), targetRate, targetBurst), !kind.Take(now, cost, rate, burst):
		return RefusedRate
	}
	b.visits[to] = v
	return Allowed
}

// visit returns what is remembered of an address. It reports false when there is no
// room for one more.
func (b *Budget) visit(now time.Time, to netip.Addr) (v visit, ok bool) {
	if b.began.IsZero() {
		b.began = now
	}
	v, known := b.visits[to]
	return v, known || len(b.visits) < maxVisits || b.sweep(now)
}

func (b *Budget) second(now time.Time) int64 { return int64(now.Sub(b.began) / time.Second) }

// advance moves the counts on to a second and returns their sum.
func (v *visit) advance(second int64) (sum int) {
	for steps := 0; v.second < second && steps < visitSpan; steps++ {
		v.second++
		v.counts[v.second%visitSpan] = 0
	}
	v.second = max(v.second, second)
	for _, n := range v.counts {
		sum += int(n)
	}
	return sum
}

// sweep forgets addresses of which nothing is owed any more, and reports whether there
// is room. It looks once a second: a full table must not cost a look at all of it for
// each packet.
func (b *Budget) sweep(now time.Time) bool {
	if since := now.Sub(b.swept); 0 <= since && since < time.Second {
		return false
	}
	b.swept = now
	for a, v := range b.visits {
		owed := !v.claims.Full(now) || !v.seen.Full(now) || !v.techniques.Full(now)
		if !owed && b.second(now)-v.second >= visitSpan {
			delete(b.visits, a)
		}
	}
	return len(b.visits) < maxVisits
}
