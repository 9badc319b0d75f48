package users

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/internal/password"
	"hedgerow/supernode/admission"
)

var (
	noon = time.Date(2026, 5, 12, 12, 0, 0, 0, time.UTC)
	home = netip.MustParseAddr("198.51.100.7")
)

// open opens a book in a directory.
func open(t *testing.T, dir string) *Book {
	t.Helper()
	b, err := Open(noon, Config{Path: filepath.Join(dir, FileName), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// cheap is the hash of a password that costs little to look at.
func cheap(t *testing.T, word string) string {
	t.Helper()
	hash, err := password.Hash(word, bytes.NewReader(make([]byte, 16)))
	if err != nil {
		t.Fatal(err)
	}
	return hash
}

// asks is a request of the edge with a number.
func asks(n byte, user, word string) *admission.Request {
	return &admission.Request{Identity: [32]byte{n}, Source: home, User: user, Password: word}
}

// drain looks at all that waits, at one time.
func (b *Book) drain(now time.Time) {
	for b.look(func() time.Time { return now }) {
	}
}

// A password is looked at once for an identity, and that lasts over a restart.
func TestProve(t *testing.T) {
	dir, hash := t.TempDir(), cheap(t, "good")
	b := open(t, dir)
	for range 3 {
		if got := b.Prove(noon, asks(1, "ana", "good"), hash); got != admission.Waiting || len(b.waiting) != 1 {
			t.Fatalf("%v, %d wait", got, len(b.waiting))
		}
	}
	if user, _ := b.Of(noon, [32]byte{1}); user != "" {
		t.Fatal("it was not looked at yet")
	}
	b.drain(noon)
	if user, of := b.Of(noon, [32]byte{1}); user != "ana" || of != hash {
		t.Fatalf("%q %q", user, of)
	}
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	if user, of := open(t, dir).Of(noon, [32]byte{1}); user != "ana" || of != hash {
		t.Fatalf("after a restart: %q %q", user, of)
	}
}

// A wrong password, and the name of nobody, are told alike, at once for a minute and then
// after another look.
func TestWrong(t *testing.T) {
	b, hash := open(t, t.TempDir()), cheap(t, "good")
	for user, hash := range map[string]string{"ana": hash, "bob": ""} {
		for _, now := range []time.Time{noon, noon.Add(2 * wrongFor)} {
			r := asks(2, user, "bad")
			if got := b.Prove(now, r, hash); got != admission.Waiting {
				t.Errorf("%s: %v at first", user, got)
			}
			b.drain(now)
			if got := b.Prove(now, r, hash); got != admission.BadUser {
				t.Errorf("%s: %v", user, got)
			}
		}
	}
	if user, _ := b.Of(noon, [32]byte{2}); user != "" {
		t.Errorf("it is %q", user)
	}
}

// Whoever tries many passwords is told to come later: from one source, for one name, and
// all together; who has shown one is let in meanwhile, and a name that is tried from one
// network may be tried from another one.
func TestManyPasswords(t *testing.T) {
	b, hash := open(t, t.TempDir()), cheap(t, "good")
	b.Prove(noon, asks(1, "ana", "good"), hash)
	b.drain(noon)
	count := func(n int, source func(i int) netip.Addr, user func(i int) string) (taken int) {
		for i := range n {
			r := asks(2, user(i), fmt.Sprint("guess ", i))
			if r.Source = source(i); b.Prove(noon, r, "") == admission.Waiting {
				taken++
			}
		}
		return taken
	}
	here := func(int) netip.Addr { return netip.MustParseAddr("203.0.113.9") }
	from := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{byte(1 + i), 0, 2, 1}) }
	near := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{250, 0, 2, byte(i)}) }
	named := func(i int) string { return fmt.Sprint("user", i) }
	if n := count(100, here, named); n != tryBurst {
		t.Errorf("%d passwords of one source", n)
	}
	b.waiting, b.waits = nil, make(map[key]bool)
	if n := count(100, near, func(int) string { return "bob" }); n != userBurst {
		t.Errorf("%d passwords for one name", n)
	}
	b.waiting, b.waits = nil, make(map[key]bool)
	if n := count(1, from, func(int) string { return "bob" }); n != 1 {
		t.Error("a stranger keeps a user out")
	}
	b.waiting, b.waits = nil, make(map[key]bool)
	if n := count(200, from, named); n != maxWaiting {
		t.Errorf("%d passwords wait", n)
	}
	if user, _ := b.Of(noon, [32]byte{1}); user != "ana" {
		t.Error("who had shown a password is out")
	}
}

// Networks take turns: whoever shows many passwords from one keeps nobody of another one waiting
// behind them, nor out.
func TestPasswordsTakeTurns(t *testing.T) {
	b, hash := open(t, t.TempDir()), cheap(t, "good")
	for i := range maxWaiting + 10 {
		r := asks(2, fmt.Sprint("user", i), "guess")
		r.Source = netip.AddrFrom4([4]byte{203, 0, 113, byte(i % 4)})
		if got := b.Prove(noon, r, ""); (got == admission.Waiting) != (i < maxWaiting) {
			t.Fatalf("guess %d: %v", i, got)
		}
	}
	if got := b.Prove(noon, asks(1, "ana", "good"), hash); got != admission.Waiting || len(b.waiting) != maxWaiting || len(b.waits) != maxWaiting {
		t.Fatalf("%v, %d wait, %d are known to", got, len(b.waiting), len(b.waits))
	}
	for range 2 {
		b.look(func() time.Time { return noon })
	}
	if user, _ := b.Of(noon, [32]byte{1}); user != "ana" {
		t.Error("she waits behind guesses of another network")
	}
	for _, a := range b.waiting {
		if !b.waits[a.key()] {
			t.Errorf("the password of %s waits, and is asked for again", a.user)
		}
	}
	if len(b.waits) != maxWaiting-2 || len(b.waiting) != maxWaiting-2 {
		t.Errorf("%d wait, %d are known to", len(b.waiting), len(b.waits))
	}
}

// Many may log in at once who come by one proxy, and not without a bound.
func TestManyBehindAProxy(t *testing.T) {
	const sources = 4
	b := open(t, t.TempDir())
	taken := 0
	for i := range 2 * sources * tryBurst {
		r := asks(byte(i), fmt.Sprint("user", i), "good")
		if r.Sources = sources; b.Prove(noon, r, "") == admission.Waiting {
			taken++
		}
		b.waiting, b.waits = nil, make(map[key]bool)
	}
	if taken != sources*tryBurst {
		t.Errorf("%d passwords by a proxy that counts as %d sources", taken, sources)
	}
}

// No table grows without a bound; the identity that was away for longest goes first.
func TestBounds(t *testing.T) {
	b := open(t, t.TempDir())
	for i := range maxKnown + 10 {
		b.learn(noon.Add(time.Duration(i)*time.Second), attempt{identity: [32]byte{byte(i), byte(i >> 8), byte(i >> 16)}, user: "ana", hash: "h"})
	}
	first, _ := b.Of(noon, [32]byte{})
	last, _ := b.Of(noon, [32]byte{9, 0, 1})
	if len(b.known) != maxKnown || first != "" || last != "ana" {
		t.Errorf("%d are known; %q, %q", len(b.known), first, last)
	}
	for i := range 2 * maxWrong {
		b.reject(noon, key{byte(i), byte(i >> 8)})
	}
	if len(b.wrong) > maxWrong {
		t.Errorf("%d wrong ones", len(b.wrong))
	}
}

// A file that is damaged anywhere is set aside, said, and nobody is let in by it.
func TestDamaged(t *testing.T) {
	good := fmt.Sprintf(`{"version":1,"known":[{"identity":"%064d","user":"ana","hash":"%s","seen":1}]}`, 1, cheap(t, "good"))
	for _, text := range []string{
		"", "{", "null x", strings.Replace(good, `"version":1`, `"version":2`, 1), strings.Replace(good, "00", "x", 1),
		strings.Replace(good, "ana", "", 1), strings.Replace(good, "argon2id", "md5", 1), good[:len(good)-1],
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, FileName)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		b := open(t, dir)
		if len(b.known) != 0 || !strings.Contains(b.Note(), "damaged") {
			t.Errorf("%q: %d known, %q", text, len(b.known), b.Note())
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%q is still there", text)
		}
		if err := os.Remove(b.aside); err != nil || b.Note() != "" {
			t.Errorf("%v; after the file was removed the note is %q", err, b.Note())
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte(good), 0o600); err != nil {
		t.Fatal(err)
	}
	if b := open(t, dir); len(b.known) != 1 || b.Note() != "" {
		t.Errorf("%d known, %q", len(b.known), b.Note())
	}
}

// What cannot be written is said until it can.
func TestNotWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	b := open(t, dir)
	b.learn(noon, attempt{user: "ana", hash: "h"})
	if b.Save() == nil || b.Note() == "" {
		t.Error("it was written")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := b.Save(); err != nil || b.Note() != "" {
		t.Error(err, b.Note())
	}
}

// Run looks at what comes, and writes at its end.
func TestRun(t *testing.T) {
	dir, hash := t.TempDir(), cheap(t, "good")
	b := open(t, dir)
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	for b.Prove(noon, asks(1, "ana", "good"), hash); ; time.Sleep(time.Millisecond) {
		if user, _ := b.Of(noon, [32]byte{1}); user == "ana" {
			break
		}
	}
	end()
	<-done
	if user, _ := open(t, dir).Of(noon, [32]byte{1}); user != "ana" {
		t.Error("nothing was written")
	}
}
