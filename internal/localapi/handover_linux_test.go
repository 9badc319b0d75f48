package localapi

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
)

// TestListenerIsHandedOn has two listeners on one socket, as two processes have that follow
// each other. The file stays until the one closes that keeps it.
func TestListenerIsHandedOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := first.File()
	if err != nil {
		t.Fatal(err)
	}
	second, err := Adopt(f, path)
	_ = f.Close()
	if err != nil {
		t.Fatal(err)
	}
	first.Leave()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- ServeListener(ctx, second, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			uid, known := Caller(r.Context())
			Answer(w, map[string]any{"uid": uid, "known": known})
		}))
	}()
	var who struct {
		UID   int
		Known bool
	}
	if err := Get(ctx, path, "/", &who); err != nil || !who.Known || who.UID != os.Geteuid() {
		t.Errorf("%+v, %v", who, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("the socket is still there: %v", err)
	}
	if _, known := Caller(t.Context()); known {
		t.Error("nobody has called")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := Adopt(null, path); err == nil {
		t.Error("the null device is a control socket")
	}
}
