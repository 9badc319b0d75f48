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
			if b.Allow(now, next(i), bytes, false) {
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
	if n := count(epoch, many, 77); n != 0 {
		t.Errorf("clock back: %d", n)
	}
	now := epoch.Add(2 * time.Hour)
	for i := range 20_000 {
		b.Allow(now, netip.AddrFrom4([4]byte{8, byte(i >> 16), byte(i >> 8), byte(i)}), 77, false)
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
		if b.Allow(now, victim, 77, true) {
			sent++
		}
	}
	if sent < claimLimit+39 || sent > claimLimit+41 {
		t.Errorf("%d packets", sent)
	}
	if !b.Allow(epoch.Add(21*time.Minute), victim, 77, false) {
		t.Error("what a supernode sees there is not limited by it")
	}
}
