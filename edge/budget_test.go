package edge

import (
	"testing"
	"time"

	"hedgerow/protocol"
)

// TestBudget takes tokens at exact times.
func TestBudget(t *testing.T) {
	b := budget{rate: 10, burst: 3}
	for i, c := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, // the burst
		{99 * time.Millisecond, false}, {100 * time.Millisecond, true}, {100 * time.Millisecond, false},
		{150 * time.Millisecond, false}, {200 * time.Millisecond, true}, // asking in vain costs nothing
		{time.Hour, true}, {time.Hour, true}, {time.Hour, true}, {time.Hour, false}, // no more than the burst
	} {
		if got := b.take(noon.Add(c.at)); got != c.want {
			t.Errorf("step %d at %v: %v, want %v", i, c.at, got, c.want)
		}
	}
}

// TestBudgetRate takes what it can over a minute: the burst, then the rate.
func TestBudgetRate(t *testing.T) {
	b := budget{rate: 100, burst: 200}
	got := 0
	for i := range 60_000 {
		if b.take(noon.Add(time.Duration(i) * time.Millisecond)) {
			got++
		}
	}
	if want := 200 + 100*60; got < want-2 || got > want {
		t.Errorf("%d tokens, want %d", got, want)
	}
}

// TestLoad checks when handshakes need a cookie.
func TestLoad(t *testing.T) {
	l := newLoad()
	for i := range 200 {
		if l.busy(noon) {
			t.Fatalf("busy after %d handshakes", i)
		}
	}
	if !l.busy(noon) {
		t.Error("not busy after 200 at once")
	}
	if l.busy(noon.Add(10 * time.Millisecond)) {
		t.Error("busy at 100 a second")
	}
}

// wantedMAC returns the n-th of many addresses.
func wantedMAC(n int) protocol.MAC { return manyHosts(n) }

// TestWantedMACs checks how often one address is asked for.
func TestWantedMACs(t *testing.T) {
	w := make(wantedMACs)
	for i, c := range []struct {
		at   time.Duration
		want bool
	}{{0, true}, {0, false}, {wantedAgain - 1, false}, {wantedAgain, true}, {wantedAgain + 1, false}, {2 * wantedAgain, true}} {
		if got := w.add(noon.Add(c.at), wantedMAC(1)); got != c.want {
			t.Errorf("step %d: %v, want %v", i, got, c.want)
		}
	}
	if !w.take(wantedMAC(1)) || w.take(wantedMAC(1)) || w.take(wantedMAC(2)) {
		t.Error("take does not forget, or invents")
	}
	if !w.add(noon, wantedMAC(1)) {
		t.Error("an address that was found cannot be wanted again")
	}
}

// TestWantedMACsBound fills the table: what is in it is asked for as ever,
// what is not has to wait until something is older than ten seconds.
func TestWantedMACsBound(t *testing.T) {
	w := make(wantedMACs)
	for n := range wantedMax {
		if !w.add(noon.Add(time.Duration(n)), wantedMAC(n)) {
			t.Fatalf("refused at %d", n)
		}
	}
	if w.add(noon.Add(wantedFor), wantedMAC(1000)) || len(w) != wantedMax {
		t.Errorf("%d addresses", len(w))
	}
	if !w.add(noon.Add(wantedAgain), wantedMAC(0)) {
		t.Error("an address in the full table is not asked for again")
	}
	// All but that one are from the first nanoseconds.
	if !w.add(noon.Add(wantedFor+100), wantedMAC(1000)) {
		t.Error("no room after ten seconds")
	}
	if want := wantedMax - 99 + 1; len(w) != want {
		t.Errorf("%d addresses, want %d", len(w), want)
	}
}
