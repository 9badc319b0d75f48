package edge

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
)

// TestRun runs an edge whose supernode does not answer, asks it everything that may
// be asked, and ends it.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	cfg := testConfig()
	cfg.StateDir = dir
	source := &keySource{changed: make(chan struct{}), next: testCommunity()}
	cfg.Keys = source
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()

	if s, err := e.Status(ctx); err != nil || s.Community != "tests" || s.Supernodes[0].State != control.StateConnecting || s.Device != cfg.Host.Interface || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "no supernode is reached") {
		t.Errorf("status %+v %v", s, err)
	}
	if list, err := e.Peers(ctx); err != nil || list == nil || len(list) != 0 {
		t.Errorf("peers %v %v", list, err)
	}
	if k, err := e.KeyStatus(ctx); err != nil || k.Active == nil || *k.Active != 7 {
		t.Errorf("keys %+v %v", k, err)
	}
	if _, err := e.Ping(ctx, control.PingRequest{Peer: "roof"}); err == nil || !strings.Contains(err.Error(), "no other edge") {
		t.Errorf("ping: %v", err)
	}
	if err := e.Reload(ctx); err != nil {
		t.Errorf("reload: %v", err)
	}
	source.err = io.ErrUnexpectedEOF
	if err := e.Reload(ctx); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("reload: %v", err)
	}
	ceilings, err := e.Ceilings(ctx)
	if err != nil || len(ceilings) != 25 {
		t.Errorf("%d ceilings, %v", len(ceilings), err)
	}
	for _, c := range ceilings {
		if c.Count > c.Max {
			t.Errorf("%s: %d of %d", c.Table, c.Count, c.Max)
		}
	}
	late, stop := context.WithCancel(ctx)
	stop()
	for range 3 { // one of them may be received all the same
		if _, err := e.Status(late); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Run does not end")
	}
	if _, err := e.Status(t.Context()); err != errEnded {
		t.Errorf("afterwards: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, stateFile)); err != nil {
		t.Error(err)
	}
}

// TestRunFails ends Run when the schedule is over or a queue breaks.
func TestRunFails(t *testing.T) {
	cfg := testConfig()
	cfg.Community.Fail, cfg.Community.Epochs[0].Until = true, noon
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Run(t.Context()); err != ErrScheduleEnded {
		t.Errorf("%v, want ErrScheduleEnded", err)
	}
	for broken, want := range map[error]string{net.ErrClosed: "edge: device or socket was closed", io.ErrUnexpectedEOF: "edge: unexpected EOF"} {
		cfg := testConfig()
		cfg.Queues[0].Conn.(*memoryConn).readErr = broken
		if e, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		if err := e.Run(t.Context()); err == nil || err.Error() != want {
			t.Errorf("with a socket that fails with %v: %v", broken, err)
		}
	}
	for err, want := range map[error]bool{net.ErrClosed: true, os.ErrClosed: true, io.EOF: true, io.ErrUnexpectedEOF: false} {
		if isClosed(err) != want {
			t.Errorf("%v: %v", err, !want)
		}
	}
}
