package admission

import (
	"strings"
	"testing"
)

// listOfN2N is n2n's own example, and what its page says.
const listOfN2N = `#
# List of allowed communities
#
mynetwork
netleo
   # a comment
ntop[0-1][0-9]
home 192.168.1.0/24
my\d?Community
`

func TestCommunityList(t *testing.T) {
	l, notes, err := ParseCommunityList([]byte(listOfN2N))
	if err != nil || l.Mode != Closed {
		t.Fatalf("%v, %v", l.Mode, err)
	}
	var names []string
	for _, r := range l.Rules {
		names = append(names, r.Subject)
	}
	want := "mynetwork netleo"
	for _, tens := range "01" {
		for _, ones := range "0123456789" {
			want += " ntop" + string(tens) + string(ones)
		}
	}
	want += " home"
	for _, digit := range "0123456789" {
		want += " my" + string(digit) + "Community"
	}
	want += " myCommunity"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("names %q", got)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "line 8") || !strings.Contains(notes[0], "--pool") {
		t.Errorf("notes %q", notes)
	}
	rs, err := NewRules(l)
	if err != nil {
		t.Fatal(err)
	}
	r := request()
	if v := New(rs, Proofs{}).Decide(noon, r); v.Reason != NotServed {
		t.Errorf("a community that is not listed: %+v", v)
	}
}

func TestPatterns(t *testing.T) {
	for pattern, want := range map[string]int{
		`a[bc]`: 2, `^a[bc]$`: 2, `a\d\d\d`: 1000, `a?b?`: 4, `a\.b`: 1, `[a-cb-d]x`: 4,
	} {
		l, notes, err := ParseCommunityList([]byte(pattern))
		if err != nil || len(l.Rules) != want || len(notes) != 0 {
			if pattern == `a?b?` && len(l.Rules) == 0 && len(notes) == 1 { // one of its names is empty
				continue
			}
			t.Errorf("%s: %d names, %q, %v", pattern, len(l.Rules), notes, err)
		}
	}
	for _, pattern := range []string{`a.*`, `.`, `a+`, `\S`, `[^a]`, `a\d\d\d\d`, `[a`, `(?i)x[1]`, strings.Repeat("x", 65) + "?"} {
		l, notes, err := ParseCommunityList([]byte("good\n" + pattern + "\n"))
		if err != nil || len(l.Rules) != 1 || len(notes) != 1 || !strings.Contains(notes[0], "line 2") || l.Mode != Closed {
			t.Errorf("%s: %d names, %q, %v", pattern, len(l.Rules), notes, err)
		}
	}
	if l, notes, err := ParseCommunityList([]byte("secret\n.*\n")); err != nil || l.Mode != Open || len(l.Rules) != 1 || notes != nil {
		t.Errorf("everybody: %+v, %q, %v", l, notes, err)
	}
	if _, _, err := ParseCommunityList([]byte("a\x00")); err == nil {
		t.Error("no text")
	}
	if _, _, err := ParseCommunityList([]byte(strings.Repeat("a\\d\\d\\d\n", 66))); err == nil {
		t.Error("more names than there may be rules")
	}
}

// FuzzCommunityList: whatever is in it, what is read of it is few rules that hold.
func FuzzCommunityList(f *testing.F) {
	f.Add([]byte(listOfN2N))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, _, err := ParseCommunityList(text)
		if err != nil {
			return
		}
		if _, err := NewRules(l); err != nil {
			t.Fatal(err)
		}
	})
}
