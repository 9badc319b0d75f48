package subnet

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// What --accept-routes says decides, and it names what it means.
func TestPolicy(t *testing.T) {
	ann, bob := [32]byte{0x9f, 0x3a, 0x71, 0xc2, 0xe0, 0xb4}, [32]byte{1}
	const all = "192.168.7.0/24 10.9.0.0/16 fd77::/48 8.8.8.0/24"
	for _, c := range []struct {
		policy, ann, bob string
	}{
		{"none", "", ""},
		{"all", "192.168.7.0/24 10.9.0.0/16 fd77::/48", "192.168.7.0/24 10.9.0.0/16 fd77::/48"},
		{"9f3a-71c2-e0b4", "192.168.7.0/24 10.9.0.0/16 fd77::/48", ""},
		{"10.0.0.0/8", "10.9.0.0/16", "10.9.0.0/16"},
		{"10.0.0.0/8, 9F3A-71c2-e0b4,8.8.0.0/16", "10.9.0.0/16 8.8.8.0/24", ""},
		{hex.EncodeToString(ann[:]) + ",fd00::/8", "fd77::/48", ""},
	} {
		p, err := ParsePolicy(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		if p.None() != (c.policy == "none") {
			t.Errorf("%s: none is %v", c.policy, p.None())
		}
		for _, who := range []struct {
			id   [32]byte
			want string
		}{{ann, c.ann}, {bob, c.bob}} {
			var got []string
			for n := range strings.FieldsSeq(all) {
				if p.Fault(who.id[:], prefix(n)) == "" {
					got = append(got, n)
				}
			}
			if strings.Join(got, " ") != who.want {
				t.Errorf("%s accepts %v, want %s", c.policy, got, who.want)
			}
		}
		if p.Fault(ann[:], prefix("0.0.0.0/0")) == "" {
			t.Errorf("%s accepts a default route", c.policy)
		}
		p.Exit = "9f3a71c2e0b4"
		if p.None() || p.Fault(ann[:], prefix("::/0")) != "" || p.Fault(bob[:], prefix("::/0")) == "" {
			t.Errorf("%s: the default route of the exit", c.policy)
		}
	}
}

// What nobody can mean is refused with a sentence.
func TestPolicyRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":               "neither a network nor an identity",
		"roof":           `"roof" is neither a network nor an identity such as 9f3a-71c2-e0b4`,
		"9f3a-71c2":      "neither a network",
		"10.0.0.0/33":    "is not a network such as",
		"10.0.0.1/24":    "10.0.0.1/24 is a host in a network: the network is 10.0.0.0/24",
		"0.0.0.0/0":      "a default route, which --exit",
		"all,10.0.0.0/8": `"all" is neither`,
		strings.Repeat("fd00::/8,", 256) + "fd00::/8": "257 identities and networks",
	} {
		if _, err := ParsePolicy(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want %q", text, err, want)
		}
	}
}

func TestFault(t *testing.T) {
	for n, good := range map[string]bool{
		"10.0.0.0/8": true, "192.168.7.9/32": true, "fd00::/16": true, "2001:db8::/32": true, "8.8.8.0/24": true,
		"0.0.0.0/0": false, "0.0.0.0/8": false, "128.0.0.0/2": false, "224.0.0.0/8": false, "255.255.255.255/32": false, "169.254.1.0/24": false,
		"::/0": false, "::1/128": false, "::ffff:10.0.0.0/104": false, "fe80::/64": false, "ff02::/16": false, "192.168.7.1/24": false,
	} {
		if got := Fault(prefix(n)) == ""; got != good {
			t.Errorf("%s: %v", n, got)
		}
	}
	if Fault(netip.Prefix{}) == "" {
		t.Error("no network is one")
	}
}

func TestHost(t *testing.T) {
	h := Host{
		Overlay: []netip.Prefix{prefix("10.64.0.7/24")}, Announced: []netip.Prefix{prefix("192.168.5.0/24")},
		Networks: []Network{{"eth0", prefix("192.168.1.0/24")}}, Underlay: []netip.Addr{netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("fe80::1%eth0")},
	}
	for n, want := range map[string]string{
		"192.168.7.0/24": "", "203.0.113.0/29": "", "10.64.0.0/16": "community's own", "10.64.0.128/25": "community's own", "192.168.5.128/25": "behind this edge",
		"192.168.0.0/22": "eth0 (192.168.1.0/24)", "203.0.113.8/31": "holds 203.0.113.9,", "fe80::/64": "holds fe80::1%eth0",
	} {
		if got := h.Fault(prefix(n)); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", n, got, want)
		}
	}
}

// The nearer edge is chosen first and stays until it is silent, or another one is much
// nearer; nothing depends on the order.
func TestChoose(t *testing.T) {
	router := func(id byte, sound bool, cost int) Router { return Router{ID: [32]byte{id}, Sound: sound, Cost: cost} }
	for _, c := range []struct {
		what       string
		routers    []Router
		last, want int
	}{
		{"one", []Router{router(1, false, 0)}, -1, 0},
		{"the nearer", []Router{router(1, true, 200), router(2, true, 100)}, -1, 1},
		{"the lower identity", []Router{router(2, true, 100), router(1, true, 100)}, -1, 1},
		{"one that is heard", []Router{router(1, false, 10), router(2, true, 100)}, -1, 1},
		{"it stays", []Router{router(1, true, 100), router(2, true, 70)}, 0, 0},
		{"a much nearer one", []Router{router(1, true, 100), router(2, true, 66)}, 0, 1},
		{"it is silent", []Router{router(1, false, 10), router(2, true, 100)}, 0, 1},
		{"all are silent", []Router{router(1, false, 100), router(2, false, 90)}, 0, 0},
		{"the other is nearer and silent", []Router{router(1, true, 100), router(2, false, 1)}, 0, 0},
	} {
		if got := Choose(c.routers, c.last); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

func FuzzPolicy(f *testing.F) {
	for _, s := range []string{"all", "none", "9f3a-71c2-e0b4,10.0.0.0/8", "fd00::/8", "0.0.0.0/0,"} {
		f.Add(s, "192.168.7.0/24")
	}
	f.Fuzz(func(t *testing.T, text, network string) {
		p, err := ParsePolicy(text)
		n, fault := netip.ParsePrefix(network)
		if err != nil || fault != nil {
			return
		}
		if p.Fault(make([]byte, 32), n) == "" && (Fault(n) != "" || p.None()) {
			t.Errorf("%q accepts %s", text, network)
		}
	})
}
