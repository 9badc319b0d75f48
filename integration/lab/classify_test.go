//go:build linux

package lab

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// behavior is what a classifier in the manner of RFC 5780 sees of a NAT.
type behavior struct {
	mapping   dependence // section 4.3
	filtering dependence // section 4.4
	ports     pattern
	hairpin   source
}

// pattern is how the public ports of one socket follow from each other.
type pattern string

const (
	kept       pattern = "the host's own"
	replaced   pattern = "another one" // of each address, where mapping depends on it
	sequential pattern = "one after the other"
	inBlock    pattern = "at random in a block"
	atRandom   pattern = "at random"
)

// source is where what a neighbour sends to a public address seems to come
// from; empty: it does not arrive.
type source string

const (
	external source = "the public address"
	internal source = "the address in the home"
)

// The sockets of a reflector, for each of its addresses. Sixteen destinations
// show how ports are chosen.
const (
	reflectorPort  = 3478
	reflectorPorts = 8
)

// A reflector is a host with two public addresses and sockets at some ports of
// both, all by hand: it answers nothing.
type reflector [2][reflectorPorts]*net.UDPConn

func newReflector(t *testing.T, l *Lab) reflector {
	t.Helper()
	h := Must(l.Host("reflector", "203.0.113.1", "203.0.113.2"))
	var r reflector
	for i, a := range h.Addrs() {
		for j := range r[i] {
			r[i][j] = listen(t, h, netip.AddrPortFrom(a, reflectorPort+uint16(j)).String())
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

// arrives sends a message and reports whether it arrives, waiting as long as
// what is expected asks for.
func arrives(t *testing.T, from, at *net.UDPConn, to netip.AddrPort, expected bool) bool {
	t.Helper()
	wait := never
	if expected {
		wait = soon
	}
	send(t, from, to, "arrives?")
	message, _ := receive(t, at, wait)
	return message != ""
}

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

// classify measures the NAT between a host and the reflector. The neighbour is
// another host of the same home.
func classify(t *testing.T, h, neighbour *Host, r reflector) behavior {
	t.Helper()
	return behavior{mapping: mappingOf(t, h, r), filtering: filteringOf(t, h, r), ports: portsOf(t, h, r), hairpin: hairpinOf(t, h, neighbour, r)}
}

// mappingOf is RFC 5780, section 4.3: the primary address, the other address,
// and another port there.
func mappingOf(t *testing.T, h *Host, r reflector) dependence {
	t.Helper()
	c := listen(t, h, h.Addr().String()+":0")
	one, two, three := seen(t, c, r[0][0]), seen(t, c, r[1][0]), seen(t, c, r[1][1])
	switch {
	case one == two:
		return onNothing
	case two == three:
		return onAddress
	}
	return onAddressAndPort
}

// filteringOf is RFC 5780, section 4.4: who reaches a socket that has sent to
// one address and port only.
func filteringOf(t *testing.T, h *Host, r reflector) dependence {
	t.Helper()
	c := listen(t, h, h.Addr().String()+":0")
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
		return onNothing
	case got["other port"]:
		return onAddress
	}
	return onAddressAndPort
}

// blockSpread is the distance between the lowest and the highest of sixteen
// ports below which they are from a block.
const blockSpread = 4096

// portsOf sends from one socket to all of the reflector's.
func portsOf(t *testing.T, h *Host, r reflector) pattern {
	t.Helper()
	c := listen(t, h, h.Addr().String()+":0")
	var ports []int
	for _, sockets := range r {
		for _, s := range sockets {
			ports = append(ports, int(seen(t, c, s).Port()))
		}
	}
	ascending := true
	for i := range ports[1:] {
		ascending = ascending && ports[i+1] == ports[i]+1
	}
	lowest, highest := slices.Min(ports), slices.Max(ports)
	different := len(slices.Compact(slices.Sorted(slices.Values(ports))))
	switch {
	case lowest == highest && lowest == int(local(c).Port()):
		return kept
	case different <= len(r):
		return replaced
	case ascending:
		return sequential
	case highest-lowest < blockSpread:
		return inBlock
	}
	return atRandom
}

// hairpinOf sends from a host to the public address of its neighbour. Both have
// sent to that of the other one before, as hosts that find each other do.
func hairpinOf(t *testing.T, h, neighbour *Host, r reflector) source {
	t.Helper()
	if neighbour == nil {
		return ""
	}
	ours, theirs := listen(t, h, h.Addr().String()+":0"), listen(t, neighbour, neighbour.Addr().String()+":0")
	at, to := seen(t, ours, r[0][0]), seen(t, theirs, r[0][0])
	send(t, theirs, at, "hello")
	if message, _ := receive(t, ours, never); message == "" {
		return ""
	}
	send(t, ours, to, "hello")
	message, from := receive(t, theirs, soon)
	switch {
	case message != "hello":
		t.Error("the hairpin goes one way only")
	case from == at:
		return external
	case from == local(ours):
		return internal
	default:
		t.Errorf("a hairpin from %s, which is seen as %s and is %s", from, at, local(ours))
	}
	return ""
}
