//go:build linux

package turn

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"hedgerow/integration/lab"
)

// place is a TURN server on a public host, and two homes behind NATs that no
// hole can be punched through.
type place struct {
	server      netip.AddrPort
	west, east  *lab.Host
	westWAN     netip.Addr
	eastWAN     netip.Addr
	startServer func(options ...string) (stop func())
}

func newPlace(t *testing.T, startServer func(t *testing.T, h *lab.Host, options []string) (stop func())) *place {
	l := lab.ForTest(t)
	host := lab.Must(l.Host("relay", "203.0.113.1"))
	west := lab.Must(l.Router("west", "198.51.100.1", lab.SymmetricRandom))
	east := lab.Must(l.Router("east", "192.0.2.1", lab.SymmetricRandom))
	return &place{
		server:  netip.AddrPortFrom(host.Addr(), DefaultPort),
		west:    lab.Must(west.Host("westhost")),
		east:    lab.Must(east.Host("easthost")),
		westWAN: west.WAN(), eastWAN: east.WAN(),
		startServer: func(options ...string) func() { return startServer(t, host, options) },
	}
}

// startOurs starts a Server.
func startOurs(t *testing.T, h *lab.Host, _ []string) (stop func()) {
	conn := lab.Must(h.ListenUDP("udp4", netip.AddrPortFrom(h.Addr(), DefaultPort).String()))
	s, err := NewServer(ServerConfig{
		Conn: conn, Address: h.Addr(), Bind: h.Addr(), Secret: secret, Limits: ServerLimits{PerIdentity: 1},
		Allowed: func(_ string, peer netip.Addr) bool { return peer != netip.MustParseAddr("192.0.2.77") },
		Listen:  func(local netip.AddrPort) (net.PacketConn, error) { return h.ListenUDP("udp4", local.String()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = s.Close() }
}

// startCoturn starts coturn, or skips the test.
func startCoturn(t *testing.T, h *lab.Host, options []string) (stop func()) {
	program := lab.Program(t, "turnserver", "coturn")
	dir := t.TempDir()
	var log bytes.Buffer
	c := h.Command(t.Context(), append([]string{
		program, "-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp",
		"--listening-ip", h.Addr().String(), "--relay-ip", h.Addr().String(), "--realm", "example",
		"--use-auth-secret", "--static-auth-secret", string(secret), "--user-quota", "1",
		"--denied-peer-ip", "192.0.2.77",
		"--log-file", "stdout", "--pidfile", filepath.Join(dir, "pid"), "--db", filepath.Join(dir, "db"),
	}, options...)...)
	c.Stdout, c.Stderr = &log, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("coturn wrote: %s", log.Bytes())
		}
	})
	return func() { _ = c.Signal(syscall.SIGKILL); _ = c.Wait() }
}

// dial makes a client on a host, fed by a socket of its own.
func (p *place) dial(t *testing.T, h *lab.Host, user, password string) (c *Client, got chan datagram) {
	t.Helper()
	conn := lab.Must(h.ListenUDP("udp4", "0.0.0.0:0"))
	got = make(chan datagram, 64)
	c, err := NewClient(ClientConfig{
		Server: p.server, User: user, Password: password,
		Send:    func(to netip.AddrPort, pkt []byte) { _, _ = conn.WriteToUDPAddrPort(pkt, to) },
		Receive: func(peer netip.AddrPort, pkt []byte) { got <- datagram{peer, bytes.Clone(pkt)} },
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			c.Handle(from, b[:n])
		}
	}()
	t.Cleanup(func() { c.Close(); conn.Close(); <-ended })
	return c, got
}

func (p *place) member(t *testing.T, h *lab.Host, identity string) (c *Client, got chan datagram) {
	user, password := Credentials(secret, identity, time.Now().Add(time.Hour))
	return p.dial(t, h, user, password)
}

// allocateSoon allocates as soon as the server has come up, and coturn has noted
// that another allocation ended.
func allocateSoon(t *testing.T, c *Client) netip.AddrPort {
	t.Helper()
	var relayed netip.AddrPort
	var err error
	for range 25 {
		if relayed, err = c.Allocate(t.Context()); err == nil {
			return relayed
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal(err)
	return relayed
}

// exchange lets east, which has no relay, and west, which has one, talk: east
// speaks first, and west answers to where that came from.
func exchange(t *testing.T, east *net.UDPConn, west *Client, got chan datagram, relayed netip.AddrPort, rounds int) {
	t.Helper()
	b := make([]byte, 2048)
	for range rounds {
		if _, err := east.WriteToUDPAddrPort([]byte("from the east"), relayed); err != nil {
			t.Fatal(err)
		}
		select {
		case d := <-got:
			if string(d.pkt) != "from the east" {
				t.Fatalf("got %q from %v", d.pkt, d.from)
			}
			if err := west.Write(d.from, []byte("from the west")); err != nil {
				t.Fatal(err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("nothing came from the east")
		}
		_ = east.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, from, err := east.ReadFromUDPAddrPort(b)
		if err != nil || string(b[:n]) != "from the west" || unmap(from) != relayed {
			t.Fatalf("the east got %q from %v, %v", b[:n], from, err)
		}
		time.Sleep(10 * time.Millisecond) // a channel is bound meanwhile
	}
}

// servers are what a client has to get on with.
var servers = []struct {
	name  string
	start func(t *testing.T, h *lab.Host, options []string) (stop func())
}{{"ours", startOurs}, {"coturn", startCoturn}}

func TestBetweenSymmetricNATs(t *testing.T) {
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			p := newPlace(t, server.start)
			defer p.startServer()()
			west, got := p.member(t, p.west, "west")
			relayed := allocateSoon(t, west)
			if relayed.Addr() != p.server.Addr() {
				t.Errorf("relayed address %v", relayed)
			}
			if err := west.Permit(t.Context(), p.eastWAN); err != nil {
				t.Fatal(err)
			}
			east := lab.Must(p.east.ListenUDP("udp4", "0.0.0.0:0"))
			defer east.Close()
			exchange(t, east, west, got, relayed, 20)

			var refused *ServerError
			if err := west.Permit(t.Context(), netip.MustParseAddr("192.0.2.77")); !errors.As(err, &refused) {
				t.Errorf("a peer that is not allowed: %v", err)
			}
			second, _ := p.member(t, p.west, "west")
			if _, err := second.Allocate(t.Context()); !errors.As(err, &refused) || refused.Code != codeQuota && refused.Code != codeCapacity {
				t.Errorf("over the quota: %v", err)
			}
			user, _ := Credentials(secret, "west", time.Now().Add(time.Hour))
			wrong, _ := p.dial(t, p.west, user, "wrong")
			if _, err := wrong.Allocate(t.Context()); !errors.As(err, &refused) || refused.Code != codeUnauthorized && refused.Code != codeBadRequest {
				t.Errorf("with a wrong password: %v", err)
			}
			west.Close()
			allocateSoon(t, second)
		})
	}
}

// Both ends may have a relay each, on the same server or not: to the one the
// other's relayed address is a peer as any, unless the server is ours, which
// refuses its own.
func TestBothOnRelays(t *testing.T) {
	p := newPlace(t, startCoturn)
	defer p.startServer()()
	west, gotWest := p.member(t, p.west, "west")
	east, gotEast := p.member(t, p.east, "east")
	atWest, atEast := allocateSoon(t, west), allocateSoon(t, east)
	for _, c := range []*Client{west, east} {
		if err := c.Permit(t.Context(), p.server.Addr()); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		for _, way := range []struct {
			from *Client
			to   netip.AddrPort
			got  chan datagram
			seen netip.AddrPort
		}{{west, atEast, gotEast, atWest}, {east, atWest, gotWest, atEast}} {
			if err := way.from.Write(way.to, []byte("relayed twice")); err != nil {
				t.Fatal(err)
			}
			select {
			case d := <-way.got:
				if d.from != way.seen || string(d.pkt) != "relayed twice" {
					t.Fatalf("%q from %v", d.pkt, d.from)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("nothing came")
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// An allocation of 4 s and a nonce of 3 s are renewed in time.
func TestCoturnShortLifetime(t *testing.T) {
	p := newPlace(t, startCoturn)
	defer p.startServer("--max-allocate-lifetime=4", "--stale-nonce=3")()
	west, got := p.member(t, p.west, "west")
	relayed := allocateSoon(t, west)
	if err := west.Permit(t.Context(), p.eastWAN); err != nil {
		t.Fatal(err)
	}
	east := lab.Must(p.east.ListenUDP("udp4", "0.0.0.0:0"))
	defer east.Close()
	exchange(t, east, west, got, relayed, 2)
	time.Sleep(6 * time.Second)
	if err := west.Err(); err != nil {
		t.Fatal(err)
	}
	exchange(t, east, west, got, relayed, 2)
}

// coturn says at the next refresh that it does not know the allocation of
// before it was started again.
func TestCoturnRestart(t *testing.T) {
	p := newPlace(t, startCoturn)
	stop := p.startServer("--max-allocate-lifetime=6")
	west, _ := p.member(t, p.west, "west")
	allocateSoon(t, west)
	stop()
	defer p.startServer()()
	before := time.Now()
	select {
	case <-west.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("not noticed")
	}
	var refused *ServerError
	if err := west.Err(); !errors.As(err, &refused) || refused.Code != codeMismatch {
		t.Error(err)
	}
	t.Logf("noticed after %v: %v", time.Since(before), west.Err())
}
