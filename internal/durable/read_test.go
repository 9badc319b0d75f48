package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestRead: what is too large or no file is damaged, what is absent is not.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if _, err := Read(path, 3); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("123"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, err := Read(path, 3); string(b) != "123" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if b, err := Read(path, 2); b != nil || !errors.Is(err, ErrDamaged) {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := Read(dir, 1<<20); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}
