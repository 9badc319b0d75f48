package crypto

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	_ KeySource = (*FileSource)(nil)
	_ KeySource = ExecSource{}
	_ KeySource = StaticSource{}
)

// kChanged runs Changed inside a synctest bubble and returns how long it took,
// with its error.
func kChanged(ctx context.Context, s KeySource) func() (time.Duration, error) {
	start := time.Now()
	done := make(chan error, 1)
	var took time.Duration
	go func() {
		err := s.Changed(ctx)
		took = time.Since(start)
		done <- err
	}()
	return func() (time.Duration, error) { err := <-done; return took, err }
}

func TestFileSourceLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "community")
	s := &FileSource{Path: path}
	if _, err := s.Load(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	golden := string(kGoldenText(t))
	kWrite(t, path, golden, 0o600)
	modified := kTime("2026-01-05T00:00:00Z")
	if err := os.Chtimes(path, modified, modified); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := kGolden()
	want.Modified = modified
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	kWrite(t, path, golden+"x\n", 0o600)
	if _, err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "line 12") {
		t.Errorf("damaged: %v", err)
	}
	kWrite(t, path, golden, 0o644)
	if _, err := s.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("open to others: %v", err)
	}
}

// TestFileSourceChanged changes a file in each way after 5 s: the next look is
// at 6 s.
func TestFileSourceChanged(t *testing.T) {
	golden := string(kGoldenText(t))
	then := kTime("2026-01-05T00:00:00Z")
	tests := []struct {
		what   string
		change func(path string) error
		want   time.Duration // 0: no change
	}{
		{"nothing", func(string) error { return nil }, 0},
		{"written in place, same size and time", func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(strings.Replace(golden, "list", "open", 1)), 0o600), os.Chtimes(path, then, then))
		}, 0},
		{"time", func(path string) error { return os.Chtimes(path, then, then.Add(1)) }, 6 * time.Second},
		{"earlier time", func(path string) error { return os.Chtimes(path, then, then.Add(-time.Hour)) }, 6 * time.Second},
		{"size", func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(golden+"#\n"), 0o600), os.Chtimes(path, then, then))
		}, 6 * time.Second},
		{"replaced, same size and time", func(path string) error {
			next := path + ".new"
			return errors.Join(os.WriteFile(next, []byte(golden), 0o600), os.Chtimes(next, then, then), os.Rename(next, path))
		}, 6 * time.Second},
		{"mode", func(path string) error { return os.Chmod(path, 0o400) }, 6 * time.Second},
		{"taken away", os.Remove, 0},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "community")
			kWrite(t, path, golden, 0o600)
			if err := os.Chtimes(path, then, then); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				s := &FileSource{Path: path}
				if _, err := s.Load(ctx); err != nil {
					t.Fatal(err)
				}
				wait := kChanged(ctx, s)
				time.Sleep(5 * time.Second)
				if err := tt.change(path); err != nil {
					t.Fatal(err)
				}
				took, err := wait()
				if tt.want != 0 && (err != nil || took != tt.want) {
					t.Errorf("reported after %v, %v; want %v", took, err, tt.want)
				}
				if tt.want == 0 && (!errors.Is(err, context.DeadlineExceeded) || took != time.Hour) {
					t.Errorf("reported after %v, %v; want nothing for an hour", took, err)
				}
			})
		})
	}
}

// TestFileSourceChangedBetween holds that a change between Load and Changed is
// reported at once, that it is reported once, and that a file that appears, or
// that was refused, is reported when it is there, or mended.
func TestFileSourceChangedBetween(t *testing.T) {
	path := filepath.Join(t.TempDir(), "community")
	golden := string(kGoldenText(t))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		s := &FileSource{Path: path}
		expect := func(what string, want time.Duration, ready func()) {
			t.Helper()
			wait := kChanged(ctx, s)
			if ready != nil {
				time.Sleep(want - time.Second)
				ready()
			}
			if took, err := wait(); err != nil || took != want {
				t.Errorf("%s: after %v, %v; want %v", what, took, err, want)
			}
		}
		if _, err := s.Load(ctx); err == nil {
			t.Fatal("loaded what is not there")
		}
		expect("appears", 8*time.Second, func() { kWrite(t, path, golden, 0o644) })
		if _, err := s.Load(ctx); err == nil {
			t.Fatal("loaded an open file")
		}
		expect("mended", 4*time.Second, func() { kWrite(t, path, golden, 0o600) })
		if _, err := s.Load(ctx); err != nil {
			t.Fatal(err)
		}
		kWrite(t, path, golden+"# more\n", 0o600)
		expect("changed before", 0, nil)
		expect("changed again", 6*time.Second, func() { kWrite(t, path, golden, 0o600) })
		stopped, stop := context.WithCancel(ctx)
		stop()
		if err := s.Changed(stopped); !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
	})
}

func TestStaticSource(t *testing.T) {
	c := kGolden()
	s := StaticSource{c}
	if got, err := s.Load(t.Context()); got != c || err != nil {
		t.Errorf("Load: %v, %v", got, err)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if took, err := kChanged(ctx, s)(); took != time.Hour || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Changed: %v, %v", took, err)
		}
	})
}
