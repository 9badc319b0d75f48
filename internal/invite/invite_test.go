package invite

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
)

// key returns a static key that an edge can pin.
func key(n byte) (k [32]byte) {
	for i := range k {
		k[i] = n
	}
	k[31] &= 0x7f
	return k
}

// keys returns the keys of a community of n epochs.
func keys(t testing.TB, name string, n int) *crypto.Community {
	t.Helper()
	c, err := crypto.GenerateCommunity(name, n, 720*time.Hour, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func text(t testing.TB, v *Invite) string {
	t.Helper()
	s, err := v.Text()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRoundTrip(t *testing.T) {
	one := []Supernode{{Host: "vps.example", Port: 7654, Key: key(9)}}
	for name, v := range map[string]*Invite{
		"smallest":    {Name: "mynetwork", Supernodes: one},
		"a token":     {Name: "mynetwork", Supernodes: []Supernode{{Host: "203.0.113.10", Port: 1, Key: key(9), Token: Token{1, 2}}}},
		"IPv6":        {Name: "mynetwork", Supernodes: []Supernode{{Host: "2001:db8::9", Port: 65535, Key: key(9), Token: Token{255}}}},
		"odd name":    {Name: "a b/c?d#e@f:g%&=ä", Supernodes: one},
		"with keys":   {Name: "mynetwork", Supernodes: one, Keys: keys(t, "mynetwork", 12)},
		"every key":   {Name: "mynetwork", Supernodes: one, Keys: keys(t, "mynetwork", 255)},
		"second has":  {Name: "n", Supernodes: []Supernode{{Host: "a", Port: 7, Key: key(9)}, {Host: "2001:db8::9", Port: 7, Key: key(8), Token: Token{7}}}},
		"obfs key":    {Name: "n", Supernodes: []Supernode{{Host: "a", Port: 7, Key: key(9), Obfs: ObfsKey("k y+/\xff")}, {Host: "b.c", Port: 7, Key: key(8), Token: Token{7}}}},
		"second obfs": {Name: "n", Supernodes: []Supernode{{Host: "a", Port: 7, Key: key(9)}, {Host: "b.c", Port: 7, Key: key(8), Obfs: ObfsKey("k")}}},
		"first has":   {Name: "n", Supernodes: []Supernode{{Host: "a", Port: 7, Key: key(9), Token: Token{7}}, {Host: "b.c", Port: 7, Key: key(8)}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := text(t, v)
			for _, read := range []string{s, "\n " + s[:20] + "\r\n  " + s[20:] + " \n", strings.Replace(s, "edge:", "EDGE:", 1)} {
				got, err := Parse(read)
				if err != nil {
					t.Fatal(err)
				}
				if got.Name != v.Name || !reflect.DeepEqual(got.Supernodes, v.Supernodes) || (got.Keys == nil) != (v.Keys == nil) {
					t.Errorf("%q is read as %+v", read, got)
				}
				if again := text(t, got); again != s {
					t.Errorf("%q is written again as %q", s, again)
				}
			}
		})
	}
}

// What lets its holder in stands behind the #, and in no message of package fmt.
func TestSecretsStandBehindTheMark(t *testing.T) {
	v := &Invite{Name: "mynetwork", Keys: keys(t, "mynetwork", 2), Supernodes: []Supernode{{Host: "a", Port: 7, Key: key(9), Token: Token{1, 2, 3}, Obfs: ObfsKey("hidden")}}}
	s := text(t, v)
	front, fragment, _ := strings.Cut(s, "#")
	if want := "edge://mynetwork@a:7/?pin=" + encoding.EncodeToString(bytes.Repeat([]byte{9}, 32)); front != want {
		t.Errorf("%q, want %q", front, want)
	}
	token := EncodeToken(v.Supernodes[0].Token)
	if !strings.Contains(fragment, "token="+token) || !strings.Contains(fragment, "keys=") {
		t.Errorf("behind the mark %q", fragment)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, shown := range []string{fmt.Sprintf(verb, v), fmt.Sprintf(verb, v.Supernodes)} {
			if strings.Contains(shown, token) || strings.Contains(shown, "hidden") || strings.Contains(shown, "104 105") || strings.Contains(shown, "1, 2, 3") || strings.Contains(shown, "[1 2 3") || strings.Contains(shown, "0x1, 0x2") {
				t.Errorf("%s shows %s", verb, shown)
			}
		}
	}
}

// packed compresses a text as the keys of an invite are.
func packed(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return encoding.EncodeToString(b.Bytes())
}

func TestBadInvites(t *testing.T) {
	pin := encoding.EncodeToString(bytes.Repeat([]byte{9}, 32))
	good := "edge://n@vps.example:7654/?pin=" + pin
	other := keys(t, "other", 1)
	file, err := other.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	also := func(host string) string { return "&also=" + host + pinMark + pin }
	for name, test := range map[string]struct{ text, want string }{
		"nothing":               {"", "this is no invite"},
		"a path":                {"/etc/edge/invite", "this is no invite"},
		"another scheme":        {"https://n@vps.example/?pin=" + pin, "this is no invite"},
		"endless":               {good + strings.Repeat("a", MaxText), "longer than"},
		"no name":               {"edge://vps.example:7654/?pin=" + pin, "damaged"},
		"empty name":            {"edge://@vps.example:7654/?pin=" + pin, "no name"},
		"password":              {"edge://n:p@vps.example:7654/?pin=" + pin, "damaged"},
		"long name":             {"edge://" + strings.Repeat("n", 65) + "@vps.example/?pin=" + pin, "65 bytes long"},
		"control in the name":   {"edge://n%1b@vps.example/?pin=" + pin, "unprintable"},
		"not UTF-8":             {"edge://n%ff@vps.example/?pin=" + pin, "not UTF-8"},
		"no host":               {"edge://n@:7654/?pin=" + pin, "neither an IP address nor a DNS name"},
		"control in the host":   {"edge://n@vps%1b.example/?pin=" + pin, "damaged"},
		"option as a host":      {"edge://n@-l/?pin=" + pin, "neither an IP address nor a DNS name"},
		"semicolon":             {good + also("a;b"), "damaged"},
		"zone":                  {"edge://n@[fe80::1%25eth0]:7654/?pin=" + pin, "neither an IP address nor a DNS name"},
		"port 0":                {"edge://n@vps.example:0/?pin=" + pin, "1 to 65535"},
		"large port":            {"edge://n@vps.example:65536/?pin=" + pin, "1 to 65535"},
		"path":                  {"edge://n@vps.example/x?pin=" + pin, "damaged"},
		"no pin":                {"edge://n@vps.example/", "damaged"},
		"two pins":              {good + "&pin=" + pin, "damaged"},
		"short pin":             {good[:len(good)-1], "key of a supernode"},
		"pin of small order":    {"edge://n@vps.example/?pin=" + encoding.EncodeToString(make([]byte, 32)), "key of a supernode"},
		"also without pin":      {good + "&also=a", "key of a supernode"},
		"also itself":           {good + also("vps.example"), "twice"},
		"too many":              {good + also("a") + also("b") + also("c") + also("d") + also("e") + also("f") + also("g") + also("h"), "more than 8"},
		"unknown part":          {good + "&dns=1", "not known here"},
		"unknown secret":        {good + "#run=1", "not known here"},
		"token before the #":    {good + "&token=" + EncodeToken(Token{1}), "not known here"},
		"short token":           {good + "#token=AAAA", "token in the invite is damaged"},
		"token of nobody":       {good + "#token=&token=" + EncodeToken(Token{1}), "damaged"},
		"obfs key that is none": {good + "#obfs=A", "obfuscation key in the invite"},
		"obfs key of nobody":    {good + "#obfs=&obfs=AAAA", "damaged"},
		"long obfs key":         {good + "#obfs=" + strings.Repeat("AAAA", 43), "obfuscation key in the invite"},
		"two keys":              {good + "#keys=AAAA&keys=AAAA", "damaged"},
		"keys that are none":    {good + "#keys=AAAA", "damaged"},
		"keys of another name":  {good + "#keys=" + packed(t, string(file)), "another name"},
		"keys that are a page":  {good + "#keys=" + packed(t, "<html>"), "no community file"},
		"keys that burst":       {good + "#keys=" + packed(t, strings.Repeat("#\n", crypto.MaxKeyFile)), "larger than"},
		"more behind the keys":  {good + "#keys=" + packed(t, string(file)) + "AAAA", "damaged"},
		"bad escape":            {good + "#keys=%zz", "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := Parse(test.text)
			if err == nil || v != nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// An invite that Parse would refuse is not written.
func TestTextRefuses(t *testing.T) {
	good := Supernode{Host: "a", Port: 7, Key: key(9)}
	for name, v := range map[string]*Invite{
		"no name":      {Supernodes: []Supernode{good}},
		"no supernode": {Name: "n"},
		"no port":      {Name: "n", Supernodes: []Supernode{{Host: "a", Key: key(9)}}},
		"no key":       {Name: "n", Supernodes: []Supernode{{Host: "a", Port: 7}}},
		"a URL":        {Name: "n", Supernodes: []Supernode{{Host: "http://a", Port: 7, Key: key(9)}}},
		"twice":        {Name: "n", Supernodes: []Supernode{good, good}},
		"other keys":   {Name: "n", Supernodes: []Supernode{good}, Keys: keys(t, "m", 1)},
	} {
		if s, err := v.Text(); err == nil {
			t.Errorf("%s: %q", name, s)
		}
	}
}

func TestParsePlace(t *testing.T) {
	for typed, want := range map[string]string{
		"vps.example": "vps.example 7654", "vps.example:1": "vps.example 1", "203.0.113.1": "203.0.113.1 7654",
		"2001:db8::1": "2001:db8::1 7654", "[2001:db8::1]": "2001:db8::1 7654", "[2001:db8::1]:9": "2001:db8::1 9",
	} {
		host, port, err := ParsePlace(typed)
		if got := fmt.Sprint(host, " ", port); err != nil || got != want {
			t.Errorf("%q: %q, %v", typed, got, err)
		}
	}
	for _, typed := range []string{"", ":7", "a:b", "a b", "a/b", "a:0", "é.example"} {
		if _, _, err := ParsePlace(typed); err == nil {
			t.Errorf("%q is taken", typed)
		}
	}
}

func TestQR(t *testing.T) {
	var b bytes.Buffer
	if err := WriteQR(&b, "edge://n@vps.example:7654/", 0); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	// Version 2 has 25 modules a side, and the margin 4 on each.
	if len(lines) != 17 {
		t.Fatalf("%d lines:\n%s", len(lines), b.String())
	}
	for i, line := range lines {
		inside := strings.TrimSuffix(strings.TrimPrefix(line, blackOnWhite), plain)
		if n := len([]rune(inside)); n != 33 || len(inside) == len(line) {
			t.Errorf("line %d has %d columns: %q", i, n, line)
		}
	}
	// The finder pattern of the upper left corner: a ring, and a square in it.
	for i, want := range []string{"█▀▀▀▀▀█", "█ ███ █", "█ ▀▀▀ █", "▀▀▀▀▀▀▀"} {
		got := string([]rune(strings.TrimPrefix(lines[2+i], blackOnWhite))[4:11])
		if got != want {
			t.Errorf("line %d begins with %q, want %q", 2+i, got, want)
		}
	}
	if err := WriteQR(&b, "edge://n@vps.example:7654/", 32); !errors.Is(err, ErrNoRoom) {
		t.Errorf("in 32 columns: %v", err)
	}
	if err := WriteQR(&b, strings.Repeat("a", 3000), 0); !errors.Is(err, ErrNoRoom) {
		t.Errorf("3000 letters: %v", err)
	}
}

// FuzzParse has strangers write invites: none stops the program or takes it long, and what
// is read is written and read again as the same.
func FuzzParse(f *testing.F) {
	pin := encoding.EncodeToString(bytes.Repeat([]byte{9}, 32))
	f.Add("edge://n@vps.example:7654/?pin=" + pin + "#token=" + EncodeToken(Token{1}))
	f.Add("edge://n%20m@[2001:db8::1]/?pin=" + pin + "&also=b%3A7~" + pin + "#token=&token=" + EncodeToken(Token{1}))
	f.Add("edge://n@a/?pin=" + pin + "#obfs=AAAA")
	f.Add(text(f, &Invite{Name: "n", Supernodes: []Supernode{{Host: "a", Port: 7, Key: key(9)}}, Keys: keys(f, "n", 2)}))
	f.Fuzz(func(t *testing.T, in string) {
		v, err := Parse(in)
		if err != nil {
			return
		}
		s, err := v.Text()
		if err != nil {
			t.Fatalf("%q is read and not written: %v", in, err)
		}
		again, err := Parse(s)
		if err != nil {
			t.Fatalf("%q is written as %q and not read: %v", in, s, err)
		}
		if again.Name != v.Name || !reflect.DeepEqual(again.Supernodes, v.Supernodes) || (again.Keys == nil) != (v.Keys == nil) {
			t.Errorf("%q is read as %+v and then as %+v", in, v, again)
		}
	})
}
