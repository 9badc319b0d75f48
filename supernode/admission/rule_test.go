package admission

import (
	"fmt"
	"strings"
	"testing"
)

// TestRulesAsText reads rules as an operator writes them and writes them in one form,
// which reads as the same.
func TestRulesAsText(t *testing.T) {
	for text, want := range map[string]string{
		"allow community mynet":                                   "allow community mynet",
		"  allow\tcommunity  mynet   # friends":                   "allow community mynet",
		`allow community "my net" label "a \"b\""`:                `allow community "my net" label "a \"b\""`,
		`allow community "#1" label two words`:                    `allow community "#1" label "two words"`,
		"deny id 0123456789ABCDEF0123456789abcdef":                "deny id 0123456789abcdef0123456789abcdef",
		"ban 9F3A71C2E0B4":                                        "ban edge 9f3a-71c2-e0b4",
		"ban edge " + whole64:                                     "ban edge " + whole64,
		"ban 192.0.2.77/24 since 2026-05-12":                      "ban source 192.0.2.0/24 since 2026-05-12T00:00:00Z",
		"unban 2001:DB8::1":                                       "unban source 2001:db8::1/128",
		"ban source ::ffff:192.0.2.1":                             "ban source 192.0.2.1/32",
		"ban edge 9f3a-71c2-e0b4 since 2026-05-12T18:30:00+02:00": "ban edge 9f3a-71c2-e0b4 since 2026-05-12T16:30:00Z",
		"allow community na\u00efve label \U0001f994":             "allow community na\u00efve label \U0001f994",
	} {
		l, err := Parse([]byte(text))
		if err != nil || len(l.Rules) != 1 {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if got := l.Rules[0].String(); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
		if again, err := Parse([]byte(want)); err != nil || len(again.Rules) != 1 || again.Rules[0] != l.Rules[0] {
			t.Errorf("%q reads as %+v, %v", want, again, err)
		}
	}
}

func TestFaultyText(t *testing.T) {
	for text, want := range map[string]string{
		"mode open\n\nalow community x": `line 3: unknown word "alow": the nearest one is "allow"`,
		"allow comunity x":              `line 1: unknown word "comunity": the nearest one is "community"`,
		"allow source 192.0.2.0/24":     `the nearest one is`,
		"ban community x":               `unknown word "community"`,
		"kick edge 9f3a-71c2-e0b4":      `unknown word "kick"`,
		"mode closd":                    `the nearest one is "closed"`,
		"mode":                          "mode open",
		"mode open\nmode closed":        "line 2: the mode is open already",
		"allow community":               "say whom",
		"allow":                         "say whom",
		"ban":                           "say whom",
		"ban somebody":                  `unknown word "somebody"`,
		"allow community " + strings.Repeat("x", 65):         "65 bytes",
		`allow community ""`:                                 "0 bytes",
		"allow community a b":                                "double quotes",
		"allow community a label":                            "double quotes",
		"allow community a label " + strings.Repeat("x", 65): "64 is the most",
		"allow community a label \"\\u200b\"":                "nobody sees",
		"allow community a since":                            "double quotes",
		"allow community a since yesterday":                  "no time such as",
		"allow id 12":                                        "32 hexadecimal digits",
		"allow edge 12":                                      "12 hexadecimal digits",
		"ban source 192.0.2.300":                             "neither a network",
		"ban source fe80::1%eth0":                            "neither a network",
		`allow community "a`:                                 "not closed",
		"allow\x00community a":                               "zero",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := ParseRule(nil); err == nil {
		t.Error("no words are a rule")
	}
}

// What editors of all systems write is read.
func TestEditors(t *testing.T) {
	for _, text := range []string{"\xef\xbb\xbfmode closed\r\nallow community a\r\n", "mode closed\rallow community a", "\xff\xfea\x00l\x00l\x00o\x00w\x00 \x00i\x00d\x00 \x00"} {
		l, err := Parse([]byte(text))
		if strings.HasPrefix(text, "\xff") {
			if err == nil || !strings.Contains(err.Error(), "say whom") {
				t.Errorf("UTF-16: %v", err)
			}
		} else if err != nil || l.Mode != Closed || len(l.Rules) != 1 {
			t.Errorf("%q: %+v, %v", text, l, err)
		}
	}
}

func TestRulesAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range MostRules {
		fmt.Fprintf(&b, "ban edge %012x\n", i)
	}
	l, err := Parse([]byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse([]byte(b.String() + "ban edge ffff-ffff-ffff")); err == nil || !strings.Contains(err.Error(), "65536 rules") {
		t.Errorf("one more: %v", err)
	}
	more, _ := Parse([]byte("ban edge ffff-ffff-ffff"))
	if _, err := NewRules(l, more); err == nil {
		t.Error("one more in another list")
	}
}

// FuzzParse: what is read is written so that it reads as the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte("mode closed\nallow community \"a b\" since 2026-05-12 label x # y\nban 192.0.2.0/24"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := Parse(text)
		if err != nil {
			return
		}
		for _, r := range l.Rules {
			again, err := Parse([]byte(r.String()))
			if err != nil || len(again.Rules) != 1 || again.Rules[0] != r {
				t.Fatalf("%+v is written %q, which reads as %+v, %v", r, r, again, err)
			}
		}
	})
}
