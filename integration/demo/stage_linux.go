package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// stage is the small internet and who is on it.
type stage struct {
	ctx    context.Context
	lab    *lab.Lab
	rig    rig.Rig
	step   int
	blank  bool // the last line printed is empty
	actors []*actor
}

// actor is a machine on which one command runs.
type actor struct {
	name    string
	host    *lab.Host
	program *rig.Program
	addr    netip.Addr // on the overlay
}

func newStage(ctx context.Context, programs rig.Programs) (*stage, error) {
	dir, err := os.MkdirTemp("", "hedgerow-demo-")
	if err != nil {
		return nil, err
	}
	l, err := lab.New("demo")
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return &stage{ctx: ctx, lab: l, rig: rig.Rig{Programs: programs, Dir: dir}}, nil
}

// close ends every program and takes namespaces and files away.
func (s *stage) close() error {
	for _, a := range s.actors {
		if a.program != nil {
			// One that was killed says so; the lab ends what is left.
			_ = a.program.Stop()
		}
	}
	return errors.Join(s.lab.Close(), os.RemoveAll(s.rig.Dir))
}

// title begins a part.
func (s *stage) title(text string) {
	s.step++
	if !s.blank {
		fmt.Println()
	}
	fmt.Printf("%d. %s\n\n", s.step, text)
	s.blank = true
}

// say prints a sentence.
func (s *stage) say(format string, args ...any) {
	fmt.Printf("   "+format+"\n", args...)
	s.blank = false
}

// typed prints the command that a person would type on a machine.
func (s *stage) typed(a *actor, line string) {
	fmt.Printf("   %s$ %s\n", a.name, line)
	s.blank = false
}

// said prints what a command answered.
func (s *stage) said(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Println("     " + strings.TrimRight(line, "\n"))
	}
	fmt.Println()
	s.blank = true
}

// enter puts a machine on the stage.
func (s *stage) enter(name string, host *lab.Host, err error) (*actor, error) {
	if err != nil {
		return nil, err
	}
	a := &actor{name: name, host: host}
	s.actors = append(s.actors, a)
	return a, os.MkdirAll(s.home(a), 0o700)
}

// home is where the commands of a machine keep what they keep.
func (s *stage) home(a *actor) string { return filepath.Join(s.rig.Dir, a.name) }

// argv turns a line into what is run: the command of the folder -bin, with
// the directories of its machine in the environment, as a service manager
// gives them.
func (s *stage) argv(a *actor, line string) []string {
	words := strings.Fields(line)
	words[0] = filepath.Join(filepath.Dir(s.rig.Programs.Edge), words[0])
	home := s.home(a)
	return append([]string{"env", "STATE_DIRECTORY=" + home, "RUNTIME_DIRECTORY=" + home}, words...)
}

// begin starts a command that stays, and waits for a text of it.
func (s *stage) begin(a *actor, line, socket, text string) (err error) {
	s.typed(a, line)
	a.program, err = s.rig.Run(s.ctx, a.host, a.name, filepath.Join(s.home(a), socket), s.argv(a, line)...)
	if err != nil {
		return err
	}
	return a.program.Await(s.ctx, text)
}

// ask runs a command and returns what it printed.
func (s *stage) ask(a *actor, line string) (string, error) {
	out, err := a.host.Command(s.ctx, s.argv(a, line)...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s$ %s: %w\n%s", a.name, line, err, out)
	}
	return string(out), nil
}

// ping sends one ping over the overlay, again until there is an answer.
func (s *stage) ping(from *actor, to netip.Addr, within time.Duration) (time.Duration, error) {
	for portion, end := 50*time.Millisecond, time.Now().Add(within); ; portion += 10 * time.Millisecond {
		ctx, cancel := context.WithTimeout(s.ctx, portion)
		rtt, err := from.host.Ping(ctx, to)
		cancel()
		if err == nil || time.Now().After(end) || s.ctx.Err() != nil {
			return rtt, err
		}
	}
}

// direct waits until one edge reaches another one without the supernode.
func (s *stage) direct(from, to *actor, within time.Duration) error {
	ctx, cancel := context.WithTimeout(s.ctx, within)
	defer cancel()
	_, err := s.rig.AwaitPath(ctx, from.program, to.name, control.PathDirect)
	return err
}

// logs prints what every command said, for one who wonders why it failed.
func (s *stage) logs() {
	for _, a := range s.actors {
		if a.program != nil {
			fmt.Fprintf(os.Stderr, "\n%s said:\n%s", a.name, a.program.Log())
		}
	}
}
