package bridge

import (
	"strings"
	"testing"
)

func TestParseWhom(t *testing.T) {
	for text, want := range map[string]string{
		"all": "all", "none": "none", "bridges": "bridges", "9f3a-71c2-e0b4": "9f3a71c2e0b4",
		"9F3A-71C2-E0B4, " + strings.Repeat("ab", 32): "9f3a71c2e0b4," + strings.Repeat("ab", 32),
	} {
		w, err := ParseWhom(text)
		if err != nil || w.String() != want {
			t.Errorf("%s: %v %v", text, w, err)
		}
	}
	for _, text := range []string{"", "some", "9f3a-71c2", "9f3a-71c2-e0b4,", "9f3a-71c2-e0bg", "all,none", strings.Repeat("9f3a-71c2-e0b4,", 256) + "9f3a-71c2-e0b4"} {
		if w, err := ParseWhom(text); err == nil {
			t.Errorf("%q is read as %v", text, w)
		}
	}
}

// TestRights asks every policy for a bridge and a plain edge, proved or not.
func TestRights(t *testing.T) {
	id := make([]byte, 32)
	copy(id, []byte{0x9f, 0x3a, 0x71, 0xc2, 0xe0, 0xb4})
	list, err := ParseWhom("9f3a-71c2-e0b4")
	if err != nil {
		t.Fatal(err)
	}
	all := SpeakForHosts | ServeDHCP | Advertise
	for _, c := range []struct {
		name          string
		policy        Policy
		bridge, dhcp  bool // of us
		asBridge      Rights
		asPlain       Rights
		unprovenPlain Rights
	}{
		{"a plain edge with a lease", Policy{}, false, false, SpeakForHosts, 0, 0},
		{"a plain edge that asks", Policy{}, false, true, SpeakForHosts | ServeDHCP, ServeDHCP, ServeDHCP},
		{"a bridge", Policy{}, true, false, all, 0, 0},
		{"a bridge that accepts no bridge", Policy{Bridges: Nobody}, true, false, 0, 0, 0},
		{"a listed server", Policy{DHCP: list}, false, false, SpeakForHosts | ServeDHCP, ServeDHCP, 0},
		{"a listed bridge", Policy{Bridges: list}, true, false, all, 0, 0},
		{"whoever routes", Policy{Routers: Everybody}, false, false, SpeakForHosts | Advertise, Advertise, Advertise},
	} {
		p := c.policy.Defaults(c.bridge, c.dhcp)
		if got := p.Rights(id, true); got != c.asBridge {
			t.Errorf("%s: a bridge may %b, want %b", c.name, got, c.asBridge)
		}
		if got := p.Rights(id, false); got != c.asPlain {
			t.Errorf("%s: a plain edge may %b, want %b", c.name, got, c.asPlain)
		}
		if got := p.Rights(nil, false); got != c.unprovenPlain {
			t.Errorf("%s: somebody may %b, want %b", c.name, got, c.unprovenPlain)
		}
		if got := p.Rights(make([]byte, 32), false); got != c.unprovenPlain {
			t.Errorf("%s: another one may %b, want %b", c.name, got, c.unprovenPlain)
		}
	}
	if (Whom{}).Includes(id, true) || (Policy{}).Rights(id, true) != 0 {
		t.Error("the zero policy lets something through")
	}
}

// Who is known by the beginning of an identity alone may do what that identity may, and
// nothing that bridges may since they are bridges.
func TestMay(t *testing.T) {
	for text, want := range map[string]bool{
		"all": true, "none": false, "bridges": false, "9f3a-71c2-e0b4": true, "9f3a-71c2-e0b5": false,
		"9f3a71c2e0b4" + strings.Repeat("5a", 26): true, "9f3a71c2e0b5" + strings.Repeat("5a", 26): false,
	} {
		w, err := ParseWhom(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.May([]byte{0x9f, 0x3a, 0x71, 0xc2, 0xe0, 0xb4}); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if (Whom{}).May([]byte{1, 2, 3, 4, 5, 6}) {
		t.Error("the zero choice lets something through")
	}
}
