package transport

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSockaddr encodes addresses for both kinds of sockets and decodes them
// again. A zone that is no interface is a number, or lost.
func TestSockaddr(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		to, back string
		only4    bool
		scope    uint32
	}{
		{to: "192.0.2.1:7654"},
		{to: "192.0.2.1:7654", only4: true},
		{to: "[::ffff:192.0.2.1]:7654", back: "192.0.2.1:7654"},
		{to: "[::ffff:192.0.2.1]:7654", back: "192.0.2.1:7654", only4: true},
		{to: "[2001:db8::1]:1"},
		{to: "[fe80::1%lo]:65535", scope: uint32(lo.Index)},
		{to: fmt.Sprintf("[fe80::1%%%d]:2", lo.Index), back: "[fe80::1%lo]:2", scope: uint32(lo.Index)},
		{to: "[fe80::1%999999]:2", scope: 999999},
		{to: "[fe80::1%nowhere]:2", back: "[fe80::1]:2"},
	} {
		var s sockaddr
		var z zones
		s.put(netip.MustParseAddrPort(c.to), c.only4, &z)
		want := c.to
		if c.back != "" {
			want = c.back
		}
		if got := s.addrPort(&z).String(); got != want || s.Scope_id != c.scope {
			t.Errorf("%s (only IPv4: %v) became %s, scope %d", c.to, c.only4, got, s.Scope_id)
		}
	}
	if got := (&sockaddr{Family: unix.AF_UNIX}).addrPort(new(zones)); got.IsValid() {
		t.Errorf("another family became %v", got)
	}
}

// TestZoneTables keeps answers for a minute, and no more than 64 of them.
func TestZoneTables(t *testing.T) {
	var z zones
	for i := range uint32(1000) {
		if got, want := z.name(1_000_000+i), fmt.Sprint(1_000_000+i); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		z.index(fmt.Sprint("nowhere", i))
		if n := len(z.names) + len(z.indices); n > maxZones+1 {
			t.Fatalf("%d answers are kept", n)
		}
	}
	z = zones{}
	z.name(1)
	z.names[1] = "renamed"
	if got := z.name(1); got != "renamed" {
		t.Errorf("asked the kernel again: %s", got)
	}
	z.since = z.since.Add(-zonesFor - time.Second)
	if got := z.name(1); got == "renamed" {
		t.Error("an answer of a minute ago holds")
	}
	z.indices["lo"] = 77
	if got := z.index("lo"); got != 77 {
		t.Errorf("asked the kernel again: %d", got)
	}
	z.since = z.since.Add(-zonesFor - time.Second)
	if got := z.index("lo"); got == 77 {
		t.Error("an answer of a minute ago holds")
	}
}
