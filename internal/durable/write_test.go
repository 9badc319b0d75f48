package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// writers are the two functions of the package.
var writers = map[string]func(path string, data []byte, mode fs.FileMode) error{"Replace": Replace, "Create": Create}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// alone holds that path is the only name in its directory.
func alone(t *testing.T, path string) {
	t.Helper()
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 || left[0].Name() != filepath.Base(path) {
		t.Errorf("in the directory: %v, %v; want only %s", left, err, filepath.Base(path))
	}
}

func TestModeIsExact(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no Unix modes here")
	}
	for name, write := range writers {
		for _, mode := range []fs.FileMode{0o600, 0o644, 0o666, 0o400} {
			path := filepath.Join(t.TempDir(), "f")
			if err := write(path, []byte("x"), mode); err != nil {
				t.Fatal(err)
			}
			if st, err := os.Stat(path); err != nil || st.Mode() != mode {
				t.Errorf("%s: mode %v, %v, want %v", name, st.Mode(), err, mode)
			}
			alone(t, path)
		}
	}
}

func TestReplace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for _, data := range []string{"one", "a second, longer one", "", "3"} {
		if err := Replace(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := read(t, path); got != data {
			t.Errorf("read %q, want %q", got, data)
		}
		alone(t, path)
	}
}

func TestReplaceInTheWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := Replace("f", []byte("x"), 0o600); err != nil || read(t, "f") != "x" {
		t.Error(err)
	}
	alone(t, "f")
}

func TestCreateNeverReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id")
	for _, old := range []string{"old", ""} {
		if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := Create(path, []byte("new"), 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("over %q: %v", old, err)
		}
		if got := read(t, path); got != old {
			t.Errorf("%q became %q", old, got)
		}
		alone(t, path)
	}
}

func TestOneCreateWins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "id")
	var wg sync.WaitGroup
	wins := make(chan string, 16)
	for i := range 16 {
		wg.Go(func() {
			data := strings.Repeat(string(rune('a'+i)), 100)
			if err := Create(path, []byte(data), 0o600); err == nil {
				wins <- data
			} else if !errors.Is(err, fs.ErrExist) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(wins)
	if winner := <-wins; winner != read(t, path) || len(wins) != 0 {
		t.Errorf("%d more winners; the file is not the winner's", len(wins))
	}
	alone(t, path)
}

// What cannot be placed leaves what is there alone, and no temporary file; the
// error names the path that was asked for and has the system's cause.
func TestNotPlaced(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(taken, "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, write := range writers {
		if err := write(taken, []byte("x"), 0o600); err == nil || !strings.Contains(err.Error(), "write "+taken+": ") {
			t.Errorf("%s over a directory: %v", name, err)
		}
		alone(t, taken)
		lost := filepath.Join(dir, "no", "such")
		if err := write(lost, []byte("x"), 0o600); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "write "+lost+": ") {
			t.Errorf("%s into no directory: %v", name, err)
		}
	}
}

func TestReplaceALink(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(target, []byte("old"), 0o600), os.Symlink(target, link)); err != nil {
		t.Skip(err)
	}
	if err := Create(link, []byte("new"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a symbolic link: %v", err)
	}
	if err := Replace(link, []byte("new"), 0o600); err != nil || read(t, link) != "new" || read(t, target) != "old" {
		t.Errorf("%v; link %q, target %q", err, read(t, link), read(t, target))
	}
}
