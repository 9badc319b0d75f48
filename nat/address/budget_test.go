package address

import (
	"net/netip"
	"testing"
	"time"
)

func TestBudget(t *testing.T) {
	b := NewBudget()
	count := func(now time.Time, next func(i int) netip.Addr, bytes int) (n int) {
		for i := range 10_000 {
			if b.Spend(now, next(i), bytes, Answered) == Allowed {
				n++
			}
		}
		return n
	}
	many := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{9, 0, byte(i >> 8), byte(i)}) }
	one := func(int) netip.Addr { return parse("203.0.113.1") }
	if n := count(epoch, one, 77); n != 30 {
		t.Errorf("to one address: %d", n)
	}
	if n := count(epoch, many, 77); n != 370 {
		t.Errorf("burst: %d", n)
	}
	if n := count(epoch.Add(time.Second), many, 77); n != 200 {
		t.Errorf("a second: %d", n)
	}
	if n := count(epoch.Add(9999*time.Millisecond), one, 77); n != 0 {
		t.Errorf("too early: %d", n)
	}
	if n := count(epoch.Add(11*time.Second), one, 77); n != 30 {
		t.Errorf("after the span: %d", n)
	}
	if n := count(epoch.Add(time.Hour), many, 1500); n != 32 {
		t.Errorf("bytes: %d", n)
	}
	if n := count(epoch, one, 77); n != 0 {
		t.Errorf("to one address after the clock was set back: %d", n)
	}
	now := epoch.Add(2 * time.Hour)
	for i := range 20_000 {
		b.Spend(now, netip.AddrFrom4([4]byte{8, byte(i >> 16), byte(i >> 8), byte(i)}), 77, Answered)
		now = now.Add(5 * time.Millisecond)
		if len(b.visits) > maxVisits {
			t.Fatalf("%d addresses", len(b.visits))
		}
	}
}

// An address that only a peer names, and that never answers, gets 70 packets
// in twenty minutes, however often it is tried.
func TestBudgetClaims(t *testing.T) {
	b := NewBudget()
	victim := netip.MustParseAddr("203.0.113.66")
	sent := 0
	for now := epoch; now.Before(epoch.Add(20 * time.Minute)); now = now.Add(100 * time.Millisecond) {
		if b.Spend(now, victim, 77, Claimed) == Allowed {
			sent++
		}
	}
	if sent < claimBurst+39 || sent > claimBurst+41 {
		t.Errorf("%d packets", sent)
	}
	if b.Spend(epoch.Add(21*time.Minute), victim, 77, Seen) != Allowed {
		t.Error("what a supernode sees there is not limited by it")
	}
}

// TestBudgetReasons wants each limit named where it is met.
func TestBudgetReasons(t *testing.T) {
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{9, byte(i >> 16), byte(i >> 8), byte(i)}) }
	last := func(b *Budget, n int, known Evidence, to func(i int) netip.Addr) (r Refusal) {
		for i := range n {
			r = b.Spend(epoch, to(i), 77, known)
		}
		return r
	}
	one := func(int) netip.Addr { return parse("203.0.113.1") }
	if r := last(NewBudget(), BurstPerAddress+1, Answered, one); r != RefusedAddressRate {
		t.Error(r)
	}
	if r := last(NewBudget(), budgetBurst+1, Answered, address); r != RefusedRate {
		t.Error(r)
	}
	b := NewBudget()
	last(b, claimBurst, Claimed, one)
	if r := b.Spend(epoch.Add(visitSpan*time.Second), one(0), 77, Claimed); r != RefusedClaim {
		t.Error(r)
	}
	b = NewBudget()
	for i := range maxVisits {
		b.visits[address(i)] = visit{}
	}
	if r := b.Spend(epoch, one(0), 77, Answered); r != RefusedTable {
		t.Error(r)
	}
}

// Techniques to one address send three of the largest at once and 1024 packets in ten
// minutes; over all addresses a large one begins a minute, and small ones send 100
// packets a second.
func TestBudgetTechniques(t *testing.T) {
	to := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{9, byte(i >> 16), byte(i >> 8), byte(i)}) }
	b := NewBudget()
	if b.Reserve(epoch, to(0), 1034) != Allowed || b.Reserve(epoch.Add(time.Minute-1), to(1), 1034) == Allowed || b.Reserve(epoch.Add(time.Minute), to(1), 1034) != Allowed {
		t.Error("large techniques are a minute apart")
	}
	b = NewBudget()
	large, small := 0, 0
	for now := epoch; now.Before(epoch.Add(time.Hour)); now = now.Add(time.Second) {
		if b.Reserve(now, to(0), 1000) == Allowed {
			large += 1000
		}
		if b.Reserve(now, to(1), fewPackets) == Allowed {
			small += fewPackets
		}
	}
	if most := targetBurst + 6*1024; large > most || small > most || large < most-1000 || small < most-1000 {
		t.Errorf("%d and %d packets to one address in an hour", large, small)
	}
	all := 0
	for i := range 100_000 {
		if b.Reserve(epoch.Add(2*time.Hour), to(2+i%2000), fewPackets) == Allowed {
			all += fewPackets
		}
	}
	if all > fewBurst {
		t.Errorf("%d packets at once", all)
	}
}

// What is owed of an address is not forgotten because others were named since, and
// what peers name leaves room for what supernodes have seen.
func TestBudgetRemembersDebts(t *testing.T) {
	b := NewBudget()
	victim, sent, other := netip.MustParseAddr("203.0.113.66"), 0, 0
	for now := epoch; now.Before(epoch.Add(10 * time.Minute)); now = now.Add(5 * time.Millisecond) {
		if b.Spend(now, victim, 77, Claimed) == Allowed {
			sent++
		}
		for range 3 { // as many others as may be
			other++
			b.Spend(now, netip.AddrFrom4([4]byte{9, byte(other >> 16), byte(other >> 8), byte(other)}), 77, Claimed)
		}
		if r := b.Spend(now, netip.MustParseAddr("198.51.100.1"), 77, Seen); r == RefusedRate || r == RefusedTable {
			t.Fatalf("after %v: what a supernode has seen is refused: %v", now.Sub(epoch), r)
		}
	}
	if sent > claimBurst+21 || len(b.visits) > maxVisits {
		t.Errorf("%d packets to one address, %d are remembered", sent, len(b.visits))
	}
}
