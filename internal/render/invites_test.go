package render

import (
	"strings"
	"testing"
	"time"

	"hedgerow/supernode/admin"
)

func TestInvites(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	use := func(digit string) admin.InviteUse {
		return admin.InviteUse{Identity: strings.Repeat(digit, 64), At: noon}
	}
	var b strings.Builder
	list := []admin.Invite{
		{ID: "0a1b2c3d", Community: "mynetwork", Expires: noon.Add(time.Hour), Uses: 1},
		{ID: "00ff00ff", Community: "a\x1b[31m", Expires: noon, Uses: 9, Used: []admin.InviteUse{use("1"), use("2"), use("3"), use("4"), use("5"), use("6")}},
	}
	if err := Invites(&b, list, noon); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range []string{
		"ID COMMUNITY EXPIRES USED BY",
		"0a1b2c3d mynetwork 2026-03-01 13:00 UTC 0 of 1 -",
		"expired 6 of 9 2 others, 3333-3333-3333, 4444-4444-4444, 5555-5555-5555, 6666-6666-6666",
	} {
		if got := strings.Join(strings.Fields(lines[i]), " "); !strings.HasSuffix(got, want) {
			t.Errorf("%q, want the end %q", got, want)
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Errorf("a name reaches the terminal as it is: %q", b.String())
	}
	b.Reset()
	if err := Invites(&b, nil, noon); err != nil || b.String() != "no invites\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}
