package stream

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/transport"
)

func TestBothWays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		var mail mailbox
		c := r.net.stream(t, &mail)
		for i := range 3 {
			c.Send(fmt.Append(nil, "up ", i))
		}
		synctest.Wait()
		side := r.office.last()
		if got := r.office.mail.take(); !slices.Equal(got, []string{"up 0", "up 1", "up 2"}) || !transport.IsSide(side.Addr()) {
			t.Errorf("%q from %v", got, side)
		}
		r.server.Keep(side, time.Hour)
		r.office.write(t, side, "down")
		synctest.Wait()
		if got := mail.take(); !slices.Equal(got, []string{"down"}) {
			t.Errorf("%q", got)
		}
		if got, want := r.server.Source(side), r.net.source.Addr(); got != want {
			t.Errorf("from %v, want %v", got, want)
		}
		if st := r.server.Status(); st.Open != 1 || st.Connections != 1 || len(st.Listen) != 1 || st.Listen[0].Port() != port {
			t.Errorf("%+v", st)
		}
		c.Close()
		synctest.Wait()
		if st := r.server.Status(); st.Open != 0 || st.Connections != 0 || st.Strangers != 0 {
			t.Errorf("%+v", st)
		}
		_, err := r.office.Writer(nil).WriteBatch([]transport.Datagram{{Buf: []byte("x"), N: 1, Addr: side}})
		if !errors.Is(err, transport.ErrNoSide) || r.server.Source(side).IsValid() {
			t.Error(err)
		}
		r.server.Admit(side, time.Hour) // of none any more
		r.server.Keep(side, time.Hour)
	})
}

// TestStranger has a stream that nothing of an edge comes by end after 5 s, though
// it sends what it likes.
func TestStranger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		c := r.net.stream(t, &mailbox{})
		for range 4 {
			time.AfterFunc(time.Second, func() { c.Send([]byte("junk")) })
		}
		if d := ended(c); d != admitTime {
			t.Errorf("it ended after %v", d)
		}
		if err := c.Err(); !errors.Is(err, errLeft) {
			t.Error(err)
		}
		synctest.Wait() // the server counts when it has closed
		if st := r.server.Status(); st.Strangers != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// TestStreamsComeToARegistration has strangers get as far as they like: none keeps its
// stream for longer than its stage may last, whatever it sends and how often, and a
// registered edge keeps it for as long as it is there.
func TestStreamsComeToARegistration(t *testing.T) {
	for name, tt := range map[string]struct {
		every time.Duration // it does it again
		does  func(s *Server, side netip.AddrPort)
		ends  time.Duration // after its opening
	}{
		"HELLO":   {time.Second, func(s *Server, side netip.AddrPort) { s.Admit(side, 15*time.Second) }, 15 * time.Second},
		"session": {time.Second, func(s *Server, side netip.AddrPort) { s.Admit(side, 90*time.Second) }, 90 * time.Second},
		"session, HELLO": {time.Second, func(s *Server, side netip.AddrPort) {
			s.Admit(side, 90*time.Second)
			s.Admit(side, 15*time.Second)
		}, 90 * time.Second},
		"registration, and it left": {time.Hour, func(s *Server, side netip.AddrPort) { s.Keep(side, 120*time.Second) }, 122 * time.Second},
		"registration":              {100 * time.Second, func(s *Server, side netip.AddrPort) { s.Keep(side, 120*time.Second) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := serving(t, ServerConfig{})
				c := r.net.stream(t, &mailbox{}) // it sends a ping every 15 s
				start := time.Now()
				c.Send([]byte("hello"))
				synctest.Wait()
				side := r.office.last()
				time.Sleep(2 * time.Second)
				for range 100 {
					tt.does(r.server, side)
					c.Send([]byte("more"))
					select {
					case <-c.Done():
					case <-time.After(tt.every):
					}
				}
				synctest.Wait() // both ends have seen the end
				switch {
				case tt.ends == 0 && c.Err() != nil:
					t.Error(c.Err())
				case tt.ends != 0 && (c.Err() == nil || r.server.Status().Open != 0):
					t.Error("it is open for ever")
				case tt.ends != 0:
					if d := r.office.since(start); d > tt.ends {
						t.Errorf("it ended after %v", d)
					}
				}
			})
		})
	}
}

// TestHastyStranger: a stream without a registered edge gets 40 packets in at once and
// 20 a second, since all streams share one queue.
func TestHastyStranger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		c := r.net.stream(t, &mailbox{})
		flood := func() int {
			for range 200 {
				c.Send([]byte("junk"))
			}
			synctest.Wait()
			return len(r.office.mail.take())
		}
		if n := flood(); n != strangerBurst {
			t.Errorf("%d packets of a stranger", n)
		}
		time.Sleep(time.Second)
		if n := flood(); n != strangerRate {
			t.Errorf("%d packets of a stranger a second later", n)
		}
		r.server.Keep(r.office.last(), time.Hour)
		if n := flood(); n != 200 {
			t.Errorf("%d packets of an edge", n)
		}
		if st := r.server.Status(); st.Hasty != 200-strangerBurst+200-strangerRate {
			t.Errorf("%+v", st)
		}
	})
}

// TestIdle has an admitted stream live for as long as pings come, and 90 s longer.
func TestIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		wire := r.net.raw(t)
		upgradeByHand(t, wire)
		writeFrame(t, wire, 2, []byte("\x00\x01a"))
		synctest.Wait()
		r.server.Keep(r.office.last(), 2*time.Hour)
		for range 5 {
			time.Sleep(80 * time.Second)
			writeFrame(t, wire, 9, []byte("ping"))
			if pong := readFrame(t, wire); string(pong) != "ping" {
				t.Errorf("%q", pong)
			}
		}
		start := time.Now()
		_, _ = io.Copy(io.Discard, wire)
		if d := time.Since(start); d != idleTime {
			t.Errorf("it ended after %v", d)
		}
	})
}

// TestPing has the dialling end keep a quiet stream up for an hour.
func TestPing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		var mail mailbox
		c := r.net.stream(t, &mail)
		c.Send([]byte("hello"))
		synctest.Wait()
		r.server.Keep(r.office.last(), 2*time.Hour)
		time.Sleep(time.Hour)
		if c.Err() != nil {
			t.Fatal(c.Err())
		}
		r.office.write(t, r.office.last(), "still there")
		synctest.Wait()
		if got := mail.take(); len(got) != 1 {
			t.Errorf("%q", got)
		}
	})
}

// TestSlowClient has a client that reads nothing while another is served: its
// newest packets are dropped, and nothing of the other's is late by a moment.
func TestSlowClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		slow := r.net.raw(t)
		upgradeByHand(t, slow)
		writeFrame(t, slow, 2, []byte("\x00\x01a"))
		synctest.Wait()
		slowSide := r.office.last()
		r.server.Keep(slowSide, time.Hour)
		var mail mailbox
		c := r.net.stream(t, &mail)
		c.Send([]byte("hello"))
		synctest.Wait()
		side := r.office.last()
		r.server.Keep(side, time.Hour)

		start := time.Now()
		big := strings.Repeat("x", 1400)
		for i := range 1000 {
			r.office.write(t, slowSide, big)
			if i%100 == 0 {
				r.office.write(t, side, "in time")
				synctest.Wait()
				if got := mail.take(); len(got) != 1 || time.Since(start) != 0 {
					t.Fatalf("%q after %v", got, time.Since(start))
				}
			}
		}
		st := r.server.Status()
		// What the wire, the message on its way and the queue hold is kept.
		if kept := (1000 - int(st.Dropped)) * 1402; kept < 256<<10 || kept > 256<<10+wireRoom+2*maxMessage {
			t.Errorf("%d packets dropped, %d bytes kept", st.Dropped, kept)
		}
		for pending(slow) > 0 { // when it reads again it gets the oldest, whole
			if frame := readFrame(t, slow); len(frame)%1402 != 0 && len(frame) > 2 { // shorter: a ping
				t.Fatalf("a message of %d bytes", len(frame))
			}
		}
		if r.server.Status().Open != 2 {
			t.Error("the slow client was thrown out")
		}
	})
}

// pending returns how many bytes lie on the wire for a client, after everything
// has come to rest.
func pending(c net.Conn) int {
	synctest.Wait()
	d := c.(*tls.Conn).NetConn().(*simConn).in
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.buf)
}

// TestSlowOpening has strangers that stop before they have asked for anything.
func TestSlowOpening(t *testing.T) {
	for name, before := range map[string]func(t *testing.T, c *tls.Conn){
		"no TLS": func(*testing.T, *tls.Conn) {},
		"no request": func(t *testing.T, c *tls.Conn) {
			time.Sleep(3 * time.Second)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
		},
		"half a request": func(t *testing.T, c *tls.Conn) {
			for _, part := range []string{"GET ", DefaultPath, " HTTP/1.1\r\n", "Host: x\r\n"} {
				if _, err := io.WriteString(c, part); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := serving(t, ServerConfig{})
				start := time.Now()
				c := r.net.raw(t).(*tls.Conn)
				before(t, c)
				_, _ = io.Copy(io.Discard, c.NetConn())
				if d := time.Since(start); d != openTime {
					t.Errorf("it ended after %v", d)
				}
				synctest.Wait()
				if st := r.server.Status(); st.Connections != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

func TestCeilings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{Connections: 24})
		open := func(source string) *Conn {
			var mail mailbox
			c, err := Dial(t.Context(), r.net.from(source).config(&mail))
			if err != nil {
				return nil
			}
			t.Cleanup(c.Close)
			return c
		}
		count := func(sources ...string) (n int) {
			for _, source := range sources {
				if open(source) != nil {
					n++
				}
			}
			return n
		}
		var same, subnet []string
		for i := range 10 {
			same = append(same, fmt.Sprint("198.51.100.1:", 1000+i))
			subnet = append(subnet, fmt.Sprintf("[2001:db8::%x]:1000", i+1))
		}
		if n := count(same...); n != DefaultPerSource {
			t.Errorf("%d of one address", n)
		}
		if n := count(subnet...); n != DefaultPerSource {
			t.Errorf("%d of one /64", n)
		}
		if n := count("[2001:db8:0:1::1]:1", "[::ffff:198.51.100.1]:2"); n != 1 {
			t.Errorf("%d: a /64 beside it, and the same address in its other form", n)
		}
		proxies := slices.Repeat([]string{"10.1.2.3:1"}, 9)
		if n := count(proxies...); n != 9 {
			t.Errorf("%d by a reverse proxy: others have more, and nothing came by them", n)
		}
		if st := r.server.Status(); st.Connections != 24 || st.Refused != 2+2+1 || st.Displaced != 2 {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * admitTime) // they were strangers: places are given back
		if n := count(same...); n != DefaultPerSource {
			t.Errorf("%d of one address after the others", n)
		}
	})
}

func TestCounted(t *testing.T) {
	for text, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true,
		"127.0.0.1": false, "::1": false, "10.0.0.1": false, "172.31.0.1": false, "192.168.1.1": false, "fd00::1": false, "fe80::1": false,
		"169.254.1.1": false,
		"100.64.0.1":  true, // behind a carrier's NAT: strangers
	} {
		if got := counted(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestPlacesOfOneNetwork has one network ask for all places, with as many addresses as
// it has. It gets some, an edge that is registered keeps its own, and others come in,
// as long as not all places are those of edges.
func TestPlacesOfOneNetwork(t *testing.T) {
	for name, of := range map[string]func(i int) string{
		"a /48":        func(i int) string { return fmt.Sprintf("[2001:db8:0:%x::1]:1000", i*7) },
		"a /24":        func(i int) string { return fmt.Sprintf("198.51.100.%d:1000", 1+i%254) },
		"many /24s":    func(i int) string { return fmt.Sprintf("198.51.%d.1:1000", i) },
		"one address":  func(int) string { return "198.51.100.1:1000" },
		"by one proxy": func(int) string { return "10.1.2.3:1000" },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := serving(t, ServerConfig{Connections: 60, PerSource: 2})
				open := func(source string) (*Conn, netip.AddrPort) {
					c, err := Dial(t.Context(), r.net.from(source).config(&mailbox{}))
					if err != nil {
						t.Fatalf("%s: %v", source, err)
					}
					t.Cleanup(c.Close)
					c.Send([]byte("hello"))
					synctest.Wait()
					return c, r.office.last()
				}
				edge, side := open("203.0.113.77:1")
				r.server.Keep(side, time.Hour)
				flood := func(n int) {
					for i := range n {
						if c, err := Dial(t.Context(), r.net.from(of(i)).config(&mailbox{})); err == nil {
							t.Cleanup(c.Close)
						}
					}
				}
				flood(150)
				if st := r.server.Status(); st.Connections > 60 || strings.HasPrefix(name, "a /") && st.Connections != 1+2*16 {
					t.Errorf("%+v", st)
				}
				honest, side := open("192.0.2.1:1")
				flood(20) // while it makes its session
				r.server.Keep(side, time.Hour)
				flood(150)
				synctest.Wait()
				if edge.Err() != nil || honest.Err() != nil {
					t.Errorf("an edge: %v, one that came later: %v", edge.Err(), honest.Err())
				}
			})
		})
	}
}

// TestEdgesOfOneOffice: 250 edges come by streams through one NAT, one after the other, and
// what strangers behind it do does not matter. When offices have taken all places with
// edges, the one that has most makes room for a newcomer from elsewhere.
func TestEdgesOfOneOffice(t *testing.T) {
	g := newGate(600, DefaultPerSource)
	from := func(source string) *gatedConn { return &gatedConn{source: netip.MustParseAddr(source)} }
	come := func(c *gatedConn, stays bool) (displaced *gatedConn) {
		t.Helper()
		displaced, entered := g.enter(c)
		if !entered {
			t.Fatalf("one of %v was refused, of %d", c.source, g.all)
		}
		if stays {
			g.keep(c)
		}
		return displaced
	}
	const office, other = "192.0.2.1", "203.0.113.1"
	for range 250 {
		come(from(office), true)
	}
	strangers := 0
	for range 100 {
		if _, entered := g.enter(from(office)); entered {
			strangers++
		}
	}
	if strangers != DefaultPerSource {
		t.Errorf("%d strangers of one address", strangers)
	}
	for range 256 {
		come(from(other), true)
	}
	for range 86 { // the rest of the places
		c := from("198.51.100.1")
		come(c, true)
	}
	for i := range 50 {
		edge := from(fmt.Sprintf("2001:db8:%x::1", i))
		displaced := come(edge, true)
		want := office // its strangers
		if i >= DefaultPerSource {
			want = "" // whichever has most edges
		}
		if displaced == nil || want != "" && (displaced.source.String() != want || displaced.in != nil) || displaced.source.Is6() {
			t.Fatalf("newcomer %d displaced %+v", i, displaced)
		}
	}
	if g.all != 600 {
		t.Errorf("%d connections", g.all)
	}
}

// TestNobodyYieldsItsOnlyEdge: where no network has many edges, newcomers are refused.
func TestNobodyYieldsItsOnlyEdge(t *testing.T) {
	g := newGate(20, 2)
	for i := range 20 {
		c := &gatedConn{source: netip.AddrFrom4([4]byte{192, 0, byte(i / 2), 1})}
		if _, entered := g.enter(c); !entered {
			t.Fatal(i)
		}
		g.keep(c)
	}
	if displaced, entered := g.enter(&gatedConn{source: netip.MustParseAddr("203.0.113.9")}); entered || displaced != nil || g.refused.Load() != 1 {
		t.Errorf("an edge made room: %v", displaced)
	}
}

// TestOtherRequests asks for what is not there.
func TestOtherRequests(t *testing.T) {
	for _, tt := range []struct {
		request string
		status  int
	}{
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusNotFound},
		{"POST /hedgerow/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", http.StatusNotFound},
		{"GET /hedgerow HTTP/1.1\r\nHost: x\r\n\r\n", http.StatusUpgradeRequired},
		{"GET /hedgerow HTTP/1.0\r\n\r\n", http.StatusUpgradeRequired},
		{"nonsense\r\n\r\n", http.StatusBadRequest},
		{"GET / HTTP/1.1\r\nHost: x\r\nLong: " + strings.Repeat("x", 2*maxRequest) + "\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge},
	} {
		bubble(t, func(t *testing.T) {
			r := serving(t, ServerConfig{})
			c := r.net.raw(t)
			if _, err := io.WriteString(c, tt.request); err != nil {
				t.Fatal(err)
			}
			response, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || response.StatusCode != tt.status {
				t.Errorf("%.40q: %v, %v", tt.request, response, err)
			}
		})
	}
}

// TestBadMessages has clients that speak of something else.
func TestBadMessages(t *testing.T) {
	for name, tt := range map[string]struct {
		opcode  byte
		message []byte
	}{
		"text":        {1, []byte("\x00\x01a")},
		"cut":         {2, []byte("\x00\x09a")},
		"long packet": {2, appendPacket(nil, make([]byte, MaxPacket+1))},
		"too long":    {2, make([]byte, maxMessage+1)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := serving(t, ServerConfig{})
				c := r.net.raw(t)
				upgradeByHand(t, c)
				start := time.Now()
				writeFrame(t, c, tt.opcode, tt.message)
				_, _ = io.Copy(io.Discard, c)
				if d := time.Since(start); d != 0 || len(r.office.mail.take()) != 0 {
					t.Errorf("it ended after %v", d)
				}
			})
		})
	}
}

// TestServeEnds has the end of the server end every connection in every state.
func TestServeEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := serving(t, ServerConfig{})
		c := r.net.stream(t, &mailbox{})
		silent := r.net.raw(t).(*tls.Conn)
		half := r.net.raw(t).(*tls.Conn)
		if _, err := io.WriteString(half, "GET "); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		r.stop()
		for _, conn := range []io.Reader{silent.NetConn(), half} {
			_, _ = io.Copy(io.Discard, conn)
		}
		<-c.Done()
		if d := time.Since(start); d != 0 || !errors.Is(c.Err(), errLeft) {
			t.Errorf("after %v: %v", d, c.Err())
		}
		if st := r.server.Status(); st.Connections != 0 || st.Open != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// failingListener fails at once.
type failingListener struct{ net.Listener }

func (failingListener) Accept() (net.Conn, error) { return nil, errors.New("no more sockets") }

func TestListenerFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := newSimNet()
		s, err := NewServer(ServerConfig{
			Listeners:   []net.Listener{n.listen("192.0.2.1:1"), failingListener{n.listen("192.0.2.1:2")}},
			Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate(), nil },
			Sides:       newOffice(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(t.Context()); err == nil || !strings.Contains(err.Error(), "no more sockets") {
			t.Error(err)
		}
	})
}

func TestServerConfig(t *testing.T) {
	if _, err := NewServer(ServerConfig{}); err == nil {
		t.Error("an empty configuration is taken")
	}
	_, err := NewServer(ServerConfig{
		Listeners: []net.Listener{newSimNet().listen(address)}, Sides: newOffice(), Path: "x",
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate(), nil },
	})
	if err == nil {
		t.Error("a path without / is taken")
	}
}
