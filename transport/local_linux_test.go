package transport

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// manners are the ways in which a socket moves datagrams.
var manners = map[string]Options{
	"trains": {}, "without trains": {NoGSO: true, NoGRO: true}, "one by one": {NoBatch: true},
}

// An answer leaves from the address that was asked, a train as well as a datagram.
func TestAnswerFromAskedAddress(t *testing.T) {
	enterNamespace(t)
	addLoopback(t, "192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128", "2001:db8::2/128")
	for name, opts := range manners {
		for _, asked := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "127.0.0.9"} {
			t.Log(name, asked)
			ask(t, listen(t, opts), listen(t, opts), asked)
		}
	}
}

// ask sends a train to an address and has it sent back.
func ask(t *testing.T, client, server *UDP, asked string) {
	t.Helper()
	train := datagram(at(t, server, asked), "aaabbbcc")
	train.Seg = 3
	if n, err := client.WriteBatch([]Datagram{train}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	for got := 0; got < train.N; {
		d := read(t, server)
		if got += d.N; d.Local != netip.MustParseAddr(asked) {
			t.Fatalf("sent to %v, want %s", d.Local, asked)
		}
		if n, err := server.WriteBatch([]Datagram{d}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	for got := 0; got < train.N; {
		d := read(t, client)
		if got += d.N; d.Addr != at(t, server, asked) {
			t.Fatalf("an answer from %v, want %s", d.Addr, asked)
		}
	}
}

// What is to leave from an address that has gone leaves from another, in its place in the
// batch, and what is refused for another reason is refused once.
func TestLocalAddressGone(t *testing.T) {
	enterNamespace(t)
	addLoopback(t, "192.0.2.1/32", "2001:db8::1/128")
	for name, opts := range manners {
		t.Log(name)
		leaveFromGone(t, opts)
	}
}

// leaveFromGone sends a batch of which some entries name addresses that are not there.
func leaveFromGone(t *testing.T, opts Options) {
	t.Helper()
	a, b := listen(t, opts), listen(t, opts)
	var batch []Datagram
	for _, one := range []struct{ to, local, text string }{
		{"192.0.2.1", "", "1"}, {"192.0.2.1", "192.0.2.99", "2"}, {"192.0.2.1", "192.0.2.99", "33344"},
		{"2001:db8::1", "2001:db8::99", "5"}, {"2001:db8::1", "192.0.2.1", "6"}, {"203.0.113.1", "192.0.2.99", "nowhere"},
		{"2001:db8::1", "fe80::1%none", "7"}, {"192.0.2.1", "192.0.2.255", "8"},
	} {
		d := datagram(at(t, b, one.to), one.text)
		if one.local != "" {
			d.Local = netip.MustParseAddr(one.local)
		}
		if len(one.text) == 5 {
			d.Seg = 3
		}
		batch = append(batch, d)
	}
	n, err := a.WriteBatch(batch)
	if refused, ok := err.(*WriteError); n != len(batch)-1 || !ok || refused.Index != 5 || len(refused.Others) > 0 {
		t.Fatalf("%d of %d sent, %v", n, len(batch), err)
	}
	var texts string
	for len(texts) < len("12333445678") {
		d := read(t, b)
		texts += string(d.Payload())
	}
	if texts != "12333445678" {
		t.Errorf("got %s", texts)
	}
	if dropped := a.Counters().GSORefused; dropped > 0 {
		t.Errorf("%d trains are said to have been refused", dropped)
	}
}

// A link-local address is one of its interface, and is answered from there.
func TestLocalZone(t *testing.T) {
	enterNamespace(t)
	left, right := addVeth(t)
	waitForCarrier(t, left, right)
	a, b := listen(t, Options{}), listen(t, Options{})
	near := netip.MustParseAddr("fe80::b%left")
	if n, err := a.WriteBatch([]Datagram{datagram(netip.AddrPortFrom(near, b.LocalAddr().Port()), "near")}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	d := read(t, b)
	if want := netip.MustParseAddr("fe80::b%right"); d.Local != want {
		t.Errorf("sent to %v, want %v", d.Local, want)
	}
	if n, err := b.WriteBatch([]Datagram{d}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if d := read(t, a); d.Addr.Addr() != near {
		t.Errorf("an answer from %v, want %v", d.Addr, near)
	}
}

// Reading and writing with addresses of this host allocates nothing.
func TestLocalCost(t *testing.T) {
	a, b := listen(t, Options{}), listen(t, Options{})
	out := []Datagram{datagram(at(t, b, "127.0.0.5"), "x")}
	out[0].Local = netip.MustParseAddr("127.0.0.7")
	in := []Datagram{{Buf: make([]byte, ReadBufferLen)}}
	if n := testing.AllocsPerRun(100, func() {
		if n, err := a.WriteBatch(out); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if n, err := b.ReadBatch(in); n != 1 || err != nil || in[0].Local != out[0].Addr.Addr() || in[0].Addr.Addr() != out[0].Local {
			t.Fatal(n, err, in[0].Local, in[0].Addr)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// addLoopback gives the loopback interface of the test's namespace addresses, of which
// the first of each family is the one that the kernel chooses.
func addLoopback(t *testing.T, prefixes ...string) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range prefixes {
		ip, network, err := net.ParseCIDR(text)
		if err != nil {
			t.Fatal(err)
		}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: network.Mask}, Flags: nodad}
		if err := netlink.AddrAdd(lo, address); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range prefixes {
		awaitLocal(t, netip.MustParsePrefix(text).Addr())
	}
}

// awaitLocal waits until what is sent to an address of this namespace arrives: the kernel
// drops it for some milliseconds after the interface or the address has come.
func awaitLocal(t *testing.T, a netip.Addr) {
	t.Helper()
	u := listen(t, Options{})
	to, in := netip.AddrPortFrom(a, u.LocalAddr().Port()), buffers(1)
	for range 5000 {
		if _, err := u.WriteBatch([]Datagram{datagram(to, "here?")}); err != nil {
			t.Fatal(err)
		}
		if n, err := u.ReadBatch(in); n > 0 || err != nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("nothing arrives at %v", a)
}
