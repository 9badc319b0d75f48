package nattest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// Every mapping with every filtering: ports as two servers with two ports each
// see them, and who gets in.
func TestMappingAndFiltering(t *testing.T) {
	for m := range 3 {
		for f := range 3 {
			b := Behavior{Mapping: Mapping(m), Filtering: Filtering(f)}
			t.Run(fmt.Sprintf("mapping %d filtering %d", m, f), func(t *testing.T) {
				run(t, func(t *testing.T, n *Internet) { checkBehavior(t, n, b) })
			})
		}
	}
}

func checkBehavior(t *testing.T, n *Internet, b Behavior) {
	one, two := n.Host(addr("198.51.100.1")), n.Host(addr("198.51.100.2"))
	s11, s12, s21 := listen(t, one, 1000), listen(t, one, 2000), listen(t, two, 1000)
	inside := listen(t, n.Router(addr("203.0.113.1"), b).Host(addr("192.168.1.2")), 5000)

	p11 := seen(t, inside, s11)
	getsIn := func(from *Conn, want bool) {
		t.Helper()
		send(t, from, p11, "knock")
		settle()
		if text, _ := got(t, inside); (text == "knock") != want {
			t.Errorf("from %v: in %v, want %v", from.LocalAddr(), !want, want)
		}
	}
	getsIn(s11, true)
	getsIn(s12, b.Filtering <= AddressDependentFiltering)
	getsIn(s21, b.Filtering == EndpointIndependentFiltering)

	p12, p21 := seen(t, inside, s12), seen(t, inside, s21)
	if same := p12 == p11; same != (b.Mapping <= AddressDependentMapping) {
		t.Errorf("two ports of one server: %v %v", p11, p12)
	}
	if same := p21 == p11; same != (b.Mapping == EndpointIndependentMapping) {
		t.Errorf("two servers: %v %v", p11, p21)
	}
	if again := seen(t, inside, s11); again != p11 || p11.Addr() != addr("203.0.113.1") {
		t.Errorf("%v, then %v", p11, again)
	}
}

func TestPorts(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		server := listen(t, n.Host(addr("198.51.100.1")), 1000)
		keep := n.Router(addr("203.0.113.1"), Behavior{PortPreserving: true})
		a := listen(t, keep.Host(addr("192.168.1.2")), 5000)
		b := listen(t, keep.Host(addr("192.168.1.3")), 5000)
		if p := seen(t, a, server).Port(); p != 5000 {
			t.Errorf("preserved as %d", p)
		}
		if p := seen(t, b, server).Port(); p == 5000 || p < 1024 {
			t.Errorf("the second with the same port got %d", p)
		}
		sequence := n.Router(addr("203.0.113.2"), Behavior{Mapping: AddressAndPortDependentMapping}).Host(addr("192.168.1.2"))
		for want := uint16(40000); want < 40005; want++ {
			if p := seen(t, listen(t, sequence, 0), server).Port(); p != want {
				t.Errorf("in sequence: %d, want %d", p, want)
			}
		}
		random := n.Router(addr("203.0.113.3"), Behavior{RandomPorts: true}).Host(addr("192.168.1.2"))
		ports := make(map[uint16]bool)
		for range 50 {
			ports[seen(t, listen(t, random, 0), server).Port()] = true
		}
		if len(ports) != 50 || ports[40000] && ports[40001] {
			t.Errorf("random: %v", ports)
		}
	})
}

func TestTimeoutAndReboot(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		server := listen(t, n.Host(addr("198.51.100.1")), 1000)
		b := Symmetric
		b.Timeout = 30 * time.Second
		router := n.Router(addr("203.0.113.1"), b)
		inside := listen(t, router.Host(addr("192.168.1.2")), 5000)
		outside := seen(t, inside, server)
		reaches := func(want bool) {
			t.Helper()
			send(t, server, outside, "back")
			settle()
			if text, _ := got(t, inside); (text == "back") != want {
				t.Errorf("reaches %v, want %v", !want, want)
			}
		}
		time.Sleep(28 * time.Second)
		reaches(true) // which also prolongs it
		time.Sleep(28 * time.Second)
		reaches(true)
		time.Sleep(30 * time.Second)
		reaches(false)
		moved := seen(t, inside, server)
		if moved == outside {
			t.Error("a symmetric mapping kept its port over its end")
		}
		outside = moved
		router.Reboot()
		reaches(false)
		if again := seen(t, inside, server); again == outside {
			t.Error("a symmetric mapping kept its port over a reboot")
		}
		router.SetAddr(addr("203.0.113.9"))
		if now := seen(t, inside, server); now.Addr() != addr("203.0.113.9") {
			t.Errorf("after renumbering: %v", now)
		}
	})
}

func TestHairpinAndLAN(t *testing.T) {
	for _, hairpin := range []bool{false, true} {
		run(t, func(t *testing.T, n *Internet) {
			server := listen(t, n.Host(addr("198.51.100.1")), 1000)
			b := PortRestricted
			b.Hairpin = hairpin
			router := n.Router(addr("203.0.113.1"), b)
			x := listen(t, router.Host(addr("192.168.1.2")), 5000)
			y := listen(t, router.Host(addr("192.168.1.3")), 6000)
			outX, outY := seen(t, x, server), seen(t, y, server)
			taps := 0
			n.Tap(func(from, to netip.AddrPort, p []byte) { taps++ })
			send(t, x, outY, "opens")
			settle()
			got(t, y)
			send(t, y, outX, "hairpin")
			settle()
			if text, from := got(t, x); (text != "") != hairpin || hairpin && from != outY {
				t.Errorf("hairpin %v: %q from %v", hairpin, text, from)
			}
			start := time.Now()
			send(t, x, y.LocalAddr(), "lan")
			settle()
			if text, from := got(t, y); text != "lan" || from != x.LocalAddr() {
				t.Errorf("%q from %v after %v", text, from, time.Since(start))
			}
			if taps != 0 {
				t.Errorf("%d datagrams left for the internet", taps)
			}
		})
	}
}

func TestNestedRouters(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		server := listen(t, n.Host(addr("198.51.100.1")), 1000)
		carrier := n.Router(addr("203.0.113.1"), Symmetric)
		home := carrier.Router(addr("100.64.0.2"), PortRestricted)
		inside := listen(t, home.Host(addr("192.168.1.2")), 5000)
		outside := seen(t, inside, server)
		if outside.Addr() != addr("203.0.113.1") {
			t.Errorf("seen as %v", outside)
		}
		send(t, server, outside, "back")
		settle()
		if text, from := got(t, inside); text != "back" || from != server.LocalAddr() {
			t.Errorf("%q from %v", text, from)
		}
	})
}

// A datagram that comes too early moves our port on a router with an open
// input; a primer that dies on the way there first opens our own mapping, so
// that none does.
func TestOpenInput(t *testing.T) {
	for _, primed := range []bool{false, true} {
		run(t, func(t *testing.T, n *Internet) {
			b := PortRestricted
			b.OpenInput = true
			router := n.Router(addr("203.0.113.1"), b)
			inside := listen(t, router.Host(addr("192.168.1.2")), 5000)
			peer := listen(t, n.Host(addr("198.51.100.1")), 1000)
			server := listen(t, n.Host(addr("198.51.100.2")), 1000)
			outside := seen(t, inside, server)
			if primed {
				sendTTL(t, inside, peer.LocalAddr(), "primer", 2)
			}
			send(t, peer, outside, "early")
			settle()
			if text, _ := got(t, inside); (text != "") != primed {
				t.Errorf("primed %v: %q got in", primed, text)
			}
			if at := seen(t, inside, peer); (at == outside) != primed {
				t.Errorf("primed %v: the port was %v and is %v", primed, outside, at)
			}
			if at := seen(t, inside, server); at != outside {
				t.Errorf("another flow moved to %v", at)
			}
		})
	}
}
