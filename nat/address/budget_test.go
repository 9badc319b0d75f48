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
			if b.Spend(now, next(i), bytes, false) == Allowed {
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
		b.Spend(now, netip.AddrFrom4([4]byte{8, byte(i >> 16), byte(i >> 8), byte(i)}), 77, false)
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
		if b.Spend(now, victim, 77, true) == Allowed {
			sent++
		}
	}
	if sent < claimBurst+39 || sent > claimBurst+41 {
		t.Errorf("%d packets", sent)
	}
	if b.Spend(epoch.Add(21*time.Minute), victim, 77, false) != Allowed {
		t.Error("what a supernode sees there is not limited by it")
	}
}

// TestBudgetReasons wants each limit named where it is met.
func TestBudgetReasons(t *testing.T) {
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{9, byte(i >> 16), byte(i >> 8), byte(i)}) }
	last := func(b *Budget, n int, claimed bool, to func(i int) netip.Addr) (r Refusal) {
		for i := range n {
			r = b.Spend(epoch, to(i), 77, claimed)
		}
		return r
	}
	one := func(int) netip.Addr { return parse("203.0.113.1") }
	if r := last(NewBudget(), BurstPerAddress+1, false, one); r != RefusedAddressRate {
		t.Error(r)
	}
	if r := last(NewBudget(), budgetBurst+1, false, address); r != RefusedRate {
		t.Error(r)
	}
	b := NewBudget()
	last(b, claimBurst, true, one)
	if r := b.Spend(epoch.Add(visitSpan*time.Second), one(0), 77, true); r != RefusedClaim {
		t.Error(r)
	}
	b = NewBudget()
	for i := range maxVisits {
		b.visits[address(i)] = visit{}
	}
	if r := b.Spend(epoch, one(0), 77, false); r != RefusedTable {
		t.Error(r)
	}
	if !b.Reserve(epoch) || b.Reserve(epoch.Add(reserveEvery-1)) || !b.Reserve(epoch.Add(reserveEvery)) {
		t.Error("techniques are a minute apart")
	}
}
