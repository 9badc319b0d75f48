package invites

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/internal/invite"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/admission"
)

// noon is when most tests happen.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// by returns the request of an edge of a community, which shows no token.
func by(n int, community byte) (r admission.Request) {
	r.Identity[0], r.Identity[1] = byte(n), byte(n>>8)
	r.NameHash[0] = community
	return r
}

// with returns a request that shows a token.
func with(n int, r admission.Request) *admission.Request {
	secret := token(n)
	r.Token = secret[:]
	return &r
}

// token returns a token that depends on n alone.
func token(n int) (t invite.Token) {
	t[0], t[1], t[15] = byte(n), byte(n>>8), 1
	return t
}

func open(t testing.TB, path string) *Ledger {
	t.Helper()
	l, err := Open(noon, Config{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// make makes an invite of community 1.
func (l *Ledger) make(t testing.TB, n, uses int) admin.Invite {
	t.Helper()
	v, err := l.Create(noon, Request{Community: "one", NameHash: [32]byte{1}, TTL: time.Hour, Uses: uses}, token(n))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// member reports whether an edge is admitted without a token.
func (l *Ledger) member(r admission.Request) bool {
	got := l.Redeem(noon, &r)
	return got == admission.Admitted
}

// admits redeems a token and, if the disk does not have it yet, waits for that.
func (l *Ledger) admits(t testing.TB, now time.Time, n int, r admission.Request) admission.Reason {
	t.Helper()
	got := l.Redeem(now, with(n, r))
	if got != admission.Waiting {
		return got
	}
	if err := l.save(); err != nil {
		t.Fatal(err)
	}
	return l.Redeem(now, with(n, r))
}

func TestOutcomes(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), FileName))
	l.make(t, 1, 1)
	l.make(t, 2, 2)
	for _, step := range []struct {
		what  string
		after time.Duration
		token int
		by    admission.Request
		want  admission.Reason
	}{
		{"a token that nobody made", 0, 9, by(1, 1), admission.BadToken},
		{"of another community", 0, 1, by(1, 2), admission.BadToken},
		{"the first use", 0, 1, by(1, 1), admission.Admitted},
		{"a restart uses nothing up", time.Minute, 1, by(1, 1), admission.Admitted},
		{"another edge with a token for one", time.Minute, 1, by(2, 1), admission.BadToken},
		{"the first of two", time.Minute, 2, by(2, 1), admission.Admitted},
		{"who is in uses nothing up", time.Minute, 2, by(1, 1), admission.Admitted},
		{"the second of two", time.Hour - time.Second, 2, by(3, 1), admission.Admitted},
		{"a third one", time.Hour - time.Second, 2, by(4, 1), admission.BadToken},
		{"too late", time.Hour, 1, by(5, 1), admission.BadToken},
		{"who is in stays", 1000 * time.Hour, 1, by(1, 1), admission.Admitted},
		{"with another token, too", 1000 * time.Hour, 9, by(3, 1), admission.Admitted},
	} {
		if got := l.admits(t, noon.Add(step.after), step.token, step.by); got != step.want {
			t.Errorf("%s: %d, want %d", step.what, got, step.want)
		}
	}
	for n, want := range []bool{1: true, true, true, false, false} {
		if got := l.member(by(n, 1)); got != want {
			t.Errorf("edge %d is a member: %v", n, got)
		}
	}
	if l.member(by(1, 2)) {
		t.Error("a member in another community, too")
	}
}

// A use that the disk does not have yet admits nobody; who asks again is admitted when it
// has. The next start knows all of it.
func TestUsesAreOnTheDiskFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	l := open(t, path)
	l.make(t, 1, 2)
	for range 2 {
		if got := l.Redeem(noon, with(1, by(1, 1))); got != admission.Waiting || l.member(by(1, 1)) {
			t.Fatalf("before the disk has it: %d", got)
		}
	}
	if got := open(t, path).admits(t, noon, 1, by(1, 1)); got != admission.Admitted {
		t.Fatalf("after a power cut: %d", got)
	}
	if err := l.save(); err != nil {
		t.Fatal(err)
	}
	if got := l.Redeem(noon, with(1, by(1, 1))); got != admission.Admitted {
		t.Fatalf("after that: %d", got)
	}
	again := open(t, path)
	if fmt.Sprint(again.List()) != fmt.Sprint(l.List()) || !again.member(by(1, 1)) {
		t.Errorf("%v, want %v", again.List(), l.List())
	}
	secret := token(1)
	if b, err := os.ReadFile(path); err != nil || strings.Contains(string(b), hex.EncodeToString(secret[:])) {
		t.Errorf("the token is in the file, or %v", err)
	}
	if state, err := os.Stat(path); err != nil || state.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", state.Mode(), err)
	}
}

// While the disk refuses nobody is let in by a new token; it is tried again, and said.
func TestDiskRefuses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		l := open(t, filepath.Join(dir, FileName))
		l.make(t, 1, 2)
		l.admits(t, noon, 1, by(1, 1))
		if err := os.Rename(dir, dir+".gone"); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { l.Run(ctx); close(ended) }()
		if got := l.Redeem(noon, with(1, by(2, 1))); got != admission.Waiting {
			t.Fatalf("at first: %d", got)
		}
		synctest.Wait()
		if got := l.Redeem(noon, with(1, by(2, 1))); got != admission.Unsaved || !strings.Contains(l.Note(), "cannot be written") {
			t.Errorf("then: %d, note %q", got, l.Note())
		}
		if got := l.Redeem(noon, with(1, by(1, 1))); got != admission.Admitted {
			t.Errorf("who is in: %d", got)
		}
		if _, err := l.Create(noon, Request{Community: "one", TTL: time.Hour, Uses: 1}, token(2)); err == nil || len(l.List()) != 1 {
			t.Errorf("an invite was made all the same: %v, %v", err, l.List())
		}
		if err := os.Rename(dir+".gone", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(retryAfter)
		synctest.Wait()
		if got := l.Redeem(noon, with(1, by(2, 1))); got != admission.Admitted || l.Note() != "" {
			t.Errorf("at last: %d, note %q", got, l.Note())
		}
		stop()
		<-ended
	})
}

// Run writes what is left when it ends.
func TestRunWritesAtItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	l := open(t, path)
	l.make(t, 1, 1)
	l.Redeem(noon, with(1, by(1, 1)))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	l.Run(ctx)
	if !open(t, path).member(by(1, 1)) {
		t.Error("the use is lost")
	}
}

func TestRemove(t *testing.T) {
	path := filepath.Join(t.TempDir(), FileName)
	l := open(t, path)
	one, two := l.make(t, 1, 2), l.make(t, 2, 2)
	l.admits(t, noon, 1, by(1, 1))
	l.admits(t, noon, 2, by(2, 1))
	if _, err := l.Remove("ffffffff"); err != ErrNoSuch {
		t.Errorf("of another id: %v", err)
	}
	gone, err := l.Remove(one.ID)
	if err != nil || gone.ID != one.ID || len(gone.Used) != 1 {
		t.Fatalf("%+v, %v", gone, err)
	}
	for _, l := range []*Ledger{l, open(t, path)} {
		if got := l.admits(t, noon, 1, by(1, 1)); got != admission.BadToken {
			t.Errorf("its edge is %d", got)
		}
		if list := l.List(); len(list) != 1 || list[0].ID != two.ID || !l.member(by(2, 1)) {
			t.Errorf("left is %v", list)
		}
	}
}

func TestBounds(t *testing.T) {
	l := open(t, "")
	for _, r := range []Request{{Uses: 0, TTL: time.Hour}, {Uses: MaxUses + 1, TTL: time.Hour}, {Uses: 1}, {Uses: 1, TTL: MaxTTL + 1}} {
		if _, err := l.Create(noon, r, token(1)); err == nil {
			t.Errorf("%+v was made", r)
		}
	}
	if _, err := l.Create(time.Unix(0, 0), Request{Uses: 1, TTL: time.Hour}, token(1)); err == nil {
		t.Error("without a clock one was made")
	}
	for n := range maxMembers / MaxUses {
		l.make(t, n, MaxUses)
	}
	if _, err := l.Create(noon, Request{TTL: time.Hour, Uses: MaxUses}, token(900)); err != ErrFull {
		t.Errorf("more uses than are kept: %v", err)
	}
	later := noon.Add(2 * time.Hour) // what was not used is no use to come any more
	for n := len(l.List()); n < MaxInvites; n++ {
		if _, err := l.Create(later, Request{TTL: time.Hour, Uses: 1}, token(n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Create(later, Request{TTL: time.Hour, Uses: 1}, token(MaxInvites)); err != ErrFull {
		t.Errorf("more invites than are kept: %v", err)
	}
	if _, err := l.Create(noon.Add(time.Hour+keepOver+time.Second), Request{TTL: time.Hour, Uses: 1}, token(MaxInvites)); err != nil || len(l.List()) != MaxInvites-maxMembers/MaxUses+1 {
		t.Errorf("after the oldest have been over for a month: %v, %d are left", err, len(l.List()))
	}
}

// A file that no ledger has written is set aside, whatever is in it.
func TestDamage(t *testing.T) {
	whole := filepath.Join(t.TempDir(), FileName)
	l := open(t, whole)
	l.make(t, 1, 2)
	l.admits(t, noon, 1, by(1, 1))
	good, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	for name, bad := range map[string]string{
		"empty":         "",
		"cut":           text[:len(text)/2],
		"version":       strings.Replace(text, `"version":1`, `"version":2`, 1),
		"uses":          strings.Replace(text, `"uses":2`, `"uses":-2`, 1),
		"fewer uses":    strings.Replace(text, `"uses":2`, `"uses":0`, 1),
		"odd identity":  strings.Replace(text, `"identity":"01`, `"identity":"1`, 1),
		"the same edge": strings.Replace(text, `"used":[`, `"used":[{"identity":"01000000`+strings.Repeat("00", 28)+`","at":1},`, 1),
		"the same":      strings.Replace(text, `"invites":[`, `"invites":[`+text[strings.Index(text, `{"token"`):len(text)-2]+",", 1),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), FileName)
			if bad == text {
				t.Fatal("this is no damage")
			}
			if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			l := open(t, path)
			if len(l.List()) != 0 || !strings.Contains(l.Note(), path+".damaged-") {
				t.Errorf("%v, note %q", l.List(), l.Note())
			}
			if err := os.Remove(l.aside); err != nil || l.Note() != "" {
				t.Errorf("%v; after the file was removed the note is %q", err, l.Note())
			}
			l.make(t, 1, 1)
			if again := open(t, path); len(again.List()) != 1 || again.Note() != "" {
				t.Errorf("the next start has %v", again.List())
			}
		})
	}
}

// uses is how many edges the child of TestKill lets in at most.
const uses = 1000

// TestKill kills a process that lets edges in, and finds every one that was told so.
func TestKill(t *testing.T) {
	if path := os.Getenv("HEDGEROW_TEST_INVITES"); path != "" {
		admitForever(t, path)
		return
	}
	for round := range 3 {
		path := filepath.Join(t.TempDir(), FileName)
		open(t, path).make(t, 1, uses)
		child := exec.Command(os.Args[0], "-test.run=^TestKill$")
		child.Env = append(os.Environ(), "HEDGEROW_TEST_INVITES="+path)
		said, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		told, lines := 0, bufio.NewScanner(said)
		for lines.Scan() {
			if strings.HasPrefix(lines.Text(), "admitted ") {
				told++
			}
			if told == 5+7*round {
				_ = child.Process.Kill() // what it has written by then is read to its end
			}
		}
		_ = child.Wait() // it was killed
		if told < 5+7*round {
			t.Fatalf("%d were let in", told)
		}
		l := open(t, path)
		for n := range told {
			if !l.member(by(n, 1)) {
				t.Errorf("edge %d of %d was let in and is not known", n, told)
			}
		}
		if list := l.List(); len(list) != 1 || len(list[0].Used) < told {
			t.Errorf("%d were let in, and %v is left", told, list)
		}
	}
}

// admitForever is the process that TestKill kills.
func admitForever(t *testing.T, path string) {
	l := open(t, path)
	go l.Run(t.Context())
	for n := range uses {
		for l.Redeem(noon, with(1, by(n, 1))) != admission.Admitted {
			time.Sleep(100 * time.Microsecond)
		}
		fmt.Println("admitted", n)
	}
}
