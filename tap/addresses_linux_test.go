package tap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// table is an interface's addresses in memory, with what a kernel refuses.
type table struct {
	prefixes []netip.Prefix
	calls    []string
	addErr   map[string]error // by the prefix
	delErr   error
	listErr  error
}

func prefixOf(a *netlink.Addr) netip.Prefix {
	addr, _ := netip.AddrFromSlice(a.IP)
	ones, _ := a.Mask.Size()
	return netip.PrefixFrom(addr.Unmap(), ones)
}

func (k *table) AddrAdd(_ netlink.Link, a *netlink.Addr) error {
	p := prefixOf(a)
	if err := k.addErr[p.String()]; err != nil {
		return err
	}
	if p.Addr().Is6() && a.Flags&unix.IFA_F_NODAD == 0 {
		return errors.New("an IPv6 address with duplicate address detection")
	}
	for _, q := range k.prefixes {
		if q == p || p.Addr().Is6() && q.Addr() == p.Addr() { // IPv6: once, whatever its length
			return unix.EEXIST
		}
	}
	k.calls = append(k.calls, "+"+p.String())
	k.prefixes = append(k.prefixes, p)
	return nil
}

func (k *table) AddrReplace(_ netlink.Link, a *netlink.Addr) error {
	k.calls = append(k.calls, fmt.Sprintf("=%s for %d s", prefixOf(a), a.ValidLft))
	return k.addErr[prefixOf(a).String()]
}

func (k *table) AddrDel(_ netlink.Link, a *netlink.Addr) error {
	if k.delErr != nil {
		return k.delErr
	}
	p := prefixOf(a)
	if !slices.Contains(k.prefixes, p) {
		return unix.EADDRNOTAVAIL
	}
	k.calls = append(k.calls, "-"+p.String())
	k.prefixes = slices.DeleteFunc(k.prefixes, func(q netip.Prefix) bool { return p == q })
	return nil
}

func (k *table) AddrList(_ netlink.Link, family int) (list []netlink.Addr, err error) {
	for _, p := range k.prefixes {
		if p.Addr().Is4() == (family == netlink.FAMILY_V4) {
			list = append(list, netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}})
		}
	}
	return list, k.listErr
}

// inTable returns a device whose interface has its addresses in a table.
func inTable(k *table, existing bool) *Device {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		panic(err)
	}
	n := &netif{handle: handle, name: "edge0", found: &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "edge0"}}, addresses: addresses{table: k}}
	return &Device{existing: existing, netif: n, closed: make(chan struct{})}
}

// TestSetAddressOrder replaces addresses one after the other: the old one of the
// family goes before the new one comes, and the other family stays.
func TestSetAddressOrder(t *testing.T) {
	k := &table{prefixes: []netip.Prefix{netip.MustParsePrefix("10.9.9.9/24")}}
	d := inTable(k, true)
	for _, step := range []struct{ set, calls string }{
		{"10.0.0.1/24", "+10.0.0.1/24"},
		{"10.0.0.1/24", ""},
		{"fd00::1/64", "+fd00::1/64"},
		{"::ffff:10.0.0.2/120", "-10.0.0.1/24 +10.0.0.2/24"},
		{"10.9.9.9/24", "-10.0.0.2/24"}, // there before us, so not ours
		{"10.0.0.3/24", "+10.0.0.3/24"},
		{"fd00::2/64", "-fd00::1/64 +fd00::2/64"},
	} {
		k.calls = nil
		if err := d.SetAddress(netip.MustParsePrefix(step.set)); err != nil || strings.Join(k.calls, " ") != step.calls {
			t.Errorf("%s: %q, %v", step.set, k.calls, err)
		}
	}
	k.calls = nil
	if err := d.RemoveAddress(netip.MustParsePrefix("10.0.0.3/24")); err != nil {
		t.Error(err)
	}
	if err := d.RemoveAddress(netip.MustParsePrefix("10.0.0.3/24")); err != nil || len(k.calls) != 1 {
		t.Errorf("removed twice: %v, %q", err, k.calls)
	}
	// Close removes what is ours from an interface that stays.
	k.calls = nil
	if err := d.Close(); err != nil || strings.Join(k.calls, " ") != "-fd00::2/64" {
		t.Errorf("closed: %q, %v", k.calls, err)
	}
	for _, err := range []error{d.SetAddress(netip.MustParsePrefix("10.0.0.1/24")), d.RemoveAddress(netip.MustParsePrefix("10.0.0.1/24"))} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestSetAddressFails has the kernel refuse: the old address comes back, and the
// sentence names the likely cause.
func TestSetAddressFails(t *testing.T) {
	six, four := netip.MustParsePrefix("fd00::1/64"), netip.MustParsePrefix("10.0.0.1/24")
	k := &table{addErr: map[string]error{"10.0.0.2/24": unix.ENOBUFS, six.String(): unix.EACCES}}
	d := inTable(k, false)
	if err := d.SetAddress(four); err != nil {
		t.Fatal(err)
	}
	if err := d.SetAddress(netip.MustParsePrefix("10.0.0.2/24")); !errors.Is(err, unix.ENOBUFS) || !slices.Contains(k.prefixes, four) {
		t.Errorf("refused: %v, and then %v", err, k.prefixes)
	}
	if err := d.SetAddress(six); !errors.Is(err, unix.EACCES) || !strings.Contains(err.Error(), "IPv6 is off there") {
		t.Errorf("IPv6 is off: %v", err)
	}
	k.addErr, k.prefixes = nil, append(k.prefixes, netip.MustParsePrefix("fd00::1/128"))
	if err := d.SetAddress(six); err == nil || !strings.Contains(err.Error(), "with another prefix length") {
		t.Errorf("another prefix length: %v", err)
	}
	k.delErr = unix.EPERM
	if err := d.SetAddress(netip.MustParsePrefix("10.0.0.3/24")); !errors.Is(err, unix.EPERM) {
		t.Errorf("the old one cannot be removed: %v", err)
	}
	k.listErr = unix.EPERM
	if err := d.SetAddress(four); !errors.Is(err, unix.EPERM) {
		t.Errorf("the addresses cannot be read, and so not be compared: %v", err)
	}
	for _, bad := range []netip.Prefix{{}, netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("224.0.0.1/24"), netip.MustParsePrefix("::ffff:10.0.0.1/64")} {
		if err := d.SetAddress(bad); err == nil {
			t.Errorf("%v was set", bad)
		}
		if err := d.RemoveAddress(bad); err == nil {
			t.Errorf("%v was removed", bad)
		}
	}
}
