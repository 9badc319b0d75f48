package integration

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

const (
	// slowLine is what the line of a home carries, in bytes per second each way:
	// 2 Mbit/s, behind a queue that holds four seconds of it.
	slowLine = 250e3
	// besideBulk is how long a ping may take while the line is full.
	besideBulk = 500 * time.Millisecond
	// bulkPings are sent, a fifth of a second apart; where the machine was too
	// busy, again.
	bulkPings = 30
	bulkTries = 3
)

// Over TLS by a slow line that is full, in either direction and through a proxy that
// has buffers of its own, pings are answered in time, short ones and long ones, and the
// line is used. Not in parallel: it measures times.
func TestPingBesideBulkByTLS(t *testing.T) {
	for name, proxied := range map[string]bool{"": false, "by a proxy": true} {
		t.Run(name, func(t *testing.T) {
			w, _, _ := streamTownFor(t, 3*time.Minute, ":443", ":7654")
			router := lab.Must(w.Router("home-left", "198.51.100.11", lab.UDPBlocked))
			var more []string
			if proxied {
				serveProxy(t, lab.Must(w.Host("proxy", "203.0.113.60")), "203.0.113.60:80", "me", "word")
				more = []string{"--http-proxy", "http://me:word@203.0.113.60:80"}
			}
			left := w.join(lab.Must(router.Host("left")), overIPv4, more...)
			right := w.join(lab.Must(w.Host("right", "203.0.113.9")), overIPv4)
			left.addr()
			right.addr()
			left.meet(right.addr(), answerWithin)
			left.reach(right, control.PathRelay)
			if err := router.SetRate(slowLine); err != nil {
				t.Fatal(err)
			}
			t.Run("up", func(t *testing.T) { pingBesideBulk(t, left, left, right) })
			t.Run("down", func(t *testing.T) { pingBesideBulk(t, left, right, left) })
			if s := left.status().Supernodes[0]; s.State != control.StateRegistered || s.Stream == "" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// pingBesideBulk fills the line between two members, one of which is behind it, and
// sends pings from that one.
func pingBesideBulk(t *testing.T, behind, from, to *member) {
	other := from
	if from == behind {
		other = to
	}
	var slowest time.Duration
	for range bulkTries {
		count, end := flood(t, from, to)
		time.Sleep(2 * time.Second) // until every buffer is full
		began, before := time.Now(), count()
		var short, long []time.Duration
		for range bulkPings / 10 {
			short = append(short, trips(t, behind.pings(other.addr().String(), "-c", "5", "-i", "200ms"))...)
			long = append(long, trips(t, behind.pings(other.addr().String(), "-c", "5", "-i", "200ms", "--size", "1000"))...)
		}
		rate := float64(count()-before) / time.Since(began).Seconds()
		end()
		slowest = slices.Max(append(short, long...))
		t.Logf("%.0f bytes a second; pings %v, long ones %v", rate, short, long)
		if slowest < besideBulk && rate > slowLine/2 {
			return
		}
	}
	t.Errorf("the slowest ping took %v", slowest)
}

// trips returns what pings took. One that was lost took forever.
func trips(t *testing.T, pings []control.Ping) (list []time.Duration) {
	t.Helper()
	for _, p := range pings {
		took := time.Hour
		if p.RTTms != nil {
			took = time.Duration(*p.RTTms * float64(time.Millisecond)).Round(time.Millisecond)
		}
		list = append(list, took)
	}
	return list
}

// flood writes a TCP stream from one member to another one until end is called. count
// returns how many bytes have come.
func flood(t *testing.T, from, to *member) (count func() int, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(from.town.ctx)
	server, err := to.Host.Listen("tcp", netip.AddrPortFrom(to.addr(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var came int
	var ends sync.WaitGroup
	ends.Go(func() {
		conn, err := server.Accept()
		if err != nil {
			return
		}
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		for b := make([]byte, 1<<16); ; {
			n, err := conn.Read(b)
			mu.Lock()
			came += n
			mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	ends.Go(func() {
		conn, err := from.Host.Dial(ctx, "tcp", server.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		conn.(*net.TCPConn).SetLinger(0)
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		for b := random(1 << 16); ; {
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	})
	count = func() int { mu.Lock(); defer mu.Unlock(); return came }
	return count, func() { cancel(); server.Close(); ends.Wait() }
}
