package portmap

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A router that is silent is asked three times, and given up after 2.75 s.
func TestExchangeSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		g.off = true
		began := time.Now()
		conn, _ := g.pipe(testHome)
		err := exchange(t.Context(), conn, []byte{0, 0}, func([]byte) bool { return true })
		if err != errSilent || time.Since(began) != 2750*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		conn.Close()
		synctest.Wait()
		var at []time.Duration
		for _, h := range g.heard {
			at = append(at, h.Sub(began))
		}
		if want := []time.Duration{0, 250 * time.Millisecond, 750 * time.Millisecond}; !slices.Equal(at, want) {
			t.Errorf("asked at %v, want %v", at, want)
		}
	})
}

// What is no answer to the request is not waited for any longer than nothing,
// and does not end the waiting.
func TestExchangeJunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		g.junk = []byte("junk")
		conn, _ := g.pipe(testHome)
		defer conn.Close()
		var taken []string
		err := exchange(t.Context(), conn, appendPMPAddress(nil), func(b []byte) bool {
			taken = append(taken, string(b))
			return string(b) != "junk"
		})
		if err != nil || len(taken) != 2 {
			t.Errorf("%v, %q", err, taken)
		}
	})
}

func TestExchangeCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		g.off = true
		conn, _ := g.pipe(testHome)
		defer conn.Close()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		began := time.Now()
		err := exchange(ctx, conn, []byte{0, 0}, func([]byte) bool { return true })
		if !errors.Is(err, context.Canceled) || time.Since(began) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if err := exchange(ctx, conn, []byte{0, 0}, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
	})
}

// refusing is a connection to a port at which nothing listens, until it does.
type refusing struct {
	net.Conn
	times int
}

func (r *refusing) Write(b []byte) (int, error) {
	if r.times > 0 {
		return len(b), nil
	}
	return r.Conn.Write(b)
}

func (r *refusing) Read(b []byte) (int, error) {
	if r.times--; r.times >= 0 {
		return 0, errors.New("connection refused")
	}
	return r.Conn.Read(b)
}

// A router that says that nothing listens is asked as often, at the same times.
func TestExchangeRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := newGateway().pipe(testHome)
		defer conn.Close()
		began := time.Now()
		err := exchange(t.Context(), &refusing{conn, 1}, appendPMPAddress(nil), func([]byte) bool { return true })
		if err != nil || time.Since(began) != 250*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

func TestEpoch(t *testing.T) {
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	for _, c := range []struct {
		name         string
		ours, theirs time.Duration // since the first time
		want         bool
	}{
		{"as ours", s(600), s(600), true},
		{"rounded down at once", 0, s(-1), true},
		{"back by two", 0, s(-2), false},
		{"rebooted", s(600), s(-990), false},
		{"rebooted, and on for longer than before", s(4000), s(1000), false},
		{"a little slow", s(600), s(570), true},
		{"a little fast", s(600), s(630), true},
		{"too slow", s(600), s(550), false},
		{"too fast", s(600), s(650), false},
	} {
		var e epoch
		began := time.Now()
		if !e.consistent(began, s(1000)) {
			t.Error("the first one")
		}
		if got := e.consistent(began.Add(c.ours), s(1000)+c.theirs); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if e.router != s(1000)+c.theirs {
			t.Errorf("%s: not taken over", c.name)
		}
	}
}
