package crypto

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
	"unicode"
)

// Bounds on a key helper. Its standard error is only shown, so the beginning is
// enough.
const (
	execTimeout = 30 * time.Second
	execGrace   = 2 * time.Second // for processes that the helper started and left behind
	execEvery   = 5 * time.Minute
	execStderr  = 4096
)

// execNameVariable tells the helper which community is asked for.
const execNameVariable = "HEDGEROW_COMMUNITY"

var errTooMuch = errors.New("too much output")

// ExecSource runs a helper program, such as the client of a vault, and reads a
// community file from its standard output.
//
// The helper gets 30 s, may write up to MaxKeyFile bytes and must exit with
// status 0. It inherits the environment, with CommunityName as
// HEDGEROW_COMMUNITY, and an empty standard input. No shell is involved.
type ExecSource struct {
	Argv          []string      // the program and its arguments
	Every         time.Duration // how often to ask again; zero means 5 minutes
	CommunityName string        // the wanted community; empty: any
}

// Load runs the helper once. The error of a helper that fails holds what it
// wrote to its standard error.
func (s ExecSource) Load(ctx context.Context) (*Community, error) {
	if len(s.Argv) == 0 {
		return nil, errors.New("the key helper has no program: give its path")
	}
	b, err := s.run(ctx)
	if err != nil {
		return nil, err
	}
	c, err := ParseCommunity(b)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the output of the key helper %s: %w", s.Argv[0], err)
	case s.CommunityName != "" && c.Name != s.CommunityName:
		return nil, fmt.Errorf("the key helper %s gave the keys of %q, not of %q: it must heed %s",
			s.Argv[0], c.Name, s.CommunityName, execNameVariable)
	}
	return c, nil
}

// Changed waits for Every: only another run shows whether a helper has a new
// answer.
func (s ExecSource) Changed(ctx context.Context) error {
	every := s.Every
	if every <= 0 {
		every = execEvery
	}
	timer := time.NewTimer(every)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// run returns what the helper writes to its standard output.
func (s ExecSource) run(ctx context.Context) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	cmd := exec.CommandContext(limited, s.Argv[0], s.Argv[1:]...)
	cmd.Env = append(os.Environ(), execNameVariable+"="+s.CommunityName)
	cmd.WaitDelay = execGrace
	out := &boundedBuffer{limit: MaxKeyFile, full: cancel}
	complaint := &boundedBuffer{limit: execStderr, cut: true}
	cmd.Stdout, cmd.Stderr = out, complaint

	err := cmd.Run()
	switch {
	case out.over:
		return nil, fmt.Errorf("the key helper %s wrote more than %d bytes: it must write one community file and nothing else",
			s.Argv[0], MaxKeyFile)
	case err == nil:
		return out.b.Bytes(), nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limited.Err() != nil:
		err = fmt.Errorf("stopped after %v without an end", execTimeout)
	case errors.Is(err, exec.ErrWaitDelay):
		err = errors.New("it left a program behind that holds its output open")
	}
	if said := printable(complaint.b.String()); said != "" {
		return nil, fmt.Errorf("the key helper %s failed: %w; it said: %s", s.Argv[0], err, said)
	}
	return nil, fmt.Errorf("the key helper %s failed: %w; run it by hand to see why", s.Argv[0], err)
}

// boundedBuffer keeps up to limit bytes. Further bytes are discarded (cut), or
// are an error that also calls full.
type boundedBuffer struct {
	b     bytes.Buffer
	limit int
	cut   bool
	over  bool
	full  func()
}

// Write implements io.Writer.
func (w *boundedBuffer) Write(p []byte) (int, error) {
	room := w.limit - w.b.Len()
	if len(p) <= room {
		return w.b.Write(p)
	}
	if w.cut {
		w.b.Write(p[:room])
		return len(p), nil
	}
	w.over = true
	w.full()
	return 0, errTooMuch
}

// printable makes one line of a program's output, without control sequences for
// a terminal.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}
