package admission

import (
	"strings"
	"testing"
)

// rule reads one rule.
func rule(t *testing.T, text string) Rule {
	t.Helper()
	r, err := ParseRule(strings.Fields(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Changes take each other's place, and what takes back a change leaves nothing behind.
func TestChanges(t *testing.T) {
	base, err := Parse([]byte("ban edge 9f3a-71c2-e0b4\nallow edge 1111-1111-1111"))
	if err != nil {
		t.Fatal(err)
	}
	var l List
	for _, step := range []struct{ change, want string }{
		{"allow community a", "allow community a"},
		{"deny community a", "deny community a"},
		{"ban edge 2222-2222-2222", "deny community a|ban edge 2222-2222-2222"},
		{"unban edge 2222-2222-2222", "deny community a"},
		{"unban edge 9f3a-71c2-e0b4", "deny community a|unban edge 9f3a-71c2-e0b4"},
		{"ban edge 9f3a-71c2-e0b4", "deny community a|ban edge 9f3a-71c2-e0b4"},
		{"deny edge 1111-1111-1111", "deny community a|ban edge 9f3a-71c2-e0b4|deny edge 1111-1111-1111"},
		{"deny edge 3333-3333-3333", "deny community a|ban edge 9f3a-71c2-e0b4|deny edge 1111-1111-1111"},
		{"allow community a", "ban edge 9f3a-71c2-e0b4|deny edge 1111-1111-1111|allow community a"},
	} {
		l = l.With(rule(t, step.change), base)
		if got := strings.ReplaceAll(strings.TrimSpace(string(l.Text())), "\n", "|"); got != step.want {
			t.Errorf("after %q: %q, want %q", step.change, got, step.want)
		}
	}
	again, err := Parse(l.Text())
	if err != nil || len(again.Rules) != len(l.Rules) {
		t.Errorf("%v, %v", again, err)
	}
}

func TestSalvage(t *testing.T) {
	l, lost := Salvage([]byte("mode closed\nallow community a\nallow comm\xff\xfe\nban edge 9f3a-71c2-e0b4\nban edge 9f3a-71c2-"))
	if l.Mode != Closed || len(l.Rules) != 2 || lost != 2 {
		t.Errorf("%+v, %d lines are lost", l, lost)
	}
	if l, lost := Salvage(make([]byte, 4096)); len(l.Rules) != 0 || lost == 0 {
		t.Errorf("%+v, %d lines are lost", l, lost)
	}
}

func TestParseKick(t *testing.T) {
	for text, want := range map[string]string{
		"kick edge 9F3A71C2E0B4": "9f3a-71c2-e0b4", "kick 9f3a-71c2-e0b4": "9f3a-71c2-e0b4", "kick " + whole64: whole64,
		"kick": "", "kick edge": "", "kick source 192.0.2.1": "", "kick x": "",
	} {
		if got, err := ParseKick(strings.Fields(text)); (err != nil) != (want == "") || want != "" && got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
