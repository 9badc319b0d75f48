package backup

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"hedgerow/supernode"
	"hedgerow/supernode/journal"
)

var made = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// some is a content without registrations: the tests of the command have those.
func some() *Content {
	return &Content{
		Made: made, Release: "1", Identity: [32]byte{1, 2, 3}, Records: map[journal.Key][]byte{},
		Rules: []byte("mode closed\nallow community a\n"), Quota: []byte("hedgerow quota 1\n"),
	}
}

// cheap has keys of passphrases made at little cost.
func cheap(t *testing.T) {
	was := usual
	usual = cost{passes: 1, memory: 8, threads: 1}
	t.Cleanup(func() { usual = was })
}

// What was written is read again, sealed or not, and nothing else is: no file that is cut,
// or of which a byte was changed, and no sealed one without its passphrase.
func TestDecode(t *testing.T) {
	cheap(t)
	for _, passphrase := range [][]byte{nil, []byte("a passphrase")} {
		b, err := some().Encode(passphrase)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Decode(b, passphrase)
		if err != nil || !reflect.DeepEqual(c, some()) {
			t.Fatalf("%+v, %v", c, err)
		}
		if IsSealed(b) != (passphrase != nil) || bytes.Contains(b, []byte("mode")) {
			t.Errorf("%q", b)
		}
		for at := range b {
			changed := bytes.Clone(b)
			changed[at] ^= 1
			if at%8 != 0 && at > maxLine { // a whole key for each bit takes long
				continue
			}
			if c, err := Decode(changed, passphrase); err == nil {
				t.Errorf("byte %d was changed: %+v", at, c)
			}
			if c, err := Decode(b[:at], passphrase); err == nil {
				t.Errorf("cut at %d: %+v", at, c)
			}
		}
		if _, err := Decode(append(bytes.Clone(b), 0), passphrase); err == nil {
			t.Error("it is longer")
		}
	}
	b, _ := some().Encode([]byte("a passphrase"))
	for passphrase, want := range map[string]error{"": ErrSealed, "another": ErrPassphrase} {
		if _, err := Decode(b, []byte(passphrase)); !errors.Is(err, want) {
			t.Errorf("%q: %v", passphrase, err)
		}
	}
	for text, want := range map[string]error{"hedgerow supernode backup 2 plain\nnew": ErrNewer, "": ErrDamaged, "PK\x03\x04": ErrDamaged, "hedgerow supernode backup 1 plain\n": ErrDamaged} {
		if _, err := Decode([]byte(text), nil); !errors.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A file may be anybody's until its key has been made: what that costs is bounded.
func TestSealedCost(t *testing.T) {
	for _, k := range []cost{{0, 8, 1}, {1, 8, 0}, {17, 8, 1}, {1, 2 << 20, 1}, {1, 8, 2}, {1 << 31, 1 << 31, 255}} {
		if k.sane() {
			t.Errorf("%+v", k)
		}
	}
	if !usual.sane() {
		t.Error("the usual cost is not allowed")
	}
}

// What a newer or a damaged program has put into a file that is whole is refused before
// anything is written.
func TestContentIsLookedAt(t *testing.T) {
	for name, change := range map[string]func(c *Content){
		"no key":         func(c *Content) { c.Identity = [32]byte{} },
		"a registration": func(c *Content) { c.Records[journal.Key{1}] = []byte("x") },
		"the invites":    func(c *Content) { c.Invites = []byte("{") },
		"the rules":      func(c *Content) { c.Rules = []byte("welcome everybody\n") },
		"the quota":      func(c *Content) { c.Quota = []byte("much\n") },
	} {
		c := some()
		change(c)
		b, err := c.Encode(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(b, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		dir := t.TempDir()
		if _, err := c.Restore(dir, made, true); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if files, _ := os.ReadDir(dir); len(files) != 0 {
			t.Errorf("%s: it has written %v", name, files)
		}
	}
}

// A state that is there is left alone, and with force it is moved into a directory of its
// own; one whose move has failed has an identity still.
func TestRestoreOverState(t *testing.T) {
	dir := t.TempDir()
	if aside, err := some().Restore(dir, made, false); err != nil || aside != "" {
		t.Fatal(aside, err)
	}
	first, err := Read(dir, made, "1")
	if err != nil || !reflect.DeepEqual(first, some()) {
		t.Fatalf("%+v, %v", first, err)
	}
	redirect := filepath.Join(dir, supernode.RedirectFile)
	if err := os.WriteFile(redirect, []byte("1 new.example 7654\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := some()
	other.Identity[0], other.Rules = 9, nil
	if _, err := other.Restore(dir, made, false); !errors.Is(err, ErrState) {
		t.Errorf("%v", err)
	}
	if again, err := Read(dir, made, "1"); err != nil || !reflect.DeepEqual(first, again) {
		t.Errorf("it was changed: %+v, %v", again, err)
	}
	aside, err := other.Restore(dir, made, true)
	if err != nil {
		t.Fatal(err)
	}
	if now, err := Read(dir, made, "1"); err != nil || now.Identity != other.Identity || now.Rules != nil {
		t.Errorf("%+v, %v", now, err)
	}
	if _, err := os.Stat(redirect); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("edges of the restored one would be sent elsewhere: %v", err)
	}
	if was, err := Read(aside, made, "1"); err != nil || !reflect.DeepEqual(was, first) {
		t.Errorf("%+v, %v", was, err)
	}
	if _, err := other.Restore(dir, made, true); err == nil { // the name is taken
		t.Error("two states are in one directory")
	}
	if _, err := supernode.LoadIdentity(dir); err != nil {
		t.Errorf("the identity is gone: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, supernode.RestoredFile)); err != nil || string(b) != supernode.RestoredUnfinished {
		t.Errorf("the next start would serve it: %q, %v", b, err)
	}
	for _, name := range []string{supernode.IdentityFile, journal.First, supernode.RestoredFile} {
		if st, err := os.Stat(filepath.Join(dir, name)); err == nil && st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, st.Mode())
		}
	}
}
