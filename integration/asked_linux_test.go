package integration

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// Addresses of the host in these tests besides those that its kernel chooses.
const (
	second4 = "203.0.113.9"
	second6 = "2001:db8:1::9"
	uplink4 = "192.0.2.9"
)

// askedTown is a town whose supernode has further addresses. Edges can come by UDP only.
func askedTown(t *testing.T, more ...string) *town {
	t.Helper()
	w := newQuietTown(t, 90*time.Second)
	h := lab.Must(w.Host("super", superAddr, superAddr6))
	w.sh(h, "ip addr add "+second4+"/32 dev eth0; ip -6 addr add "+second6+"/128 nodad preferred_lft 0 dev eth0")
	w.sh(&lab.Host{Namespace: w.Internet().Namespace}, "ip route add "+second4+" via "+superAddr+"; ip -6 route add "+second6+" via fe80::2 dev super")
	w.secondUplink(h)
	w.super = lab.Must(w.Rig.Supernode(w.ctx, h, "super", append([]string{"--tls-listen", "off"}, more...)...))
	w.watch(w.super)
	w.await(w.super, "listening on")
	return w
}

// secondUplink gives a host a second provider, by which it has another address. What
// leaves from there has to leave by that one: its first provider drops it.
func (w *town) secondUplink(h *lab.Host) {
	w.t.Helper()
	isp := lab.Must(w.Host("isp", "203.0.113.200"))
	if err := w.Delegate(isp, "192.0.2.0/24"); err != nil {
		w.t.Fatal(err)
	}
	if err := w.Cable(isp, h, "10.9.9.1/30", "10.9.9.2/30"); err != nil {
		w.t.Fatal(err)
	}
	w.sh(isp, "sysctl -qw net.ipv4.ip_forward=1; ip route del local 192.0.2.0/24 dev lo; ip route add 192.0.2.0/24 via 10.9.9.2")
	w.sh(h, `ip addr add `+uplink4+`/32 dev isp
		ip route add default via 10.9.9.1 dev isp table 100
		ip rule add from `+uplink4+` lookup 100`)
	if err := w.Internet().Sysctl("net/ipv4/conf/"+h.Name()+"/rp_filter", "1"); err != nil {
		w.t.Fatal(err)
	}
}

// A supernode answers from the address that was asked: another IPv4 address, another IPv6
// address, one of another provider. Edges register there by UDP, are relayed in trains,
// and ask how their NATs map.
func TestSupernodeOfSeveralAddresses(t *testing.T) {
	t.Parallel()
	w := askedTown(t)
	at := []string{second4 + ":" + superPort, "[" + second6 + "]:" + superPort, uplink4 + ":" + superPort}
	left := w.join(w.home("left", 1, lab.SymmetricRandom), at[0])
	right := w.join(w.home("right", 2, lab.SymmetricRandom), at[2])
	six := w.join(lab.Must(w.Host("six", "203.0.113.31", "2001:db8:31::1")), at[1])
	for _, m := range []*member{left, right, six} {
		m.addr()
	}
	w.registered(3)
	left.meet(right.addr(), answerWithin)
	six.meet(right.addr(), answerWithin)
	left.reach(right, control.PathRelay)
	t.Logf("relayed between two addresses of the supernode: %v", w.transfer(left, right, nil))
	for _, a := range at {
		if r, code := w.netcheck(t, six.Host, "-l", a); code != 0 {
			t.Errorf("netcheck of %s: exit code %d, %+v", a, code, r)
		}
	}
}

// The TURN server of a supernode is at the address that edges are told, and so are its
// relays.
func TestTURNOfSecondAddress(t *testing.T) {
	t.Parallel()
	w := askedTown(t, "--turn-listen", ":3478", "--turn-address", second4)
	left, right := turnPair(w)
	left.meet(right.addr(), 20*time.Second)
	left.reach(right, control.PathDirect)
}

// An edge that has several addresses sends from the one at which a peer reaches it: the
// NAT in front of the peer lets in nothing from another one, and here nothing can pass
// between the peer and the address that the kernel chooses.
func TestEdgeOfSeveralAddresses(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	const first, second, third = "203.0.113.41", "203.0.113.42", uplink4
	wide := lab.Must(w.Host("wide", first, second))
	w.secondUplink(wide)
	homes := []*lab.Router{
		lab.Must(w.Router("home-left", "198.51.100.1", lab.PortRestricted)),
		lab.Must(w.Router("home-right", "198.51.100.2", lab.PortRestricted)),
	}
	cut := func(home *lab.Router, addresses ...string) {
		for _, a := range addresses {
			must(t, w.Internet().Cut(home.WAN(), netip.MustParseAddr(a)))
		}
	}
	cut(homes[0], first, third)
	cut(homes[1], first, second)
	there := w.join(wide, overIPv4)
	left := w.join(lab.Must(homes[0].Host("left")), overIPv4)
	right := w.join(lab.Must(homes[1].Host("right")), overIPv4)
	for _, m := range []*member{left, right} {
		m.meet(there.addr(), answerWithin)
		m.reach(there, control.PathDirect)
		there.reach(m, control.PathDirect)
		t.Logf("%s: %v", m.Name, w.transfer(there, m, nil))
		m.reach(there, control.PathDirect)
	}
}
