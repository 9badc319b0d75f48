package admission

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// rules returns the rules of some texts.
func rules(t testing.TB, texts ...string) *Rules {
	t.Helper()
	var lists []List
	for _, text := range texts {
		l, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		lists = append(lists, l)
	}
	rs, err := NewRules(lists...)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// request is one of an edge of community "ours" with the id 11…11, from 192.0.2.7, whose
// identity begins with 9f3a-71c2-e0b4.
func request() *Request {
	c := crypto.Community{Name: "ours"}
	r := &Request{NameHash: c.NameHash(), Source: netip.MustParseAddr("192.0.2.7"), Identity: [32]byte{0x9f, 0x3a, 0x71, 0xc2, 0xe0, 0xb4, 31: 5}}
	for i := range r.CID {
		r.CID[i] = 0x11
	}
	return r
}

// tokens are those of a test: "good" admits.
type tokens struct{}

func (tokens) Redeem(_ time.Time, r *Request) Reason {
	switch string(r.Token) {
	case "good":
		return Admitted
	case "":
		return NotServed
	}
	return BadToken
}

func (tokens) Note() string { return "" }

const (
	theID   = "11111111111111111111111111111111"
	whole64 = "9f3a71c2e0b40000000000000000000000000000000000000000000000000005"
)

func TestDecide(t *testing.T) {
	for _, c := range []struct {
		rules string
		token string
		want  Reason
		since string
	}{
		{"", "", Admitted, ""},
		{"mode open", "", Admitted, ""},
		{"mode closed", "", NotServed, ""},
		{"mode closed\nallow community ours", "", Admitted, ""},
		{"mode closed\nallow community Ours", "", NotServed, ""},
		{"mode closed\nallow id " + theID, "", Admitted, ""},
		{"mode closed\nallow id 21111111111111111111111111111111", "", NotServed, ""},
		{"mode closed\nallow edge 9f3a-71c2-e0b4", "", Admitted, ""},
		{"mode closed\nallow edge " + whole64, "", Admitted, ""},
		{"mode closed\nallow edge 9f3a-71c2-e0b5", "", NotServed, ""},
		{"deny community ours", "", NotServed, ""},
		{"deny id " + theID, "", NotServed, ""},
		{"deny community ours\nallow id " + theID, "", Admitted, ""},
		{"allow community ours\ndeny id " + theID, "", NotServed, ""},
		{"deny community ours\nallow edge 9f3a-71c2-e0b4", "", NotServed, ""},
		{"deny community ours", "good", NotServed, ""},
		{"ban edge 9f3a-71c2-e0b4 since 2026-05-12", "", Removed, "2026-05-12"},
		{"ban edge " + whole64, "", Removed, ""},
		{"ban edge 9f3a-71c2-e0b5", "", Admitted, ""},
		{"ban edge 9f3a-71c2-e0b4\nallow edge " + whole64, "good", Removed, ""},
		{"ban edge 9f3a-71c2-e0b4\nunban edge " + whole64, "", Admitted, ""},
		{"ban edge 9f3a-71c2-e0b4\nunban edge 9f3a-71c2-e0b4", "", Admitted, ""},
		{"allow edge 9f3a-71c2-e0b4\nmode closed\ndeny edge 9f3a-71c2-e0b4", "", NotServed, ""},
		{"ban source 192.0.2.0/24 since 2026-05-12T18:30:00Z", "", Removed, "2026-05-12"},
		{"ban source 192.0.2.7", "", Removed, ""},
		{"ban source 192.0.2.8", "", Admitted, ""},
		{"ban source 192.0.2.0/24\nunban source 192.0.2.0/28", "", Admitted, ""},
		{"ban source 192.0.2.0/24\nunban source 192.0.2.16/28", "", Removed, ""},
		{"ban source 0.0.0.0/0\nallow edge 9f3a-71c2-e0b4", "", Admitted, ""},
		{"ban source ::/0", "", Admitted, ""},
		{"ban source 192.0.2.0/24", "good", Removed, ""},
		{"mode closed", "good", Admitted, ""},
		{"mode closed", "bad", BadToken, ""},
		{"mode closed\nallow community ours", "bad", Admitted, ""},
	} {
		r := request()
		r.Token = []byte(c.token)
		v := New(rules(t, c.rules), Proofs{Tokens: tokens{}}).Decide(noon, r)
		if since := v.Since.Format(dateForm); v.Reason != c.want || c.since != "" && since != c.since || c.since == "" && !v.Since.IsZero() {
			t.Errorf("%q with token %q: %+v, want %v since %q", c.rules, c.token, v, c.want, c.since)
		}
	}
	r := request()
	r.Token = []byte("good")
	if v := New(rules(t, "mode closed"), Proofs{}).Decide(noon, r); v.Reason != NotServed {
		t.Errorf("without tokens: %+v", v)
	}
}

// IPv6 sources, IPv4 in the form of IPv6, and none at all.
func TestSources(t *testing.T) {
	p := New(rules(t, "ban source 2001:db8::/32\nban source 2001:db8:1::/48\nunban source 2001:db8:1:2::/64\nban source 198.51.100.0/24"), Proofs{})
	for source, want := range map[string]Reason{
		"2001:db8::1": Removed, "2001:db8:1::1": Removed, "2001:db8:1:2::1": Admitted, "2001:db9::1": Admitted,
		"198.51.100.9": Removed, "::ffff:198.51.100.9": Removed, "198.51.101.9": Admitted,
	} {
		r := request()
		r.Source = netip.MustParseAddr(source)
		if v := p.Decide(noon, r); v.Reason != want {
			t.Errorf("%s: %v", source, v)
		}
	}
	if v := p.Decide(noon, &Request{}); v.Reason != Admitted {
		t.Errorf("without a source: %v", v)
	}
}

func TestKick(t *testing.T) {
	p := New(rules(t, ""), Proofs{})
	for _, id := range []string{"9f3a-71c2-e0b4", whole64} {
		if err := p.Kick(noon, id); err != nil {
			t.Fatal(err)
		}
		if v := p.Decide(noon.Add(KickTime-1), request()); v.Reason != Removed || !v.Since.Equal(noon) || !v.Until.Equal(noon.Add(KickTime)) {
			t.Errorf("%s: %+v", id, v)
		}
		if v := p.Decide(noon.Add(KickTime), request()); v.Reason != Admitted {
			t.Errorf("%s, a minute later: %+v", id, v)
		}
	}
	for _, kicked := range []string{"9f3a-71c2-e0b4", whole64} {
		for _, pardoned := range []string{"9f3a-71c2-e0b4", whole64} {
			if err := p.Kick(noon, kicked); err != nil {
				t.Fatal(err)
			}
			p.Pardon("9f3a-71c2-e0b5")
			if v := p.Decide(noon, request()); v.Reason != Removed {
				t.Errorf("another one was pardoned: %+v", v)
			}
			if p.Pardon(pardoned); len(p.kicked) != 0 {
				t.Errorf("%s was kicked and %s pardoned, %d are kept away", kicked, pardoned, len(p.kicked))
			}
		}
	}
	other := request()
	other.Identity[0]++
	if v := p.Decide(noon, other); v.Reason != Admitted {
		t.Errorf("another edge: %+v", v)
	}
	if err := p.Kick(noon, "nobody"); err == nil {
		t.Error("no identity")
	}
}

// What is kept of kicks is bounded, and makes room by itself.
func TestKicksAreBounded(t *testing.T) {
	p := New(rules(t, ""), Proofs{})
	for i := range kickedMost {
		if err := p.Kick(noon, fmt.Sprintf("%012x", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Kick(noon, "ffff-ffff-ffff"); err == nil || len(p.kicked) != kickedMost {
		t.Errorf("%d are kept away, %v", len(p.kicked), err)
	}
	if err := p.Kick(noon, fmt.Sprintf("%012x", 7)); err != nil {
		t.Errorf("one that is kept away: %v", err)
	}
	if err := p.Kick(noon.Add(KickTime), "ffff-ffff-ffff"); err != nil || len(p.kicked) != 1 {
		t.Errorf("%d are kept away, %v", len(p.kicked), err)
	}
}

func TestLabel(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "allow community ours": "ours", "allow community ours label Friends of Ana": "Friends of Ana",
		"allow id " + theID: "", "allow id " + theID + " label Ana": "Ana", "deny community ours": "ours",
		"allow community ours\nallow id " + theID + " label Ana": "Ana", "allow community others": "",
	} {
		if got := New(rules(t, text), Proofs{}).Label(request().CID, request().NameHash); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// Later rules about the same take the place of earlier ones, of another list as well.
func TestLaterRulesHold(t *testing.T) {
	rs := rules(t, "mode closed\nallow community a\nban edge 9f3a-71c2-e0b4\nallow community b", "deny community a\nmode open\nunban edge 9F3A71C2E0B4")
	var got []string
	for _, r := range rs.List() {
		got = append(got, r.String())
	}
	if want := "deny community a|unban edge 9f3a-71c2-e0b4|allow community b"; strings.Join(got, "|") != want || rs.Mode() != Open {
		t.Errorf("%q, %v", got, rs.Mode())
	}
}
