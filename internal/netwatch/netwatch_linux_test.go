package netwatch

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
	"hedgerow/nat/nat64"
)

// patience bounds what takes the kernel microseconds and the watcher 250 ms.
const patience = 10 * time.Second

// watch watches the network of a machine of the lab until the test ends.
func watch(t *testing.T, n *lab.Namespace, cfg Config) <-chan Change {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	changes, done := make(chan Change, 16), make(chan error, 1)
	started := make(chan struct{})
	go func() {
		done <- n.Do(func() error {
			// The first look is over when Exclude has been asked.
			exclude, once := cfg.Exclude, false
			cfg.Exclude = func(ifname string) bool {
				if !once {
					once = true
					close(started)
				}
				return exclude != nil && exclude(ifname)
			}
			return Watch(ctx, cfg, func(c Change) { changes <- c })
		})
	}()
	select {
	case <-started:
	case err := <-done:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return changes
}

func next(t *testing.T, changes <-chan Change) Change {
	t.Helper()
	select {
	case c := <-changes:
		return c
	case <-time.After(patience):
		t.Fatal("no change is reported")
		panic("unreachable")
	}
}

// silent fails the test when something is reported within the longest delay.
func silent(t *testing.T, changes <-chan Change) {
	t.Helper()
	select {
	case c := <-changes:
		t.Errorf("reported: %+v", c)
	case <-time.After(latest + quiet):
	}
}

// inside calls f with the thread in the machine.
func inside(t *testing.T, n *lab.Namespace, f func() error) {
	t.Helper()
	if err := n.Do(f); err != nil {
		t.Fatal(err)
	}
}

// link returns a link of the present namespace; for use in inside.
func link(name string) netlink.Link { return lab.Must(netlink.LinkByName(name)) }

func address(s string) *netlink.Addr { return lab.Must(netlink.ParseAddr(s)) }

func TestAddresses(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	home := lab.Must(l.Router("home", "198.51.100.7", lab.PortRestricted, "2001:db8:7::/64"))
	h := lab.Must(home.Host("alice"))
	changes := watch(t, h.Namespace, Config{})

	for _, a := range []string{"192.168.1.77/24", "2001:db8:7::77/64"} {
		ip := netip.MustParsePrefix(a).Addr()
		inside(t, h.Namespace, func() error { return netlink.AddrAdd(link(lab.HostLink), address(a)) })
		if c := next(t, changes); !slices.Equal(c.come(), []netip.Addr{ip}) || len(c.gone()) != 0 || c.rerouted() {
			t.Errorf("%s added: %+v", a, c)
		}
		inside(t, h.Namespace, func() error { return netlink.AddrDel(link(lab.HostLink), address(a)) })
		if c := next(t, changes); !slices.Equal(c.gone(), []netip.Addr{ip}) || len(c.come()) != 0 || c.rerouted() {
			t.Errorf("%s removed: %+v", a, c)
		}
	}

	// Ten times there and away, and away at last.
	inside(t, h.Namespace, func() error {
		for range 10 {
			if err := netlink.AddrAdd(link(lab.HostLink), address("192.168.1.78/24")); err != nil {
				return err
			}
			if err := netlink.AddrDel(link(lab.HostLink), address("192.168.1.78/24")); err != nil {
				return err
			}
		}
		return nil
	})
	silent(t, changes)
}

func TestDefaultRoute(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	home := lab.Must(l.Router("home", "198.51.100.7", lab.PortRestricted, "2001:db8:7::/64"))
	h := lab.Must(home.Host("alice"))
	changes := watch(t, h.Namespace, Config{})
	var before State
	inside(t, h.Namespace, func() (err error) { before, err = Read(Config{}); return err })
	want := []netip.Addr{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("fe80::1%eth0")}
	if len(before.Routes) != 2 || before.Routes[0].Gateway != want[0] || before.Routes[1].Gateway != want[1] {
		t.Fatalf("the state is %+v", before)
	}

	// Another router at the same link.
	inside(t, h.Namespace, func() error {
		return netlink.RouteReplace(&netlink.Route{LinkIndex: link(lab.HostLink).Attrs().Index, Gw: netip.MustParseAddr("192.168.1.2").AsSlice()})
	})
	if c := next(t, changes); !c.rerouted() || len(c.come())+len(c.gone()) != 0 || c.After.Routes[0].Gateway.String() != "192.168.1.2" {
		t.Errorf("another router: %+v", c)
	}
	// A route to some network is none of ours, nor is a default route that is
	// not preferred.
	inside(t, h.Namespace, func() error {
		index := link(lab.HostLink).Attrs().Index
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: index, Dst: address("203.0.113.0/24").IPNet, Gw: netip.MustParseAddr("192.168.1.1").AsSlice()}); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: index, Priority: 900, Gw: netip.MustParseAddr("192.168.1.3").AsSlice()})
	})
	silent(t, changes)

	// The whole link goes and comes, as a laptop roams. The lab takes many steps
	// to plug a host, which on a busy machine are more than one change.
	if err := h.Unplug(); err != nil {
		t.Fatal(err)
	}
	if c := next(t, changes); len(c.After.Routes)+len(c.After.Addresses) != 0 || !c.rerouted() {
		t.Errorf("unplugged: %+v", c)
	}
	if err := home.Plug(h); err != nil {
		t.Fatal(err)
	}
	for c := next(t, changes); len(c.After.Routes) != 2 || len(c.After.Addresses) != 2; {
		c = next(t, changes)
	}
}

// A link without a carrier is one that nothing can be sent by, though its
// address stays.
func TestCarrier(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	a, b := lab.Must(l.Island("a")), lab.Must(l.Island("b"))
	if err := l.Cable(a, b, "192.0.2.1/24", "192.0.2.2/24"); err != nil {
		t.Fatal(err)
	}
	changes := watch(t, a.Namespace, Config{})
	inside(t, b.Namespace, func() error { return netlink.LinkSetDown(link("a")) })
	if c := next(t, changes); len(c.gone()) != 1 {
		t.Errorf("pulled: %+v", c)
	}
	inside(t, b.Namespace, func() error { return netlink.LinkSetUp(link("a")) })
	if c := next(t, changes); len(c.come()) != 1 {
		t.Errorf("back: %+v", c)
	}
}

// A device that is excluded comes, gets addresses and a default route, and
// goes, and nothing is said.
func TestExclude(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	h := lab.Must(l.Island("alice"))
	changes := watch(t, h.Namespace, Config{Exclude: func(ifname string) bool { return ifname == "edge0" }})
	inside(t, h.Namespace, func() error {
		// Of a veth pair, since that has a carrier without anybody at it.
		tap := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "edge0"}, PeerName: "behind"}
		if err := netlink.LinkAdd(tap); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link("behind")); err != nil {
			return err
		}
		if err := netlink.AddrAdd(tap, address("10.64.0.7/24")); err != nil {
			return err
		}
		if err := netlink.LinkSetUp(tap); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: tap.Index, Gw: netip.MustParseAddr("10.64.0.1").AsSlice()})
	})
	silent(t, changes)
	inside(t, h.Namespace, func() error { return netlink.LinkDel(link("edge0")) })
	silent(t, changes)
}

// Ten thousand events while nobody reads: the kernel drops what its socket has
// no room for, and one token says that something happened.
func TestBurst(t *testing.T) {
	l := lab.ForTest(t)
	h := lab.Must(l.Island("alice"))
	var listener *listener
	inside(t, h.Namespace, func() (err error) {
		listener, err = newListener()
		return err
	})
	inside(t, h.Namespace, func() error {
		lo := link("lo")
		for range 5000 {
			if err := netlink.AddrAdd(lo, address("192.0.2.1/32")); err != nil {
				return err
			}
			if err := netlink.AddrDel(lo, address("192.0.2.1/32")); err != nil {
				return err
			}
		}
		return nil
	})
	var overrun error
	if err := listener.raw.Control(func(fd uintptr) {
		_, _, overrun = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
	}); err != nil || overrun != unix.ENOBUFS {
		t.Fatalf("no overrun to survive: %v, %v", err, overrun)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go listener.receive()
	for range 2 { // before and after the end of what waited
		select {
		case _, ok := <-listener.events:
			if !ok {
				t.Fatal("the listener ended")
			}
		case <-time.After(patience):
			t.Fatal("no token")
		}
		inside(t, h.Namespace, func() error { return netlink.LinkSetMTU(link("lo"), 65000) })
	}
	listener.close()
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 1<<20 {
		t.Errorf("%d bytes allocated", after.TotalAlloc-before.TotalAlloc)
	}
}

// message is a routing message about a destination with a prefix of that many
// bits.
func message(kind uint16, bits byte) []byte {
	b := make([]byte, headerLen+unix.SizeofRtMsg)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	b[headerLen+1] = bits
	return b
}

func TestMatters(t *testing.T) {
	other, ours := message(unix.RTM_NEWROUTE, 24), message(unix.RTM_DELROUTE, 0)
	for _, c := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"nothing", nil, false},
		{"a route to a network", other, false},
		{"two of them", append(other, other...), false},
		{"a default route", ours, true},
		{"a default route behind another", append(other, ours...), true},
		{"an address", message(unix.RTM_NEWADDR, 24), true},
		{"a link", message(unix.RTM_DELLINK, 24), true},
		{"a stump", ours[:headerLen], true},
		{"less than a header", ours[:3], true},
		{"a length of zero", append([]byte{0, 0, 0, 0}, other[4:]...), false},
	} {
		if got := matters(slices.Clone(c.b)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func FuzzMatters(f *testing.F) {
	f.Add(message(unix.RTM_NEWROUTE, 24))
	f.Add(append(message(unix.RTM_NEWROUTE, 24), message(unix.RTM_DELROUTE, 0)...))
	f.Fuzz(func(_ *testing.T, b []byte) { matters(b) })
}

// A prefix that a router advertises to the kernel is told.
func TestRouters(t *testing.T) {
	t.Parallel()
	l := lab.ForTest(t)
	h, router := lab.Must(l.Island("host")), lab.Must(l.Island("router"))
	if err := l.Cable(h, router, "2001:db8:1::2/64", "2001:db8:1::1/64"); err != nil {
		t.Fatal(err)
	}
	inside(t, h.Namespace, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/router/accept_ra", []byte("1"), 0)
	})
	ctx, cancel := context.WithCancel(context.Background())
	told, done := make(chan string, 16), make(chan error, 1)
	go func() {
		done <- h.Do(func() error {
			return Routers(ctx, func(p nat64.Prefix, lifetime time.Duration) { told <- fmt.Sprint(p, " ", lifetime) })
		})
	}()
	pref64 := []byte{64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 38, 2, 0x07, 0x08, 0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}
	for got, end := "", time.Now().Add(patience); got == ""; {
		inside(t, router.Namespace, func() error { return lab.Advertise("host", pref64) })
		select {
		case got = <-told:
			if got != "64:ff9b::/96 30m0s" {
				t.Errorf("told %q", got)
			}
		case err := <-done:
			t.Fatal(err)
		case <-time.After(200 * time.Millisecond): // its own addresses were tentative
			if time.Now().After(end) {
				t.Fatal("nothing is told")
			}
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
