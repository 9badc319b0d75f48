//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// What every kind is. SymmetricBlock is there with two sizes.
var behaviors = map[Kind]behavior{
	PortRestricted:             {onNothing, onAddressAndPort, kept, ""},
	AddressRestricted:          {onNothing, onAddress, kept, ""},
	EndpointIndependent:        {onNothing, onNothing, kept, ""},
	EndpointIndependentHairpin: {onNothing, onNothing, kept, external},
	OpenInput:                  {onNothing, onAddressAndPort, kept, ""},
	PortReplacing:              {onNothing, onAddressAndPort, replaced, ""},
	PortReplacingHairpin:       {onNothing, onAddressAndPort, replaced, external},
	AddressDependent:           {onAddress, onAddressAndPort, replaced, ""},
	SymmetricSequential:        {onAddressAndPort, onAddressAndPort, sequential, ""},
	SymmetricBlock(512):        {onAddressAndPort, onAddressAndPort, inBlock, ""},
	SymmetricBlock(2048):       {onAddressAndPort, onAddressAndPort, inBlock, ""},
	LowBlock:                   {onAddressAndPort, onAddressAndPort, inBlock, ""},
	SymmetricRandom:            {onAddressAndPort, onAddressAndPort, atRandom, ""},
}

func TestKinds(t *testing.T) {
	l := ForTest(t)
	r := newReflector(t, l)
	number := 0
	for kind, want := range behaviors {
		number++
		t.Run(kind.String(), func(t *testing.T) {
			if kind.mapping != want.mapping || kind.filtering != want.filtering {
				t.Errorf("the kind calls itself %s and %s", kind.mapping, kind.filtering)
			}
			router := Must(l.Router(fmt.Sprint("router", number), fmt.Sprint("198.51.100.", number), kind))
			host := Must(router.Host(fmt.Sprint("host", number)))
			neighbour := Must(router.Host(fmt.Sprint("neighbour", number)))
			if got := classify(t, host, neighbour, r); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	if got := classify(t, Must(l.Host("public", "192.0.2.1")), nil, r); got != (behavior{onNothing, onNothing, kept, ""}) {
		t.Errorf("a public host: %+v", got)
	}
}

// The ports of a block are all in it, and no more of them than it has.
func TestBlockBounds(t *testing.T) {
	const ports = 8
	l := ForTest(t)
	r := newReflector(t, l)
	host := Must(Must(l.Router("home", "198.51.100.1", SymmetricBlock(ports))).Host("host"))
	got := map[uint16]bool{}
	for range 8 {
		c := listen(t, host, "192.168.1.10:0")
		for _, at := range r[0] {
			got[seen(t, c, at).Port()] = true
		}
	}
	for port := range got {
		if port < firstPort || port >= firstPort+ports {
			t.Errorf("port %d", port)
		}
	}
}

func TestWrongKinds(t *testing.T) {
	l := ForTest(t)
	for _, wrong := range []Kind{{}, SymmetricBlock(0), SymmetricBlock(hashPorts + 1), PortRestricted.Lasting(time.Millisecond)} {
		if _, err := l.Router("router", "198.51.100.1", wrong); err == nil {
			t.Errorf("the kind %+v was accepted", wrong)
		}
	}
}

// A mapping ends when nothing has used it for its lifetime, and what uses it
// keeps it.
func TestLifetime(t *testing.T) {
	const lifetime = time.Second
	l := ForTest(t)
	r := newReflector(t, l)
	kinds := []Kind{PortRestricted, AddressRestricted, EndpointIndependent, SymmetricRandom}
	var sockets []*net.UDPConn
	var mapped []netip.AddrPort
	for i, kind := range kinds {
		router := Must(l.Router(fmt.Sprint("home", i), fmt.Sprint("198.51.100.", i+1), kind.Lasting(lifetime)))
		c := listen(t, Must(router.Host(fmt.Sprint("host", i))), "192.168.1.10:5000")
		sockets, mapped = append(sockets, c), append(mapped, seen(t, c, r[0][0]))
	}
	for range 6 {
		time.Sleep(lifetime / 4)
		for i, c := range sockets {
			if again := seen(t, c, r[0][0]); again != mapped[i] {
				t.Errorf("%s: a mapping in use moved from %s to %s", kinds[i], mapped[i], again)
			}
		}
	}
	for i, c := range sockets {
		if !arrives(t, r[0][0], c, mapped[i], true) {
			t.Errorf("%s: a mapping in use is closed", kinds[i])
		}
	}
	time.Sleep(lifetime + lifetime/4)
	for i, c := range sockets {
		if arrives(t, r[0][0], c, mapped[i], false) {
			t.Errorf("%s: a mapping out of use is open", kinds[i])
		}
		if moved := seen(t, c, r[0][0]) != mapped[i]; moved != (kinds[i] == SymmetricRandom) {
			t.Errorf("%s: the mapping moved: %v", kinds[i], moved)
		}
	}
}

// A primer, a datagram whose TTL ends on the internet, opens the router like
// any other and comes nowhere. The host learns of its end by ICMP. After it a
// datagram from outside moves no mapping.
func TestPrimer(t *testing.T) {
	Require(t)
	const ttl = 2 // its own router is the first hop, the internet is the second
	for _, kind := range []Kind{PortRestricted, AddressRestricted, EndpointIndependent, OpenInput} {
		t.Run(kind.String(), func(t *testing.T) {
			l := ForTest(t)
			r := newReflector(t, l)
			router := Must(l.Router("home", "198.51.100.1", kind))
			host := Must(router.Host("host"))
			c := listen(t, host, "192.168.1.10:5000")
			exceeded := listenICMP(t, host)
			if err := ipv4.NewConn(c).SetTTL(ttl); err != nil {
				t.Fatal(err)
			}
			if arrives(t, c, r[0][0], local(r[0][0]), false) {
				t.Error("the primer arrived")
			}
			if got := receiveICMP(t, exceeded); got != ipv4.ICMPTypeTimeExceeded {
				t.Errorf("the host was told: %v", got)
			}
			mapped := netip.AddrPortFrom(router.WAN(), 5000)
			if !arrives(t, r[0][0], c, mapped, true) {
				t.Error("the primer opened nothing")
			}
			if err := ipv4.NewConn(c).SetTTL(64); err != nil {
				t.Fatal(err)
			}
			if from := seen(t, c, r[0][0]); from != mapped {
				t.Errorf("the mapping moved to %s", from)
			}
		})
	}
}

// listenICMP opens a socket for the ICMP messages to a host, and receiveICMP
// returns the type of the next one; nil: there is none.
func listenICMP(t *testing.T, h *Host) (conn *icmp.PacketConn) {
	t.Helper()
	if err := h.Do(func() (err error) { conn, err = icmp.ListenPacket("ip4:icmp", "0.0.0.0"); return err }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func receiveICMP(t *testing.T, conn *icmp.PacketConn) icmp.Type {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(soon))
	buf := make([]byte, linkMTU)
	n, _, err := conn.ReadFrom(buf)
	if err != nil {
		t.Error(err)
		return nil
	}
	return Must(icmp.ParseMessage(unix.IPPROTO_ICMP, buf[:n])).Type
}

// Where UDP is blocked, of either family, TCP reaches the ports of the web, and
// a refusal is told if that is the kind.
func TestUDPBlocked(t *testing.T) {
	Require(t)
	for _, kind := range []Kind{UDPBlocked, UDPBlockedReject} {
		t.Run(kind.String(), func(t *testing.T) {
			l := ForTest(t)
			public := Must(l.Host("public", "203.0.113.1", "2001:db8:1::1"))
			host := Must(Must(l.Router("home", "198.51.100.1", kind, "2001:db8:2::/64")).Host("host"))
			for _, a := range public.Addrs() {
				at := listen(t, public, netip.AddrPortFrom(a, 443).String())
				from := first(host.Addrs(), func(h netip.Addr) bool { return h.Is4() == a.Is4() })
				if arrives(t, listen(t, host, netip.AddrPortFrom(from, 0).String()), at, local(at), false) {
					t.Errorf("UDP reached %s", a)
				}
				if told := refused(t, host, local(at)); told != (kind == UDPBlockedReject) {
					t.Errorf("%s: the refusal of UDP was told: %v", a, told)
				}
				for port, open := range map[uint16]bool{80: true, 443: true, 7654: false} {
					if got := connects(t, host, public, netip.AddrPortFrom(a, port), open); got != open {
						t.Errorf("TCP connects to %s, port %d: %v", a, port, got)
					}
				}
			}
		})
	}
}

// refused reports whether a connected UDP socket is told that what it sends is
// not let through.
func refused(t *testing.T, h *Host, to netip.AddrPort) bool {
	t.Helper()
	c := Must(h.Dial(t.Context(), "udp", to.String()))
	defer c.Close()
	for end := time.Now().Add(10 * never); time.Now().Before(end); time.Sleep(never / 10) {
		if _, err := c.Write([]byte("hello")); err != nil {
			return true
		}
	}
	return false
}

// connects reports whether TCP connects to a listener that it opens.
func connects(t *testing.T, from, at *Host, to netip.AddrPort, expected bool) bool {
	t.Helper()
	listener := Must(at.Listen("tcp", to.String()))
	defer listener.Close()
	wait := never
	if expected {
		wait = soon
	}
	d := net.Dialer{Timeout: wait}
	var c net.Conn
	err := from.Do(func() (err error) { c, err = d.Dial("tcp", to.String()); return err })
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// Endpoint-independent filtering admits a stranger who sends first after the
// mapping is made, and answers go back from the same port.
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
	for _, kind := range []Kind{PortRestricted, EndpointIndependent, SymmetricRandom, AddressRestricted, PortReplacing} {
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
