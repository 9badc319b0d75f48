//go:build linux

package lab

import (
	"net/netip"
	"testing"

	"golang.org/x/net/ipv4"
)

// subscribers is two homes behind one carrier, with a host in each.
func subscribers(t *testing.T, first, second Kind) (l *Lab, carrier, home *Router, a, b *Host) {
	l = ForTest(t)
	carrier = Must(l.Carrier("carrier", "203.0.113.50", PortReplacingHairpin))
	home = Must(carrier.Router("home1", first))
	return l, carrier, home, Must(home.Host("a")), Must(Must(carrier.Router("home2", second)).Host("b"))
}

// Two translations in a row: the stricter one shows. The hairpin is that of the
// carrier, and a home that lets everybody in lets in what comes back by it.
func TestCarrier(t *testing.T) {
	Require(t)
	for kind, want := range map[Kind]behavior{
		PortRestricted:      {onNothing, onAddressAndPort, replaced, ""},
		EndpointIndependent: {onNothing, onAddressAndPort, replaced, external},
		SymmetricRandom:     {onAddressAndPort, onAddressAndPort, atRandom, ""},
	} {
		t.Run(kind.String(), func(t *testing.T) {
			l, carrier, home, a, b := subscribers(t, kind, PortRestricted)
			r := newReflector(t, l)
			if home.WAN() != netip.MustParseAddr("100.64.0.10") || a.Addr() != b.Addr() {
				t.Errorf("the subscriber's router has %s; the hosts have %s and %s", home.WAN(), a.Addr(), b.Addr())
			}
			if got := classify(t, a, Must(home.Host("neighbour")), r); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if from := seen(t, listen(t, a, "192.168.1.10:0"), r[0][0]); from.Addr() != carrier.WAN() {
				t.Errorf("seen as %s", from)
			}
		})
	}
}

// Subscribers of one carrier reach each other by its hairpin when both send, as
// they would on the internet.
func TestCarrierHairpin(t *testing.T) {
	l, _, _, a, b := subscribers(t, PortRestricted, PortRestricted)
	r := newReflector(t, l)
	ours, theirs := listen(t, a, "192.168.1.10:5000"), listen(t, b, "192.168.1.10:5000")
	at, to := seen(t, ours, r[0][0]), seen(t, theirs, r[0][0])
	if at.Addr() != to.Addr() || at.Port() == to.Port() {
		t.Fatalf("seen as %s and %s", at, to)
	}
	if arrives(t, ours, theirs, to, false) {
		t.Error("a home let in who was not asked")
	}
	send(t, theirs, at, "hello")
	if message, from := receive(t, ours, soon); message != "hello" || from != to {
		t.Errorf("%q from %s, which is seen as %s", message, from, to)
	}
	send(t, ours, to, "hello")
	if message, from := receive(t, theirs, soon); message != "hello" || from != at {
		t.Errorf("%q from %s, which is seen as %s", message, from, at)
	}
}

// A carrier's router is one more hop.
func TestCarrierHops(t *testing.T) {
	l, _, _, a, _ := subscribers(t, PortRestricted, PortRestricted)
	r := newReflector(t, l)
	c := listen(t, a, "192.168.1.10:5000")
	for _, ttl := range []int{3, 4} {
		if err := ipv4.NewConn(c).SetTTL(ttl); err != nil {
			t.Fatal(err)
		}
		if got := arrives(t, c, r[0][0], local(r[0][0]), ttl > 3); got != (ttl > 3) {
			t.Errorf("TTL %d: arrived: %v", ttl, got)
		}
	}
}

func TestCarrierWrong(t *testing.T) {
	l := ForTest(t)
	carrier := Must(l.Carrier("carrier", "203.0.113.50", PortReplacingHairpin))
	for _, wrong := range [][]string{{"198.51.100.1"}, {"2001:db8:2::/64"}} {
		if _, err := carrier.Router("home", PortRestricted, wrong...); err == nil {
			t.Errorf("behind a carrier %q was accepted", wrong)
		}
	}
	home := Must(carrier.Router("home", PortRestricted, "10.7.0.0/16"))
	if a := Must(home.Host("a")); a.Addr() != netip.MustParseAddr("10.7.0.10") {
		t.Errorf("the host has %s", a.Addrs())
	}
	for _, wrong := range []string{"198.51.100.1", "100.64.0.10", "2001:db8::1"} {
		if err := home.Renumber(netip.MustParseAddr(wrong)); err == nil {
			t.Errorf("behind a carrier the address %s was accepted", wrong)
		}
	}
}
