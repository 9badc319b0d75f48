package transport

import (
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// addVeth makes the two ends of a cable in the test's namespace, up and with an
// IPv6 address of their link that is usable at once.
func addVeth(t *testing.T) (left, right netlink.Link) {
	t.Helper()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "left", MTU: 1500}, PeerName: "right"}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	var ends []netlink.Link
	for i, name := range []string{"left", "right"} {
		link, err := netlink.LinkByName(name)
		if err == nil {
			err = netlink.LinkSetUp(link)
		}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP([]string{"fe80::a", "fe80::b"}[i]), Mask: net.CIDRMask(64, 128)},
			Flags: nodad, Scope: int(netlink.SCOPE_LINK)}
		if err == nil {
			err = netlink.AddrAdd(link, address)
		}
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, link)
	}
	return ends[0], ends[1]
}

// nodad is IFA_F_NODAD: no second of duplicate detection.
const nodad = 2

// TestZones checks that link-local addresses carry the name of their link both
// ways, and also its number on sending.
func TestZones(t *testing.T) {
	enterNamespace(t)
	left, right := addVeth(t)
	waitForCarrier(t, left, right)
	a, b := listen(t, Options{}), listen(t, Options{})
	for _, zone := range []string{"left", strconv.Itoa(left.Attrs().Index), "left"} {
		to := netip.AddrPortFrom(netip.MustParseAddr("fe80::b").WithZone(zone), b.LocalAddr().Port())
		if n, err := a.WriteBatch([]Datagram{datagram(to, zone)}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		d := read(t, b)
		from := netip.AddrPortFrom(netip.MustParseAddr("fe80::a").WithZone("right"), a.LocalAddr().Port())
		if string(d.Payload()) != zone || d.Addr != from {
			t.Errorf("%q from %v, want %v", d.Payload(), d.Addr, from)
		}
	}
	var z zones
	if name, index := z.name(1<<20), z.index("no such"); name != "1048576" || index != 0 {
		t.Errorf("an interface that does not exist: %q and %d", name, index)
	}
}

// waitForCarrier waits until the kernel has noticed that the links have one.
func waitForCarrier(t *testing.T, links ...netlink.Link) {
	t.Helper()
	for _, link := range links {
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			l, err := netlink.LinkByIndex(link.Attrs().Index)
			if err != nil || time.Now().After(deadline) {
				t.Fatalf("%s does not come up: %v", link.Attrs().Name, err)
			}
			if l.Attrs().OperState == netlink.OperUp {
				break
			}
		}
	}
}

// TestNoRoom fills the socket's buffer: datagrams for a neighbour who does not
// answer stay in it while the kernel asks for his address.
func TestNoRoom(t *testing.T) {
	enterNamespace(t)
	left, right := addVeth(t)
	waitForCarrier(t, left, right)
	if err := netlink.AddrAdd(left, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1), Mask: net.CIDRMask(24, 32)}}); err != nil {
		t.Fatal(err)
	}
	u, err := ListenUDP(0, Options{SendBuffer: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	nobody := netip.MustParseAddrPort("192.0.2.9:9")
	var ds []Datagram
	for range 20 {
		ds = append(ds, Datagram{Buf: make([]byte, 1000), N: 1000, Addr: nobody})
	}
	ds = append(ds, Datagram{Buf: make([]byte, 4000), N: 4000, Seg: 1000, Addr: nobody})
	start := time.Now()
	n, err := u.WriteBatch(ds)
	took := time.Since(start)
	c := u.Counters()
	if err != nil || n == 0 || n > 10 || c.Waits != maxWaits || c.Dropped != uint64(24-n) || c.DatagramsOut != uint64(n) {
		t.Errorf("%d sent, %v, %+v", n, err, c)
	}
	if took < maxWaits*roomFor || took > time.Second {
		t.Errorf("took %v", took)
	}
}
