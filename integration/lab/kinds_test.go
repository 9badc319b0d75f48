//go:build linux

package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// behavior is what a classifier in the manner of RFC 5780 sees of a NAT.
type behavior struct {
	mapping, filtering string
	portKept           bool
}

const (
	independent = "endpoint-independent"
	perAddress  = "address-dependent"
	perPort     = "address-and-port-dependent"
)

// A reflector is a host with two public addresses and a socket at each of two
// ports of both, all by hand: it answers nothing.
type reflector [2][2]*net.UDPConn

func newReflector(t *testing.T, l *Lab) reflector {
	t.Helper()
	h := Must(l.Host("reflector", "203.0.113.1", "203.0.113.2"))
	var r reflector
	for i, a := range h.Addrs() {
		for j, port := range []uint16{3478, 3479} {
			r[i][j] = listen(t, h, netip.AddrPortFrom(a, port).String())
		}
	}
	return r
}

func listen(t *testing.T, h *Host, address string) *net.UDPConn {
	t.Helper()
	c := Must(h.ListenUDP("udp", address))
	t.Cleanup(func() { c.Close() })
	return c
}

func local(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// send sends a message and receive waits for one, the zero AddrPort after the
// given time without any.
func send(t *testing.T, from *net.UDPConn, to netip.AddrPort, message string) {
	t.Helper()
	if _, err := from.WriteToUDPAddrPort([]byte(message), to); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c *net.UDPConn, wait time.Duration) (message string, from netip.AddrPort) {
	t.Helper()
	buf := make([]byte, 2048)
	c.SetReadDeadline(time.Now().Add(wait))
	n, from, err := c.ReadFromUDPAddrPort(buf)
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return string(buf[:n]), netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

const (
	soon  = 2 * time.Second       // for what must arrive
	never = 30 * time.Millisecond // for what must not
)

// seen sends from a host's socket to one of the reflector's and returns the
// source that arrives there.
func seen(t *testing.T, c, at *net.UDPConn) netip.AddrPort {
	t.Helper()
	send(t, c, local(at), "binding")
	message, from := receive(t, at, soon)
	if message != "binding" {
		t.Fatalf("nothing came to %s", local(at))
	}
	return from
}

func classify(t *testing.T, h *Host, r reflector) (b behavior) {
	t.Helper()
	c := listen(t, h, h.Addr().String()+":0")
	first := seen(t, c, r[0][0])
	switch {
	case seen(t, c, r[0][1]) != first:
		b.mapping = perPort
	case seen(t, c, r[1][0]) != first:
		b.mapping = perAddress
	default:
		b.mapping = independent
	}
	b.portKept = first.Port() == local(c).Port()

	// A socket that has sent to one address only.
	c = listen(t, h, h.Addr().String()+":0")
	mapped := seen(t, c, r[0][0])
	send(t, r[1][1], mapped, "stranger")
	send(t, r[0][1], mapped, "other port")
	send(t, r[0][0], mapped, "answer")
	got := map[string]bool{}
	for message := "-"; message != ""; {
		wait := soon
		if got["answer"] {
			wait = never
		}
		message, _ = receive(t, c, wait)
		got[message] = true
	}
	switch {
	case !got["answer"]:
		t.Error("the answer of the address that was asked did not arrive")
	case got["stranger"]:
		b.filtering = independent
	case got["other port"]:
		b.filtering = perAddress
	default:
		b.filtering = perPort
	}
	return b
}

func TestKinds(t *testing.T) {
	want := map[Kind]behavior{
		PortRestricted:      {independent, perPort, true},
		EndpointIndependent: {independent, independent, true},
		OpenInput:           {independent, perPort, true},
		SymmetricRandom:     {perPort, perPort, false},
	}
	l := ForTest(t)
	r := newReflector(t, l)
	for kind, want := range want {
		t.Run(kind.String(), func(t *testing.T) {
			router := Must(l.Router(fmt.Sprint("router", int(kind)), fmt.Sprint("198.51.100.", int(kind)), kind))
			host := Must(router.Host(fmt.Sprint("host", int(kind))))
			if got := classify(t, host, r); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	if got := classify(t, Must(l.Host("public", "192.0.2.1")), r); got != (behavior{independent, independent, true}) {
		t.Errorf("a public host: %+v", got)
	}
}

// A full cone lets in a stranger who comes first after the mapping is made, and
// the conversation that the stranger began goes both ways from the same port.
func TestEndpointIndependentConversation(t *testing.T) {
	l := ForTest(t)
	r := newReflector(t, l)
	host := Must(Must(l.Router("home", "198.51.100.1", EndpointIndependent)).Host("host"))
	c := listen(t, host, "192.168.1.10:5000")
	mapped := seen(t, c, r[0][0])
	for i := range 3 {
		send(t, r[1][1], mapped, "hello")
		message, from := receive(t, c, soon)
		if message != "hello" || from != local(r[1][1]) {
			t.Fatalf("round %d: %q from %s", i, message, from)
		}
		if back := seen(t, c, r[1][1]); back != mapped {
			t.Fatalf("round %d: the answer came from %s, not from %s", i, back, mapped)
		}
	}
}

// A datagram that arrives before ours leaves moves our mapping when the input
// chain is open, and only then.
func TestEarlyInbound(t *testing.T) {
	Require(t)
	for _, kind := range []Kind{PortRestricted, EndpointIndependent, OpenInput} {
		t.Run(kind.String(), func(t *testing.T) {
			l := ForTest(t)
			r := newReflector(t, l)
			router := Must(l.Router("home", "198.51.100.1", kind))
			c := listen(t, Must(router.Host("host")), "192.168.1.10:5000")
			send(t, r[0][0], netip.AddrPortFrom(router.WAN(), 5000), "early")
			moved := seen(t, c, r[0][0]).Port() != 5000
			if moved != (kind == OpenInput) {
				t.Errorf("the mapping moved: %v", moved)
			}
		})
	}
}

func TestReboot(t *testing.T) {
	Require(t)
	for _, kind := range []Kind{PortRestricted, EndpointIndependent, SymmetricRandom} {
		t.Run(kind.String(), func(t *testing.T) {
			l := ForTest(t)
			r := newReflector(t, l)
			router := Must(l.Router("home", "198.51.100.1", kind))
			c := listen(t, Must(router.Host("host")), "192.168.1.10:5000")
			before := seen(t, c, r[0][0])
			send(t, r[0][0], before, "answer")
			if message, _ := receive(t, c, soon); message != "answer" {
				t.Fatal("no answer before the reboot")
			}
			if err := router.Reboot(); err != nil {
				t.Fatal(err)
			}
			if n := Must(router.Connections()); n != 0 {
				t.Errorf("%d connections after the reboot", n)
			}
			send(t, r[0][0], before, "late answer")
			if message, _ := receive(t, c, never); message != "" {
				t.Errorf("%q came through a mapping that was forgotten", message)
			}
			after := seen(t, c, r[0][0])
			if moved := after != before; moved != (kind == SymmetricRandom) {
				t.Errorf("before %s, after %s", before, after)
			}
			send(t, r[0][0], after, "answer")
			if message, _ := receive(t, c, soon); message != "answer" {
				t.Error("no answer after the reboot")
			}
		})
	}
}

// IPv6 is not translated, and what was not asked for stays out but where the
// input is open; two hosts that both send reach each other.
func TestIPv6Home(t *testing.T) {
	Require(t)
	for _, kind := range []Kind{PortRestricted, EndpointIndependent, OpenInput, SymmetricRandom} {
		t.Run(kind.String(), func(t *testing.T) {
			l := ForTest(t)
			public := Must(l.Host("public", "2001:db8:1::1"))
			home := Must(l.Router("home", "198.51.100.1", kind, "2001:db8:2::/64"))
			inside := Must(home.Host("host"))
			if inside.Addr6() != netip.MustParseAddr("2001:db8:2::a") {
				t.Fatalf("the host has %s", inside.Addrs())
			}
			at := listen(t, public, "[2001:db8:1::1]:5000")
			c := listen(t, inside, "[2001:db8:2::a]:5000")
			send(t, at, local(c), "unsolicited")
			wait := never
			if kind == OpenInput {
				wait = soon
			}
			message, _ := receive(t, c, wait)
			if in := message != ""; in != (kind == OpenInput) {
				t.Errorf("unsolicited datagram let in: %v", in)
			}
			if from := seen(t, c, at); from != local(c) {
				t.Errorf("source %s, want %s", from, local(c))
			}
			send(t, at, local(c), "answer")
			if message, _ := receive(t, c, soon); message != "answer" {
				t.Error("the answer did not arrive")
			}
		})
	}
}
