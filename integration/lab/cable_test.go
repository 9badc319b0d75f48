//go:build linux

package lab

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"testing"
)

// Two islands reach each other over their cable and over a VXLAN on it, with
// offloads; a third one, on a cable to one of them, is not reached through it.
func TestCable(t *testing.T) {
	l := ForTest(t)
	a, b, c := Must(l.Island("a")), Must(l.Island("b")), Must(l.Island("c"))
	if err := a.KeepOrder(0); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := l.Cable(a, b, "192.0.2.1/24", "192.0.2.2/24"); err != nil {
		t.Fatal(err)
	}
	if err := l.Cable(b, c, "198.51.100.1/24", "198.51.100.2/24"); err != nil {
		t.Fatal(err)
	}
	if err := l.VXLAN(a, b, "10.99.0.1/24", "10.99.0.2/24"); err != nil {
		t.Fatal(err)
	}
	if a.Addr() != netip.MustParseAddr("192.0.2.1") || len(b.Addrs()) != 2 {
		t.Errorf("a has %s, b has %s", a.Addrs(), b.Addrs())
	}
	for _, p := range []struct {
		from *Host
		to   string
		want bool
	}{
		{a, "192.0.2.2", true},
		{b, "192.0.2.1", true},
		{a, "10.99.0.2", true},
		{b, "10.99.0.1", true},
		{b, "198.51.100.2", true},
		{a, "198.51.100.2", false},
		{c, "192.0.2.1", false},
	} {
		if got := reaches(t, p.from, netip.MustParseAddr(p.to), p.want); got != p.want {
			t.Errorf("%s reaches %s: %v", p.from.Name(), p.to, got)
		}
	}
	if !slices.Contains(Must(a.Offloads("b")), "tx-udp-segmentation") {
		t.Error("the cable has no offloads")
	}
	if err := l.VXLAN(a, c, "10.98.0.1/24", "10.98.0.2/24"); err == nil {
		t.Error("a VXLAN without a cable")
	}
}

func TestCPUMask(t *testing.T) {
	for _, c := range []struct {
		cpus []int
		want string
	}{{[]int{0, 1}, "00000003"}, {[]int{33, 0, 63}, "80000002,00000001"}} {
		if got := cpuMask(c.cpus); got != c.want {
			t.Errorf("%v: %s, want %s", c.cpus, got, c.want)
		}
	}
}
