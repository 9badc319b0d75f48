package localapi

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// serve serves h on a socket in a new directory until the test ends.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "deep", "a.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- ServeListener(ctx, l, h) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("ServeListener: %v", err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the socket is still there: %v", err)
		}
	})
	return path
}

func TestRoundTrip(t *testing.T) {
	var posted bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(`{"n":7}`)) })
	mux.HandleFunc("POST /do", func(w http.ResponseWriter, r *http.Request) { posted = true; w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /json", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(500)
		_, _ = w.Write([]byte(`{"error":"no such edge"}`))
	})
	mux.HandleFunc("GET /text", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "plain words", http.StatusServiceUnavailable)
	})
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, r *http.Request) {
		chunk := make([]byte, 1<<20)
		for range documentBytes>>20 + 1 {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	path := serve(t, mux)
	ctx := t.Context()

	var v struct{ N int }
	if err := Get(ctx, path, "/v", &v); err != nil || v.N != 7 {
		t.Fatalf("Get: %v, %+v", err, v)
	}
	if err := Post(ctx, path, "/do"); err != nil || !posted {
		t.Fatalf("Post: %v, reached the handler: %v", err, posted)
	}
	for url, want := range map[string]string{"/json": "no such edge", "/text": "plain words"} {
		var answer *ServerError
		if err := Get(ctx, path, url, &v); !errors.As(err, &answer) || answer.Message != want {
			t.Errorf("Get %s: %v, want the server's sentence %q", url, err, want)
		}
	}
	if err := Get(ctx, path, "/large", &v); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("an endless answer: %v", err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != socketMode {
		t.Errorf("mode of the socket: %v, %v", st.Mode(), err)
	}
}

func TestNotRunning(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, "dead.sock")
	leave(t, dead)
	for _, path := range []string{filepath.Join(dir, "missing.sock"), dead} {
		if err := Get(t.Context(), path, "/", nil); !errors.Is(err, ErrNotRunning) {
			t.Errorf("Get on %s: %v, want ErrNotRunning", filepath.Base(path), err)
		}
	}
}

// leave makes a socket file without a listener, as a killed process does.
func leave(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
}

func TestListen(t *testing.T) {
	dir := t.TempDir()
	stale := filepath.Join(dir, "stale.sock")
	leave(t, stale)
	l, err := Listen(stale)
	if err != nil {
		t.Fatalf("a socket left behind: %v", err)
	}
	if _, err := Listen(stale); !errors.Is(err, ErrInUse) {
		t.Errorf("a living socket: %v, want ErrInUse", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("an ordinary file: %v, want fs.ErrExist", err)
	}
	if b, _ := os.ReadFile(file); string(b) != "precious" {
		t.Error("an ordinary file was touched")
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 120))); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a long path: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*.sock*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestServeEndsWithContext(t *testing.T) {
	entered := make(chan struct{})
	path := filepath.Join(t.TempDir(), "a.sock")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Serve(ctx, path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done() // a request that would last for ever
		}))
	}()
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		for {
			if err := Get(t.Context(), path, "/", nil); !errors.Is(err, ErrNotRunning) {
				return
			}
		}
	}()
	<-entered
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	<-asked
}

func TestShareWith(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	l, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var unknown user.UnknownGroupError
	if err := ShareWith(path, "no-such-group-here"); !errors.As(err, &unknown) {
		t.Errorf("a group that does not exist: %v", err)
	}
	own, err := user.LookupGroupId(strconv.Itoa(os.Getgid()))
	if err != nil {
		t.Skip("the group of this process has no name")
	}
	if err := ShareWith(path, own.Name); err != nil {
		t.Errorf("our own group: %v", err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != socketMode {
		t.Errorf("mode afterwards: %v, %v", st.Mode(), err)
	}
}

// TestAskFor has an answer awaited for as long as it is said that it may take.
func TestAskFor(t *testing.T) {
	path := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	var v struct{}
	begun := time.Now()
	err := AskFor(t.Context(), 20*time.Millisecond, path, "/", v, &v)
	if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took >= callTimeout {
		t.Errorf("without an answer: %v, after %v", err, took)
	}
}
