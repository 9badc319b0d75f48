package crypto

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/curve25519"
)

func TestIdentityFollowsFromSeed(t *testing.T) {
	a, err := GenerateIdentity(bytes.NewReader(kRange(1, 32)))
	if err != nil {
		t.Fatal(err)
	}
	b := NewIdentity(a.Seed)
	if !a.ID.Equal(b.ID) || a.Static != b.Static || a.StaticPrivate() != b.StaticPrivate() {
		t.Error("one seed gave two identities")
	}
	if !ed25519.Verify(a.ID, []byte("x"), b.Sign([]byte("x"))) {
		t.Error("the signature does not verify")
	}
	private := a.StaticPrivate()
	public, err := curve25519.X25519(private[:], curve25519.Basepoint)
	if err != nil || [32]byte(public) != a.Static {
		t.Errorf("Static is not the public half of StaticPrivate: %v", err)
	}
	if _, err := GenerateIdentity(bytes.NewReader(kRange(1, 31))); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("31 random bytes: %v", err)
	}
}

func TestIdentityAddresses(t *testing.T) {
	id := NewIdentity([32]byte(kRange(1, 32)))
	mac := id.MAC([16]byte{1})
	if mac[0] != 2 || mac != MACFor(id.ID, [16]byte{1}) || mac == id.MAC([16]byte{2}) {
		t.Errorf("MAC %x must be local, recomputable, and another one per community", mac)
	}
	c := &Community{Name: "mynetwork", Secret: [32]byte(kRange(9, 32))}
	p, iid := c.ULA(id.ID), id.Interface(c.ID())
	if a := p.Addr().As16(); p.Bits() != 64 || a[0] != 0xfd || [8]byte(a[8:]) != iid {
		t.Errorf("ULA %v", p)
	}
	if got, want := id.ShortID(), fmt.Sprintf("%x-%x-%x", id.ID[:2], id.ID[2:4], id.ID[4:6]); got != want {
		t.Errorf("ShortID %q, want %q", got, want)
	}
	if got := ShortID(nil); got != "0000-0000-0000" {
		t.Errorf("ShortID of nothing is %q", got)
	}
}

// TestSecretsAreNotPrinted holds that no verb shows a seed or key.
func TestSecretsAreNotPrinted(t *testing.T) {
	id := NewIdentity([32]byte(kRange(0x70, 32)))
	c := &Community{Name: "mynetwork", Secret: id.Seed, Epochs: []Epoch{{Index: 3, Key: id.Seed}}}
	for _, v := range []any{id, c, c.Epochs[0], c.Epochs, StaticSource{c}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			s := fmt.Sprintf(verb, v)
			if strings.Contains(s, "112 113") || strings.Contains(s, "0x70, 0x71") || strings.Contains(s, "pqrs") {
				t.Errorf("%s of %T shows the secret: %s", verb, v, s)
			}
		}
	}
}

func TestLoadIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "id")
	id, created, err := LoadIdentity(path)
	if err != nil || !created {
		t.Fatalf("first: created %v, %v", created, err)
	}
	b, err := os.ReadFile(path)
	if err != nil || [32]byte(b) != id.Seed || len(b) != 32 {
		t.Fatalf("the file holds %d bytes, %v", len(b), err)
	}
	if info, _ := os.Stat(path); runtime.GOOS == "linux" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	again, created, err := LoadIdentity(path)
	if err != nil || created || again.Seed != id.Seed {
		t.Errorf("second: created %v, %v", created, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("temporary files were left: %v", left)
	}
}

// TestLoadIdentityRefuses holds that a damaged or open file is neither used nor
// written over.
func TestLoadIdentityRefuses(t *testing.T) {
	tests := []struct {
		what    string
		content []byte
		mode    os.FileMode
		says    string
	}{
		{"short", kRange(1, 31), 0o600, "it holds 31"},
		{"long", kRange(1, 33), 0o600, "it holds 33"},
		{"empty", nil, 0o600, "it holds 0"},
		{"zero", make([]byte, 32), 0o600, "not all zero"},
		{"huge", make([]byte, 5000), 0o600, "larger than 4096"},
		{"open", kRange(1, 32), 0o644, "chmod 600"},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "id")
		kWrite(t, path, string(tt.content), tt.mode)
		if id, created, err := LoadIdentity(path); err == nil || id != nil || created || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, %v, %v", tt.what, id, created, err)
		}
		if b, _ := os.ReadFile(path); !bytes.Equal(b, tt.content) {
			t.Errorf("%s: the file was written over", tt.what)
		}
	}
	if _, _, err := LoadIdentity("/proc/no/such/id"); err == nil || !strings.Contains(err.Error(), "--state-dir") {
		t.Errorf("a directory that cannot be written: %v", err)
	}
}

// TestLoadIdentityOnce holds that processes that start at once share one
// identity.
func TestLoadIdentityOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id")
	var mu sync.Mutex
	var wg sync.WaitGroup
	seeds, makers := make(map[[32]byte]bool), 0
	for range 16 {
		wg.Go(func() {
			id, created, err := LoadIdentity(path)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			seeds[id.Seed] = true
			if created {
				makers++
			}
		})
	}
	wg.Wait()
	if len(seeds) != 1 || makers != 1 {
		t.Errorf("%d identities by %d makers", len(seeds), makers)
	}
}

// kWrite writes a file with exactly that mode.
func kWrite(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// An identity is read as it is shown, short or whole.
func TestParseID(t *testing.T) {
	whole := strings.Repeat("9F3a71c2", 8)
	for text, want := range map[string]string{
		"9f3a-71c2-e0b4": "9f3a71c2e0b4", " 9F3A71C2E0B4 ": "9f3a71c2e0b4", whole: strings.ToLower(whole),
		"": "", "9f3a": "", "9f3a-71c2-e0b": "", "9f3a-71c2-e0bx": "", "9f3a-71c2-e0b4-00": "", whole + "00": "",
	} {
		if got, ok := ParseID(text); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v", text, got, ok)
		}
	}
}
