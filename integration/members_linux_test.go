package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/integration/lab"
)

// The commands, as an operator types them: the key of an authority is made, the two lines
// that it prints go into the community's file, and of three machines with that file two are
// admitted. They reach each other, and the third one nobody. Then one is revoked: nothing
// passes any more, and it says why.
func TestMembersByHand(t *testing.T) {
	t.Parallel()
	w := newTown(t, 30*time.Second)
	file, key := filepath.Join(w.Dir, "community"), filepath.Join(w.Dir, "authority")
	first := lab.Must(w.Host("first", "203.0.113.11"))
	w.printed(first, programs.Edge, "keygen", "--community", "town", "-o", file)
	w.printed(first, programs.Edge, "authority", key) // with what to do, beside the lines
	lines := strings.TrimSpace(strings.Join(w.printed(first, programs.Edge, "authority", key), "\n")) + "\n"
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Replace(string(text), "members = tofu\n", lines, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	var members []*member
	var ids []string
	for i, h := range []*lab.Host{first, lab.Must(w.Host("second", "203.0.113.12")), lab.Must(w.Host("third", "203.0.113.13"))} {
		m := w.start(h, "--community-file", file, "-l", overIPv4)
		members = append(members, m)
		must(t, m.Await(w.ctx, "before it has the list of members"))
		ids = append(ids, w.printed(h, programs.Edge, "identity", "-c", "town", "--state-dir", filepath.Join(w.Dir, []string{"first", "second", "third"}[i]))[1])
	}
	sign := func(args ...string) {
		t.Helper()
		w.printed(first, append(append([]string{programs.Edge}, args...), "--authority", key, "--control", members[0].Socket)...)
	}
	sign("admit", ids[0], ids[1])
	second := members[1].addr()
	members[1].meet(members[0].addr(), 5*time.Second)
	members[2].awaitNote("this edge is no member by it")
	for _, m := range members[:2] {
		if _, err := m.knock(members[2].addr6(), time.Second); err == nil {
			t.Errorf("%s reaches a machine that nobody has admitted", m.Name)
		}
	}
	table := strings.Join(w.printed(first, programs.Edge, "members", "--control", members[0].Socket), "\n")
	if !strings.Contains(table, ids[0]) || !strings.Contains(table, ids[1]) || strings.Contains(table, ids[2]) || !strings.Contains(table, "in touch") {
		t.Errorf("edge members prints\n%s", table)
	}
	sign("revoke", ids[1])
	if _, err := members[0].knock(second, time.Second); err == nil {
		t.Error("who was revoked is reached")
	}
	members[1].awaitNote("this edge is no member by it")
}
