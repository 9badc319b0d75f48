package crypto

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// kHelper returns a source that runs a shell script with the golden file's path
// as its first argument.
func kHelper(t *testing.T, script string) ExecSource {
	t.Helper()
	const shell = "/bin/sh"
	if _, err := os.Stat(shell); err != nil {
		t.Skip("no shell to write helpers for")
	}
	golden, err := filepath.Abs("testdata/community.txt")
	if err != nil {
		t.Fatal(err)
	}
	return ExecSource{Argv: []string{shell, "-c", script, "helper", golden}}
}

func TestExecSourceLoad(t *testing.T) {
	s := kHelper(t, `echo "a remark" >&2; cat "$1"; echo "# for $HEDGEROW_COMMUNITY"; read -r x || echo "# no input"`)
	s.CommunityName = kGolden().Name
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kGolden(), got); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
}

func TestExecSourceErrors(t *testing.T) {
	tests := []struct{ what, script, name, says string }{
		{"fails", `printf 'vault: sealed\n\033[31mtry\tagain\n' >&2; exit 3`, "", "exit status 3; it said: vault: sealed [31mtry again"},
		{"fails in silence", "exit 4", "", "exit status 4; run it by hand"},
		{"fails after a good file", `cat "$1"; exit 1`, "", "exit status 1"},
		{"complains at length", `i=0; while [ $i -lt 3000 ]; do echo wordy >&2; i=$((i+1)); done; exit 1`, "", "exit status 1; it said: wordy"},
		{"says nothing", "true", "", "line 1: this is no community file"},
		{"says too much", `cat "$1"; while :; do echo "# and more, and more, and more, and more, and more"; done`, "", "wrote more than 1048576 bytes"},
		{"gives another community", `cat "$1"`, "mynetwork", `gave the keys of "Nachbarschaft = é", not of "mynetwork": it must heed HEDGEROW_COMMUNITY`},
		{"gives a damaged file", `sed s/epoch/epcoh/ "$1"`, "", `line 9: unknown word "epcoh": the nearest one is "epoch"`},
	}
	for _, tt := range tests {
		s := kHelper(t, tt.script)
		s.CommunityName = tt.name
		c, err := s.Load(t.Context())
		if err == nil || c != nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want %q", tt.what, err, tt.says)
		} else if len(err.Error()) > 2*execStderr || strings.Contains(err.Error(), "\033") {
			t.Errorf("%s: an error of %d bytes, %.60q", tt.what, len(err.Error()), err)
		}
	}
	for _, s := range []ExecSource{{}, {Argv: []string{"/no/such/helper"}}} {
		if _, err := s.Load(t.Context()); err == nil {
			t.Errorf("%v: no error", s.Argv)
		}
	}
}

// TestExecSourceStops holds that Load ends with its context, whatever the
// helper does.
func TestExecSourceStops(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "started")
	s := kHelper(t, `: > '`+pipe+`'; exec sleep 600`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.Load(ctx)
		done <- err
	}()
	for {
		if _, err := os.Stat(pipe); err == nil {
			break
		}
		select {
		case err := <-done:
			t.Fatalf("ended by itself: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestExecSourceChanged(t *testing.T) {
	for _, tt := range []struct{ every, want time.Duration }{{0, 5 * time.Minute}, {time.Hour, time.Hour}} {
		synctest.Test(t, func(t *testing.T) {
			s := ExecSource{Every: tt.every}
			if took, err := kChanged(t.Context(), s)(); took != tt.want || err != nil {
				t.Errorf("every %v: after %v, %v", tt.every, took, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if took, err := kChanged(ctx, s)(); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("stopped: after %v, %v", took, err)
			}
		})
	}
}
