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
	maxVisits   = 4096 // addresses remembered; the rate fills 2600 in a span

	// claimBurst is how many packets an IP address gets that only a peer names and
	// that never answered; one is forgiven every 30 s. So a peer that names a
	// stranger's address makes an edge send 70 packets there in twenty minutes, and
	// three edges that it aims at one address send 90 at once.
	claimBurst = 30
	claimRate  = 1. / 30
)

// Budget bounds the datagrams that an edge sends to addresses from which no
// PONG ever came, over all its paths: 200 a second and 24 kB/s with a burst of
// 400, and 30 within 10 s to one IP address. So a peer that lies about its
// candidates cannot use an edge to flood a stranger.
type Budget struct {
	all     bucket.Bucket
	began   time.Time // of the seconds in visits
	reserve time.Time // when the next technique of hundreds of packets may begin
	visits  map[netip.Addr]visit
}

// visit counts the packets to one address in each of the last seconds.
type visit struct {
	second int64 // the newest, since the budget began
	counts [visitSpan]uint8
	claims bucket.Bucket // packets to it while only a peer names it
}

// NewBudget returns a full budget.
func NewBudget() *Budget { return &Budget{visits: make(map[netip.Addr]visit)} }

// Spend counts a datagram of the given size in bytes, IP header included, that is
// about to be sent to an unverified address, and returns Allowed; or it counts
// nothing and returns why the datagram may not be sent now. claimed says that only
// the peer's word is known for the address.
func (b *Budget) Spend(now time.Time, to netip.Addr, bytes int, claimed bool) Refusal {
	if b.began.IsZero() {
		b.began = now
	}
	v, known := b.visits[to] // a copy, which is put back if nothing refuses
	switch {
	case !known && len(b.visits) >= maxVisits && !b.sweep(now):
		return RefusedTable
	case v.advance(b.second(now)) >= BurstPerAddress:
		return RefusedAddressRate
	case claimed && !v.claims.Take(now, 1, claimRate, claimBurst):
		return RefusedClaim
	case !b.all.Take(now, max(1, float64(bytes)/tokenBytes), budgetRate, budgetBurst):
		return RefusedRate
	}
	v.counts[v.second%visitSpan]++
	b.visits[to] = v
	return Allowed
}

// reserveEvery is the least time between two techniques of hundreds of packets,
// over all paths: each fills the tables of two routers.
const reserveEvery = 60 * time.Second

// Reserve reports whether such a technique may begin at the time now, and if so
// lets the next one wait for a minute.
func (b *Budget) Reserve(now time.Time) bool {
	if now.Before(b.reserve) {
		return false
	}
	b.reserve = now.Add(reserveEvery)
	return true
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

// sweep forgets addresses whose time is over and reports whether there is room.
func (b *Budget) sweep(now time.Time) bool {
	for a, v := range b.visits {
		if b.second(now)-v.second >= visitSpan {
			delete(b.visits, a)
		}
	}
	return len(b.visits) < maxVisits
}
