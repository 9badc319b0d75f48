package lan

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	errRefused = errors.New("refused")
	ether      = net.Interface{Index: 7, Name: "eth0"}
	wifi       = net.Interface{Index: 8, Name: "wlan0"}
)

// group is a multicaster that records its calls, and refuses to join or to send
// on some interfaces.
type group struct {
	calls  []string
	refuse map[string]bool // "join eth0", "send wlan0"
}

func (g *group) do(what string, on *net.Interface) error {
	g.calls = append(g.calls, what+" "+on.Name)
	if g.refuse[what+" "+on.Name] {
		return errRefused
	}
	return nil
}

func (g *group) JoinGroup(on *net.Interface, _ net.Addr) error  { return g.do("join", on) }
func (g *group) LeaveGroup(on *net.Interface, _ net.Addr) error { return g.do("leave", on) }
func (g *group) SetMulticastInterface(on *net.Interface) error  { return g.do("send", on) }

// recorded returns the calls since the last time.
func (g *group) recorded() (calls []string) {
	calls, g.calls = g.calls, nil
	return calls
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func portOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// on returns an interface with addresses.
func on(i net.Interface, addresses ...string) iface {
	l := iface{Interface: i}
	for _, a := range addresses {
		l.addresses = append(l.addresses, netip.MustParseAddr(a))
	}
	return l
}

func mustListen(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestRejoin joins the groups on the interfaces that have an address of the
// family, leaves them before the next time, and sends on those that were joined:
// here to a socket in the place of the group.
func TestRejoin(t *testing.T) {
	g, in, out := &group{}, mustListen(t), mustListen(t)
	four := &family{in: in, out: out, hear: g, speak: g, group: portOf(in)}
	c := &Conn{cfg: Config{Log: discard()}, families: []*family{four}}
	c.view.Store(&view{})

	steps := []struct {
		ifaces []iface
		refuse map[string]bool
		calls  []string
		errs   int
		names  string
	}{
		{[]iface{on(ether, "192.0.2.1"), on(wifi, "fe80::1")}, nil, []string{"join eth0"}, 0, "eth0 wlan0"},
		{[]iface{on(ether, "192.0.2.1"), on(wifi, "192.0.2.2")}, nil, []string{"leave eth0", "join eth0", "join wlan0"}, 0, "eth0 wlan0"},
		{[]iface{on(wifi, "192.0.2.2")}, map[string]bool{"leave eth0": true, "join wlan0": true},
			[]string{"leave eth0", "leave wlan0", "join wlan0"}, 1, "wlan0"},
		{nil, nil, nil, 0, ""},
	}
	for i, s := range steps {
		g.refuse = s.refuse
		errs := c.rejoin(s.ifaces)
		if got := g.recorded(); !slices.Equal(got, s.calls) || len(errs) != s.errs || c.view.Load().list() != s.names {
			t.Errorf("step %d: %q, %v, view %q", i, got, errs, c.view.Load().list())
		}
	}

	g.refuse = map[string]bool{"send wlan0": true}
	if err := four.send(&ether, []byte("hello")); err != nil {
		t.Error(err)
	}
	if err := four.send(&wifi, []byte("hello")); !errors.Is(err, errRefused) {
		t.Errorf("sent by an interface that refuses: %v", err)
	}
	buf := make([]byte, 16)
	n, from, err := in.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "hello" || from != portOf(out) || four.port() != from.Port() {
		t.Errorf("%q from %v, %v", buf[:n], from, err)
	}
}

// TestAnnounceLengths refuses packets that are too short or too long.
func TestAnnounceLengths(t *testing.T) {
	c := &Conn{cfg: Config{Log: discard(), Exclude: func(string) bool { return true }}}
	c.view.Store(&view{})
	for n, ok := range map[int]bool{0: false, 1: true, MaxPacket: true, MaxPacket + 1: false} {
		if _, err := c.Announce(make([]byte, n)); (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// script is a family whose datagrams come from a function.
func script(out *net.UDPConn, read func(buf []byte) (arrival, error)) *family {
	return &family{group: netip.AddrPortFrom(DefaultGroup4, DefaultPort), read: read, out: out}
}

// TestReceive reads packets between errors: an error in between costs a pause,
// seventeen in a row end the family, a closed socket ends it without an error.
func TestReceive(t *testing.T) {
	out := mustListen(t)
	for name, tt := range map[string]struct {
		errs  int   // errors in a row
		then  error // after a packet
		heard int
		took  time.Duration
		ended bool
	}{
		"no fault":    {0, net.ErrClosed, 2, 0, false},
		"some faults": {readPauses, net.ErrClosed, 2, readPauses * readPause, false},
		"too many":    {readPauses + 1, net.ErrClosed, 0, readPauses * readPause, true},
		"the end":     {0, io.ErrUnexpectedEOF, 2, readPauses * readPause, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				left, packets := tt.errs, 2
				f := script(out, func(buf []byte) (arrival, error) {
					switch {
					case left > 0:
						left--
						return arrival{}, errRefused
					case packets > 0:
						packets--
						return arrival{n: copy(buf, "hello"), from: netip.MustParseAddrPort("192.0.2.9:40000"), to: DefaultGroup4, ifindex: 7, hops: hopLimit}, nil
					}
					return arrival{}, tt.then
				})
				c := &Conn{cfg: Config{Log: discard()}, families: []*family{f}}
				c.view.Store(newView([]iface{on(ether, "192.0.2.1")}))
				heard, began := 0, time.Now()
				err := c.receive(t.Context(), f, func(from netip.AddrPort, pkt []byte) {
					if heard++; string(pkt) != "hello" {
						t.Errorf("heard %q from %v", pkt, from)
					}
				})
				if heard != tt.heard || time.Since(began) != tt.took || (err != nil) != tt.ended {
					t.Errorf("heard %d in %v, %v", heard, time.Since(began), err)
				}
			})
		})
	}
}

// TestReceiveEnds ends a pause between two reads with the context.
func TestReceiveEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		f := script(nil, func([]byte) (arrival, error) { return arrival{}, errRefused })
		c := &Conn{cfg: Config{Log: discard()}, families: []*family{f}}
		time.AfterFunc(readPause+readPause/2, cancel)
		began := time.Now()
		if err := c.receive(ctx, f, nil); err != nil || time.Since(began) != readPause+readPause/2 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
}

// TestServe returns when the last family has ended, with the error of the one
// that failed.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fail := script(nil, func([]byte) (arrival, error) { return arrival{}, errRefused })
		closed := script(nil, func([]byte) (arrival, error) { return arrival{}, net.ErrClosed })
		c := &Conn{cfg: Config{Log: discard()}, families: []*family{closed, fail}}
		if err := c.Serve(t.Context(), func(netip.AddrPort, []byte) {}); !errors.Is(err, errRefused) || !strings.Contains(err.Error(), "receive") {
			t.Errorf("%v", err)
		}
	})
}

// TestOpen opens real sockets, sees that two share the port, and closes them
// under a Serve.
func TestOpen(t *testing.T) {
	cfg := Config{Port: 17656, Log: discard()}
	a, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	served := make(chan error, 1)
	go func() { served <- a.Serve(context.Background(), func(netip.AddrPort, []byte) {}) }()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := Open(Config{Group4: netip.MustParseAddr("239.1.1.1")}); err == nil {
		t.Error("a group that routers forward")
	}
}
