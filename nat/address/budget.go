package address

import (
	"net/netip"
	"time"
)

// BurstPerAddress is how many packets an IP address that never answered gets in
// any 10 s, over all peers of an edge.
const BurstPerAddress = 30

// What may go to addresses that never answered (NAT.md, section 1.6).
const (
	budgetPackets = 200    // a second, over all peers
	budgetBytes   = 24_000 // a second
	budgetBurst   = 400    // packets
	budgetReserve = 48_000 // bytes: a burst of packets of the mean size
	visitSpan     = 11     // seconds looked at: ten whole ones and the running one
	maxVisits     = 4096   // addresses remembered; the rate fills 2600 in a span

	// claimLimit is how many packets an IP address gets that nobody but a peer
	// names, and that never answered; one is forgiven every claimEvery. So a peer
	// that names somebody else's address has 70 packets sent there in twenty
	// minutes, and three edges that it aims at one address send 90 at once.
	claimLimit = 30
	claimEvery = 30 // seconds
)

// Budget bounds the datagrams that an edge sends to addresses from which no
// PONG ever came, over all its paths: 200 a second and 24 kB/s with a burst of
// 400, and 30 within 10 s to one IP address. Whatever candidates peers name, an
// edge is no weapon.
type Budget struct {
	packets float64
	bytes   float64
	filled  time.Time
	began   time.Time // of the seconds in visits
	reserve time.Time // when the next technique of hundreds of packets may begin
	visits  map[netip.Addr]visit
}

// visit counts what went to one address in each of the last seconds.
type visit struct {
	second int64 // the newest, since the budget began
	counts [visitSpan]uint8
	claims int64 // packets on nothing but a peer's word, times claimEvery
}

// NewBudget returns a full budget.
func NewBudget() *Budget {
	return &Budget{packets: budgetBurst, bytes: budgetReserve, visits: make(map[netip.Addr]visit)}
}

// Spend counts a datagram of the given size in bytes, IP header included, that is
// about to be sent to an unverified address, and returns Allowed; or it counts
// nothing and returns why the datagram may not be sent now. claimed says that only
// the peer's word is known for the address.
func (b *Budget) Spend(now time.Time, to netip.Addr, bytes int, claimed bool) Refusal {
	b.fill(now)
	if b.packets < 1 || b.bytes < float64(bytes) {
		return RefusedRate
	}
	v, known := b.visits[to]
	if !known && len(b.visits) >= maxVisits && !b.sweep(now) {
		return RefusedTable
	}
	if v.advance(b.second(now)) >= BurstPerAddress {
		return RefusedAddressRate
	}
	if claimed {
		if v.claims > (claimLimit-1)*claimEvery {
			return RefusedClaim
		}
		v.claims += claimEvery
	}
	v.counts[v.second%visitSpan]++
	b.visits[to] = v
	b.packets--
	b.bytes -= float64(bytes)
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

// fill adds what has come in since the last call. A clock that went back adds
// nothing.
func (b *Budget) fill(now time.Time) {
	if b.filled.IsZero() {
		b.began, b.filled = now, now
	}
	if elapsed := now.Sub(b.filled).Seconds(); elapsed > 0 {
		b.packets = min(budgetBurst, b.packets+elapsed*budgetPackets)
		b.bytes = min(budgetReserve, b.bytes+elapsed*budgetBytes)
		b.filled = now
	}
}

func (b *Budget) second(now time.Time) int64 { return int64(now.Sub(b.began) / time.Second) }

// advance moves the counts on to a second and returns their sum.
func (v *visit) advance(second int64) (sum int) {
	v.claims = max(0, v.claims-max(0, second-v.second))
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
