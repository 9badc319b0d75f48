package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPorts has one port answer of several, in ways that differ.
func TestPorts(t *testing.T) {
	for name, tt := range map[string]struct {
		host  string
		ports []uint16
		after time.Duration
		want  []string // dialled, in order
	}{
		"the first":              {ports: []uint16{port, 443}, want: []string{address}},
		"the first is closed":    {ports: []uint16{1, port}, want: []string{"203.0.113.1:1", address}},
		"the first is silent":    {ports: []uint16{2, port}, after: stagger, want: []string{"203.0.113.1:2", address}},
		"two are silent":         {ports: []uint16{2, 3, port}, after: 2 * stagger, want: []string{"203.0.113.1:2", "203.0.113.1:3", address}},
		"the first is no server": {ports: []uint16{4, port}, want: []string{"203.0.113.1:4", address}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := serving(t, ServerConfig{})
				silence := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
				r.net.listen("203.0.113.1:2").script(t, silence)
				r.net.listen("203.0.113.1:3").script(t, silence)
				r.net.listen("203.0.113.1:4").script(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "220 mail\r\n") })
				start := time.Now()
				cfg := r.net.config(&mailbox{})
				cfg.Ports = tt.ports
				c, err := Dial(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				if d := time.Since(start); d != tt.after || !slices.Equal(r.net.dialled, tt.want) {
					t.Errorf("%q after %v", r.net.dialled, d)
				}
			})
		})
	}
}

// TestLosersAreClosed has two ports lead to a supernode: one stream stays.
func TestLosersAreClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		slow := r.net.listen("203.0.113.1:443")
		slow.script(t, func(conn net.Conn) {
			// A long way to the same supernode: both are open in the same moment.
			time.Sleep(stagger)
			onward, err := r.net.dial(t.Context(), "tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			go func() { _, _ = io.Copy(onward, conn); _ = onward.Close() }()
			_, _ = io.Copy(conn, onward)
		})
		cfg := r.net.config(&mailbox{})
		cfg.Ports = nil // the defaults
		c, err := Dial(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		time.Sleep(time.Second)
		if st := r.server.Status(); st.Open != 1 || st.Connections != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestDialErrors has every step of the way fail: the error is a sentence that
// names the place and the step.
func TestDialErrors(t *testing.T) {
	say := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, text)
		}
	}
	sayTLS := func(text string) func(net.Conn) {
		return func(conn net.Conn) {
			secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate()}})
			say(text)(secured)
			_ = secured.Close()
		}
	}
	for name, tt := range map[string]struct {
		script func(net.Conn)
		change func(*DialConfig)
		after  time.Duration
		want   string
	}{
		"closed":        {want: "cannot reach 203.0.113.1:7654: dial tcp: connection refused"},
		"no TLS":        {script: say("HTTP/1.0 400 Bad Request\r\n\r\n"), want: "no TLS with 203.0.113.1:7654: "},
		"not found":     {script: sayTLS("HTTP/1.1 404 Gone Fishing\r\nContent-Length: 0\r\n\r\n"), want: "https://203.0.113.1:7654/hedgerow answers with HTTP 404 Not Found: no supernode takes streams there, or one with another obfuscation key"},
		"elsewhere":     {script: sayTLS("HTTP/1.1 302 x\r\nLocation: https://example.com/\r\nContent-Length: 0\r\n\r\n"), want: "HTTP 302 Found"},
		"no HTTP":       {script: sayTLS("220 mail.example ESMTP\r\n"), want: "does not answer as an HTTP server: malformed"},
		"endless head":  {script: sayTLS("HTTP/1.1 101 x\r\nX: " + strings.Repeat("x", 2*maxHeader)), want: "does not answer as an HTTP server"},
		"no WebSocket":  {script: sayTLS("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), want: "is no WebSocket: "},
		"hangs up":      {script: sayTLS(""), want: "does not answer as an HTTP server: unexpected EOF"},
		"silent TLS":    {script: func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, after: DefaultTimeout, want: "no TLS with 203.0.113.1:7654: context deadline exceeded"},
		"silent host":   {change: func(c *DialConfig) { c.Host = blackHole }, after: DefaultTimeout, want: "cannot reach 192.0.2.66:7654: context deadline exceeded"},
		"short timeout": {change: func(c *DialConfig) { c.Host, c.Timeout = blackHole, time.Second }, after: time.Second, want: "cannot reach"},
		"silent HTTP": {script: func(conn net.Conn) {
			secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate()}})
			_, _ = io.Copy(io.Discard, secured)
		}, after: DefaultTimeout, want: "https://203.0.113.1:7654/hedgerow does not answer: context deadline exceeded"},
		"checked certificate": {script: sayTLS(""), change: func(c *DialConfig) { c.RootCAs = x509.NewCertPool() }, want: "no TLS with 203.0.113.1:7654: tls: failed to verify certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				n := newSimNet()
				if tt.script != nil {
					n.listen(address).script(t, tt.script)
				}
				cfg := n.config(&mailbox{})
				if tt.change != nil {
					tt.change(&cfg)
				}
				start := time.Now()
				c, err := Dial(t.Context(), cfg)
				if err == nil {
					c.Close()
					t.Fatal("a stream")
				}
				if d := time.Since(start); !strings.Contains(err.Error(), tt.want) || d != tt.after {
					t.Errorf("after %v: %v", d, err)
				}
				var of *DialError
				if !errors.As(err, &of) || len(of.Attempts) != 1 {
					t.Errorf("%#v", err)
				}
			})
		})
	}
}

func TestDialErrorsOfAllPorts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := newSimNet().config(&mailbox{})
		cfg.Ports = nil
		_, err := Dial(t.Context(), cfg)
		if want := "cannot reach 203.0.113.1:443: dial tcp: connection refused; cannot reach 203.0.113.1:7654: dial tcp: connection refused"; err == nil || err.Error() != want {
			t.Error(err)
		}
	})
}

func TestDialConfig(t *testing.T) {
	if _, err := Dial(t.Context(), DialConfig{Path: "x", Ports: []uint16{0}}); err == nil || strings.Count(err.Error(), "\n") != 3 {
		t.Errorf("%v: not all faults at once", err)
	}
	if got := (DialConfig{Port: 443}).withDefaults().Ports; !slices.Equal(got, []uint16{443}) {
		t.Errorf("%v", got)
	}
}

// TestServerName has the name that the user typed in SNI, and no literal address.
func TestServerName(t *testing.T) {
	for typed, want := range map[string]string{"supernode.example": "supernode.example", host: "", "2001:db8::1": ""} {
		bubble(t, func(t *testing.T) {
			n := newSimNet()
			var got string
			n.listen(net.JoinHostPort(typed, "7654")).script(t, func(conn net.Conn) {
				_ = tls.Server(conn, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
					got = h.ServerName
					return certificate(), nil
				}}).Handshake()
			})
			cfg := n.config(&mailbox{})
			cfg.Host = typed
			_, _ = Dial(t.Context(), cfg)
			if got != want {
				t.Errorf("%s: %q", typed, got)
			}
		})
	}
}

// TestContextEnds has the context end a dial that waits, and a stream.
func TestContextEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		ctx, cancel := context.WithCancel(t.Context())
		c, err := Dial(ctx, r.net.config(&mailbox{}))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, cancel)
		cfg := r.net.config(&mailbox{})
		cfg.Host = blackHole
		start := time.Now()
		if _, err := Dial(ctx, cfg); !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if d := ended(c); d != 0 || !errors.Is(c.Err(), context.Canceled) {
			t.Errorf("%v after %v", c.Err(), d)
		}
	})
}

// TestSilence has the other end hear everything and say nothing.
func TestSilence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newSimNet()
		n.listen(address).script(t, func(conn net.Conn) {
			secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate()}})
			answerUpgrade(t, secured)
			_, _ = io.Copy(io.Discard, secured)
		})
		c := n.stream(t, &mailbox{})
		if d := ended(c); d != idleTime || !errors.Is(c.Err(), errSilent) {
			t.Errorf("%v after %v", c.Err(), d)
		}
		c.Send([]byte("late"))
		if c.Dropped() != 1 {
			t.Errorf("%d dropped", c.Dropped())
		}
	})
}

// TestClose has what waits go out before the end, and a client whose other end
// does not read wait no longer than it must.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		c := r.net.stream(t, &mailbox{})
		c.Send([]byte("hello"))
		synctest.Wait()
		r.server.Keep(r.office.last(), time.Hour)
		for range 99 {
			c.Send([]byte("a goodbye"))
		}
		c.Close()
		c.Close()
		synctest.Wait()
		if got := r.office.mail.take(); len(got) != 100 || !errors.Is(c.Err(), net.ErrClosed) {
			t.Errorf("%d packets, %v", len(got), c.Err())
		}

		n := newSimNet()
		n.listen(address).script(t, func(conn net.Conn) {
			answerUpgrade(t, tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{*certificate()}}))
			time.Sleep(time.Minute)
		})
		c = n.stream(t, &mailbox{})
		for range 1000 {
			c.Send(make([]byte, 1400))
		}
		start := time.Now()
		c.Close()
		if d := time.Since(start); d != closeTime || !errors.Is(c.Err(), net.ErrClosed) || c.Dropped() == 0 {
			t.Errorf("%v after %v, %d dropped", c.Err(), d, c.Dropped())
		}
	})
}

// TestSendBounds has packets that no stream carries.
func TestSendBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		c := r.net.stream(t, &mailbox{})
		for _, n := range []int{0, MaxPacket + 1, MaxPacket} {
			c.Send(make([]byte, n))
		}
		synctest.Wait()
		if got := r.office.mail.take(); len(got) != 1 || len(got[0]) != MaxPacket || c.Dropped() != 2 {
			t.Errorf("%d packets, %d dropped", len(got), c.Dropped())
		}
	})
}
