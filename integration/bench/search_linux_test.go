package main

import (
	"math"
	"testing"
	"time"
)

// path is a path that carries so many datagrams a second, and a sender that
// can offer so many.
type path struct{ carries, offers float64 }

func (p path) trial(rate float64) (trial, error) {
	const seconds = 10
	sent := min(rate, p.offers)
	return trial{
		Offered: rate, Sent: uint64(sent * seconds), Received: uint64(min(sent, p.carries) * seconds),
		Sending: seconds, Receiving: seconds,
	}, nil
}

func (p path) search(hint float64) search {
	return search{
		probe: p.trial, confirm: p.trial,
		twice: func(rate float64) (trial, error) { return p.trial(2 * rate) },
		hint:  hint, close: 1.03, again: 2,
	}
}

func TestSearch(t *testing.T) {
	for _, c := range []struct {
		name       string
		path       path
		hint, want float64
	}{
		{"fast", path{300e3, 2e6}, 0, 300e3},
		{"slow", path{900, 2e6}, 0, 900},
		{"a hint too low", path{300e3, 2e6}, 100e3, 300e3},
		{"a hint too high", path{300e3, 2e6}, 800e3, 300e3},
		{"limited by the sender", path{5e6, 700e3}, 0, 700e3},
	} {
		best, over, err := c.path.search(c.hint).run()
		if err != nil || best.rate() > c.want*1.001 || best.rate() < c.want*0.95 {
			t.Errorf("%s: %.0f, %v, want %.0f", c.name, best.rate(), err, c.want)
		}
		if offered := min(2*best.rate(), c.path.offers); math.Abs(over.rate()-offered) > offered/100 {
			t.Errorf("%s: %.0f offered, want %.0f", c.name, over.rate(), offered)
		}
	}
	if _, _, err := (path{10, 2e6}).search(0).run(); err == nil {
		t.Error("a rate without loss on a path that carries nothing")
	}
}

// A moment's disturbance neither ends the search nor spoils its result.
func TestSearchDisturbed(t *testing.T) {
	p := path{300e3, 2e6}
	s, probes := p.search(0), 0
	s.probe = func(rate float64) (trial, error) {
		probes++
		if probes < 4 {
			return path{20e3, 2e6}.trial(rate)
		}
		return p.trial(rate)
	}
	best, _, err := s.run()
	if err != nil || best.rate() < 0.95*p.carries {
		t.Errorf("%.0f, %v", best.rate(), err)
	}
}

// The pacer keeps the rate, makes up for a delay at twice the rate, and forgives
// what is older than arrears.
func TestPacer(t *testing.T) {
	const rate = 20e3
	began := time.Now()
	p := pacer{rate: rate, next: began}
	run := func(from, until time.Time) (sent int) {
		now := from
		for {
			count, due := p.plan(now)
			if due.After(now) {
				now = due
			}
			if !now.Before(until) {
				return sent
			}
			p.took(count, now)
			sent += count
		}
	}
	for _, c := range []struct {
		name        string
		after, span time.Duration // from began
		want        int
	}{
		{"steady", 0, 100 * time.Millisecond, 2000},
		{"20 ms late", 120 * time.Millisecond, 10 * time.Millisecond, 400},
		{"made up for", 130 * time.Millisecond, 170 * time.Millisecond, 3600},
		{"a second late", 1300 * time.Millisecond, 300 * time.Millisecond, 6000 + 2000},
	} {
		from := began.Add(c.after)
		if got := run(from, from.Add(c.span)); got < c.want-8 || got > c.want+8 {
			t.Errorf("%s: %d datagrams, want %d", c.name, got, c.want)
		}
	}
}
