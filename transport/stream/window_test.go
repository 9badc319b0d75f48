package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/transport"
)

// line is a connection of which one direction has a rate and then a delay, behind a
// buffer that holds seconds of it: that of this host's kernel and of a router.
type line struct {
	net.Conn
	mu    sync.Mutex
	rate  float64 // bytes a second
	delay time.Duration
	free  time.Time // when it has carried what was written
	due   chan carried
}

// carried are bytes that are on the line.
type carried struct {
	bytes []byte
	at    time.Time
}

func newLine(t *testing.T, conn net.Conn, rate float64, delay time.Duration) *line {
	l := &line{Conn: conn, rate: rate, delay: delay, due: make(chan carried, 1<<14)}
	go func() {
		for {
			select {
			case c := <-l.due:
				time.Sleep(time.Until(c.at))
				_, _ = conn.Write(c.bytes)
			case <-t.Context().Done():
				return
			}
		}
	}()
	return l
}

// Write has the line carry bytes, and never waits.
func (l *line) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(len(b)) / l.rate * float64(time.Second)))
	l.due <- carried{bytes.Clone(b), l.free.Add(l.delay)}
	return len(b), nil
}

func (l *line) set(rate float64, delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rate, l.delay = rate, delay
}

// arrivals are what came over a line to a server.
type arrivals struct {
	*transport.Sides
	server *Server
	mu     sync.Mutex
	bulk   int
	short  []time.Time
}

func (a *arrivals) Deliver(from netip.AddrPort, pkt []byte) {
	a.server.Keep(from, time.Hour)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(pkt) <= shortPacket {
		a.short = append(a.short, time.Now())
	} else {
		a.bulk += len(pkt)
	}
}

// load sends more than a line carries for a time, and a short packet in each tenth of
// a second. It returns the bytes that arrived in a second, and how long the slowest
// short packet was on its way.
func (a *arrivals) load(t *testing.T, send func([]byte), length time.Duration) (rate float64, slowest time.Duration) {
	t.Helper()
	a.mu.Lock()
	a.bulk, a.short = 0, nil
	a.mu.Unlock()
	var sent []time.Time
	for start := time.Now(); time.Since(start) < length; time.Sleep(2 * time.Millisecond) {
		for range 4 {
			send(make([]byte, 1400))
		}
		if time.Since(start) >= time.Duration(len(sent))*100*time.Millisecond {
			sent = append(sent, time.Now())
			send(make([]byte, 100))
		}
	}
	a.mu.Lock()
	rate = float64(a.bulk) / length.Seconds()
	a.mu.Unlock()
	time.Sleep(2 * time.Second)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.short) != len(sent) {
		t.Fatalf("%d of %d short packets arrived", len(a.short), len(sent))
	}
	for i, at := range a.short {
		slowest = max(slowest, at.Sub(sent[i]))
	}
	return rate, slowest
}

// lined opens a stream over a line from its end to the server, where the packets
// arrive.
func lined(t *testing.T, rate float64, delay time.Duration) (*Conn, *line, *arrivals) {
	t.Helper()
	a := &arrivals{Sides: transport.NewSides()}
	r := serving(t, ServerConfig{Sides: a})
	a.server = r.server
	n := r.net
	var l *line
	cfg := n.config(&mailbox{})
	cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := n.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		l = newLine(t, conn, rate, delay)
		return l, nil
	}
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, l, a
}

// TestPingBesideBulk has a line of 2 Mbit/s and 40 ms, whose buffers hold seconds of
// what it carries, get more than that: a short packet gets through in a third of a
// second, and the line is used.
func TestPingBesideBulk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const slow, fast = 250e3, 2e6
		c, l, a := lined(t, slow, 40*time.Millisecond)
		check := func(what string, rate float64, within time.Duration) {
			t.Helper()
			got, slowest := a.load(t, c.Send, 30*time.Second)
			t.Logf("%s: %.0f bytes a second of %.0f, the slowest short packet after %v", what, got, rate, slowest)
			if slowest > within || got < 0.85*rate {
				t.Errorf("%s: %.0f bytes a second of %.0f, a short packet after %v", what, got, rate, slowest)
			}
		}
		check("at first", slow, 400*time.Millisecond)
		l.set(fast, 40*time.Millisecond)
		check("faster", fast, 350*time.Millisecond)
		l.set(slow, 40*time.Millisecond)
		a.load(t, c.Send, 10*time.Second) // it learns
		check("slower", slow, 350*time.Millisecond)
		// A longer path is not taken for a full one for ever.
		l.set(fast, 400*time.Millisecond)
		a.load(t, c.Send, 20*time.Second)
		check("farther", fast, 1500*time.Millisecond)
	})
}

// TestNobodyAnswersPings has an end, or what is before it, answer no ping: after a
// while it is sent to without a window.
func TestNobodyAnswersPings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newSimNet()
		var mu sync.Mutex
		var got int
		n.listen(address).script(t, func(conn net.Conn) {
			secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate()}})
			answerUpgrade(t, secured)
			for buf := make([]byte, 4096); ; {
				k, err := secured.Read(buf)
				if err != nil {
					return
				}
				mu.Lock()
				got += k
				mu.Unlock()
			}
		})
		c := n.stream(t, &mailbox{})
		count := func() int {
			for range 100 {
				c.Send(make([]byte, 1400))
			}
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return got
		}
		if k := count(); k > windowFirst+1024 {
			t.Errorf("%d bytes beyond the window", k)
		}
		time.Sleep(patience)
		if first := count(); count()-first < 100*1400 {
			t.Error("nothing more is sent to it")
		}
	})
}

// TestWindowGrows follows the size of a window: it doubles in a round trip while that
// is short, stays where the line is full, and shrinks by half at most.
func TestWindowGrows(t *testing.T) {
	now := time.Unix(1000, 0)
	w := newWindow()
	trip := func(rtt time.Duration) {
		var due []pingOut
		for n := w.room(); n > 0; n = w.room() {
			if p, ok := w.wrote(n, now); ok {
				due = append(due, p)
			}
		}
		if p, ok := w.full(now); ok {
			due = append(due, p)
		}
		now = now.Add(rtt)
		for _, p := range due {
			w.answered(p, now)
		}
	}
	for _, step := range []struct {
		rtt         time.Duration
		least, most float64 // by how much the size changes in a trip
	}{
		{20 * time.Millisecond, 1.5, 2}, // its base is this
		{200 * time.Millisecond, 0.5, 0.8},
		{90 * time.Millisecond, 1, 1},
		{time.Second, 0.5, 0.6},
		{20 * time.Millisecond, 1.1, 1.2},
	} {
		trip(step.rtt) // ends the round before
		trip(step.rtt)
		before := w.size
		trip(step.rtt)
		t.Logf("%v: from %d to %d", step.rtt, before, w.size)
		if change := float64(w.size) / float64(before); change < step.least || change > step.most {
			t.Errorf("%v: it goes from %d to %d", step.rtt, before, w.size)
		}
	}
	for range 25 { // less than baseAge
		trip(300 * time.Millisecond)
	}
	if w.size != windowLeast {
		t.Errorf("it shrinks to %d", w.size)
	}
	w.release()
	if w.room() != maxMessage {
		t.Error("it bounds what is sent at the end")
	}
}
