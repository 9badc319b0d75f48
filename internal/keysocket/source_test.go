//go:build unix

package keysocket

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hedgerow/crypto"
)

// keeper answers at a socket as a test has it do.
type keeper struct {
	path  string
	asked atomic.Int32
}

// newKeeper starts one; answer is called for each connection, which is closed after it.
func newKeeper(t *testing.T, answer func(net.Conn)) *keeper {
	t.Helper()
	k := &keeper{path: filepath.Join(t.TempDir(), "keys.sock")}
	l, err := net.Listen("unix", k.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Chmod(k.path, 0o660); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				k.asked.Add(1)
				answer(c)
			}()
		}
	}()
	return k
}

// goldenName is the community of golden.
const goldenName = "Nachbarschaft = é"

// golden is a community file.
func golden(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../crypto/testdata/community.txt")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLoad(t *testing.T) {
	text, name := golden(t), goldenName
	for end, after := range map[string]string{"the end": "", "a dot": ".\n", "a dot alone": ".", "a dot of Windows": ".\r\nmore"} {
		k := newKeeper(t, func(c net.Conn) {
			if asked, _ := io.ReadAll(c); string(asked) != name+"\n" {
				t.Errorf("it was asked %q", asked)
			}
			_, _ = io.WriteString(c, text+after)
		})
		s := &Source{Path: k.path, CommunityName: name}
		got, err := s.Load(t.Context())
		if err != nil {
			t.Fatal(end, err)
		}
		if want, err := crypto.ParseCommunity([]byte(text)); err != nil || got.ID() != want.ID() || len(got.Epochs) != len(want.Epochs) {
			t.Errorf("%s: loaded %+v, want %+v, %v", end, got, want, err)
		}
	}
}

// A program that reads no question, as one that systemd starts for each connection, may be
// gone before the question is sent or read.
func TestUnread(t *testing.T) {
	text := golden(t)
	k := newKeeper(t, func(c net.Conn) { _, _ = io.WriteString(c, text) })
	s := &Source{Path: k.path, CommunityName: goldenName}
	for range 50 {
		if _, err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestErrors(t *testing.T) {
	text := golden(t)
	for _, tt := range []struct{ what, answer, name, says string }{
		{"says nothing", "", "", "line 1: this is no community file"},
		{"says too much", text + strings.Repeat("# and more\n", 100_000), "", "wrote more than 1048576 bytes"},
		{"gives another community", text, "mynetwork", `gave the keys of "Nachbarschaft = é", not of "mynetwork"`},
		{"gives a damaged file", strings.ReplaceAll(text, "epoch", "epcoh"), "", `the nearest one is "epoch"`},
	} {
		k := newKeeper(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c); _, _ = io.WriteString(c, tt.answer) })
		s := &Source{Path: k.path, CommunityName: tt.name}
		if c, err := s.Load(t.Context()); err == nil || c != nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.what, err, tt.says)
		}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := newKeeper(t, func(net.Conn) { t.Error("it was asked") })
	if err := os.Chmod(open.path, 0o666); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "gone"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := os.Chmod(filepath.Join(dir, "gone"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		filepath.Join(dir, "none"): "start the keeper", file: "is no socket", open.path: "chmod 660", filepath.Join(dir, "gone"): "nobody keeps keys",
	} {
		if _, err := (&Source{Path: path}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", path, err, says)
		}
	}
}

// Load ends with its context, whatever the keeper does.
func TestStops(t *testing.T) {
	asked := make(chan struct{})
	k := newKeeper(t, func(c net.Conn) {
		close(asked)
		_, _ = io.Copy(io.Discard, c)
		<-t.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := (&Source{Path: k.path}).Load(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A keeper that goes on after its answer tells of other keys by closing the connection.
func TestIsTold(t *testing.T) {
	text, other := golden(t), make(chan struct{})
	k := newKeeper(t, func(c net.Conn) {
		_, _ = io.WriteString(c, text+".\n")
		<-other
	})
	s := &Source{Path: k.path, Every: time.Hour}
	if _, err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Changed(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nothing was told: %v", err)
	}
	if _, err := s.Load(t.Context()); err != nil { // what ctx ended is asked for anew
		t.Fatal(err)
	}
	close(other)
	if err := s.Changed(t.Context()); err != nil {
		t.Error(err)
	}
	if n := k.asked.Load(); n != 2 {
		t.Errorf("it was asked %d times", n)
	}
}
