package nat64

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func prefix(t *testing.T, s string) Prefix {
	t.Helper()
	p, ok := NewPrefix(netip.MustParsePrefix(s))
	if !ok {
		t.Fatalf("%s is no prefix of a NAT64", s)
	}
	return p
}

// The addresses of RFC 6052, section 2.4, tables 2 and 3.
func TestEmbed(t *testing.T) {
	four := netip.MustParseAddr("192.0.2.33")
	for p, want := range map[string]string{
		"2001:db8::/32":            "2001:db8:c000:221::",
		"2001:db8:100::/40":        "2001:db8:1c0:2:21::",
		"2001:db8:122::/48":        "2001:db8:122:c000:2:2100::",
		"2001:db8:122:300::/56":    "2001:db8:122:3c0:0:221::",
		"2001:db8:122:344::/64":    "2001:db8:122:344:c0:2:2100::",
		"2001:db8:122:344::/96":    "2001:db8:122:344::192.0.2.33",
		"64:ff9b::/96":             "64:ff9b::192.0.2.33",
		"64:ff9b:1:fffe::/96":      "64:ff9b:1:fffe::192.0.2.33", // RFC 8215
		"2001:db8:122:344:ab::/64": "2001:db8:122:344:c0:2:2100::",
	} {
		x := prefix(t, p)
		got := x.Embed(four)
		if got != netip.MustParseAddr(want) {
			t.Errorf("%s: %v, want %s", p, got, want)
		}
		if back, ok := x.Extract(got); !ok || back != four || !x.Contains(got) {
			t.Errorf("%s: %v is %v", p, got, back)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		x := WellKnown
		_, _ = x.Extract(x.Embed(four))
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestExtractOther(t *testing.T) {
	p := prefix(t, "2001:db8:122:344::/64")
	for _, a := range []string{"192.0.2.33", "2001:db8:122:345:c0:2:2100::", "2001:db8:122:344:1c0:2:2100::", "fe80::1%eth0"} {
		if four, ok := p.Extract(netip.MustParseAddr(a)); ok {
			t.Errorf("%s is %v", a, four)
		}
	}
	if four, ok := p.Extract(netip.MustParseAddr("2001:db8:122:344:c0:2:21ff:ffff")); !ok || four != netip.MustParseAddr("192.0.2.33") {
		t.Errorf("what is behind the address: %v", four)
	}
	if _, ok := (Prefix{}).Extract(netip.MustParseAddr("::1")); ok {
		t.Error("an address without a prefix")
	}
}

func TestNoPrefix(t *testing.T) {
	for _, s := range []string{
		"2001:db8::/33", "2001:db8::/97", "2001:db8::/128", "::/96", "::ffff:0:0/96", "ff02::/96", "fe80::/64", "192.0.2.0/32", "2001:db8:0:0:100::/96", "0:1::/32",
	} {
		if p, ok := NewPrefix(netip.MustParsePrefix(s)); ok {
			t.Errorf("%s is %v", s, p)
		}
	}
	if p, ok := NewPrefix(netip.Prefix{}); ok || p.IsValid() {
		t.Error("no prefix is one")
	}
}

// What a DNS64 makes up for ipv4only.arpa, in all lengths.
func TestFind(t *testing.T) {
	for _, s := range []string{"2001:db8::/32", "2001:db8:100::/40", "2001:db8:122::/48", "2001:db8:122:300::/56", "2001:db8:122:344::/64", "64:ff9b::/96"} {
		p := prefix(t, s)
		both := []netip.Addr{p.Embed(wellKnownAddrs[0]), p.Embed(wellKnownAddrs[1])}
		for _, list := range [][]netip.Addr{both, both[:1], both[1:], append([]netip.Addr{netip.MustParseAddr("2001:db8:ffff::1"), wellKnownAddrs[0]}, both...)} {
			if got := Find(list); !slices.Equal(got, []Prefix{p}) {
				t.Errorf("%s: %v of %v", s, got, list)
			}
		}
	}
	one, other := prefix(t, "64:ff9b::/96"), prefix(t, "2001:db8:122:344::/64")
	mixed := []netip.Addr{other.Embed(wellKnownAddrs[1]), one.Embed(wellKnownAddrs[0]), other.Embed(wellKnownAddrs[0])}
	if got := Find(mixed); !slices.Equal(got, []Prefix{other, one}) {
		t.Errorf("two prefixes: %v", got)
	}
	// 192.0.0.170 stands in this one for a /96 and for a /32: alone it says nothing.
	twice := netip.MustParseAddr("2001:db8:c000:aa::c000:aa")
	if got := Find([]netip.Addr{twice}); len(got) > 0 {
		t.Errorf("of two meanings: %v", got)
	}
	want := prefix(t, "2001:db8:c000:aa::/96")
	if got := Find([]netip.Addr{twice, want.Embed(wellKnownAddrs[1])}); !slices.Equal(got, []Prefix{want}) {
		t.Errorf("of two meanings, one of which is confirmed: %v", got)
	}
	if got := Find(nil); got != nil {
		t.Errorf("of nothing: %v", got)
	}
}

func option(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParseOption(t *testing.T) {
	p, lifetime, ok := ParseOption(option(t, "2602"+"0708"+"0064ff9b0000000000000000"))
	if !ok || p != WellKnown || lifetime != 1800*time.Second {
		t.Errorf("%v %v %v", p, lifetime, ok)
	}
	p, lifetime, ok = ParseOption(option(t, "2602"+"0001"+"20010db801220344ffffffff"))
	if !ok || p != prefix(t, "2001:db8:122:344::/64") || lifetime != 0 {
		t.Errorf("%v %v %v", p, lifetime, ok)
	}
	for _, s := range []string{
		"", "26", "2602" + "0708" + "0064ff9b00000000000000", // cut
		"2502" + "0708" + "0064ff9b0000000000000000", "2603" + "0708" + "0064ff9b0000000000000000", // another type, another length
		"2602" + "0706" + "0064ff9b0000000000000000", "2602" + "0708" + "ff02ff9b0000000000000000", // an unknown code, a group
	} {
		if p, _, ok := ParseOption(option(t, s)); ok {
			t.Errorf("%s is %v", s, p)
		}
	}
}

// Whatever a name server or a router says is read, and what an address has behind a prefix
// is found again.
func FuzzFind(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"))
	x := WellKnown.Embed(wellKnownAddrs[0]).As16()
	f.Add(x[:])
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseOption(b)
		var list []netip.Addr
		for len(b) >= 16 {
			list, b = append(list, netip.AddrFrom16([16]byte(b[:16]))), b[16:]
		}
		for _, p := range Find(list) {
			four := netip.MustParseAddr("198.51.100.7")
			if back, ok := p.Extract(p.Embed(four)); !ok || back != four {
				t.Errorf("%v: %v", p, back)
			}
		}
	})
}
