package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
)

func newService(t *testing.T) *Service {
	t.Helper()
	s := New(Config{
		Program: "mill", Instance: `mill of village "x"`, Second: "--state-dir DIR and --control PATH", Log: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(s.Close)
	return s
}

// place is a machine whose directories are below dir.
func place(dir string) cli.Place {
	env := map[string]string{"STATE_DIRECTORY": filepath.Join(dir, "state"), "RUNTIME_DIRECTORY": filepath.Join(dir, "run")}
	return cli.Place{Program: "mill", Env: func(name string) string { return env[name] }, Root: true}
}

// says checks the sentence and the exit code of an error.
func says(t *testing.T, err error, code cli.Code, want ...string) {
	t.Helper()
	if cli.CodeOf(err) != code {
		t.Errorf("exit code %d, want %d: %v", cli.CodeOf(err), code, err)
	}
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%v does not say %q", err, w)
		}
	}
}

func TestCloseIsInReverse(t *testing.T) {
	s := newService(t)
	var order []int
	for i := range 3 {
		s.OnClose(func() { order = append(order, i) })
	}
	s.Close()
	s.OnClose(func() { order = append(order, 9) })
	s.Close()
	s.Close()
	if !slices.Equal(order, []int{2, 1, 0, 9}) {
		t.Errorf("closed in the order %v", order)
	}
}

func TestState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	first, second := newService(t), newService(t)
	if err := first.Lock(dir); err != nil {
		t.Fatal(err)
	}
	says(t, second.Lock(dir), cli.Failure, `another mill of village "x" runs on this machine: `, fmt.Sprintf("in use by pid %d. ", os.Getpid()),
		"For a second one type --state-dir DIR and --control PATH.")
	first.Close()
	if err := second.Lock(dir); err != nil {
		t.Errorf("after the end of the first: %v", err)
	}

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, newService(t).Lock(file), cli.Failure, file, "Choose another place with --state-dir DIR.")
	_, _, err := crypto.LoadIdentity(file)
	says(t, StateError(err), cli.Failure, "is no identity", "Choose another place with --state-dir DIR.")
	says(t, StateError(&os.PathError{Op: "open", Path: "x", Err: os.ErrPermission}), cli.Permission, "--state-dir DIR.")
}

func TestControlSocket(t *testing.T) {
	dir := t.TempDir()
	first := newService(t)
	if err := first.OpenControl(place(dir), "", "a.sock"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "run", "a.sock")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", st, err)
	}
	says(t, newService(t).OpenControl(place(dir), path, "other"), cli.Failure, `another mill of village "x" runs on this machine (`, path,
		"For a second one type --state-dir DIR and --control PATH.")
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	says(t, newService(t).OpenControl(place(dir), file, ""), cli.Failure, file, "Choose another place with --control PATH.")
	first.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
}

// A control socket that nobody reaches any more is said, and another one that has come in its
// place is left where it is.
func TestControlNote(t *testing.T) {
	dir := t.TempDir()
	s := newService(t)
	if err := s.OpenControl(place(dir), "", "a.sock"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "run", "a.sock")
	if note := s.ControlNote(); note != "" {
		t.Errorf("as it was made: %q", note)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if note, want := s.ControlNote(), "the control socket "+path+" was removed: 'mill status' and its kin get no answer. Start the mill again"; !strings.HasPrefix(note, want) {
		t.Errorf("removed: %q", note)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if note := s.ControlNote(); !strings.Contains(note, " was removed: ") {
		t.Errorf("another file: %q", note)
	}
	_ = s.control.UnixListener.Close() // as if it could accept no more
	err := s.Run(t.Context(), http.NotFoundHandler(), func(context.Context) error {
		for !s.silent.Load() {
			runtime.Gosched()
		}
		return nil
	})
	if note := s.ControlNote(); err != nil || !strings.Contains(note, " has failed (the log says why): ") {
		t.Errorf("failed: %q, %v", note, err)
	}
	s.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the file in its place: %v", err)
	}
}

// The socket answers until the work has ended, and everything is joined then.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	s := newService(t)
	if err := s.OpenControl(place(dir), "", "a.sock"); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "run", "a.sock")
	ask := func() error {
		var v string
		return localapi.Get(t.Context(), path, "/", &v)
	}
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `"here"`) })
	ended := errors.New("ended")
	ctx, cancel := context.WithCancel(t.Context())
	besides := false
	err := s.Run(ctx, h, func(ctx context.Context) error {
		if err := ask(); err != nil {
			t.Errorf("at work: %v", err)
		}
		cancel()
		<-ctx.Done()
		if err := ask(); err != nil {
			t.Errorf("while it ends: %v", err)
		}
		return ended
	}, func(ctx context.Context) { <-ctx.Done(); besides = true })
	if err != ended || !besides {
		t.Errorf("%v, beside joined: %v", err, besides)
	}
	if err := ask(); !errors.Is(err, localapi.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}
