package handover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Named is an open file of the predecessor and what it is. Several may be the same.
type Named struct {
	Name string
	File *os.File
}

// Offer is what a successor is started with.
type Offer struct {
	Binary   string   // path of the program
	Args     []string // its arguments, with its name
	Variable string   // of the environment, by which it learns of the hand-over
	Files    []Named
	// Silence is how long the successor may say nothing, while it starts and while it
	// takes over.
	Silence time.Duration
}

// Successor is the process that is to take over, as its predecessor sees it.
type Successor struct {
	// Release is what the program said that it is, once Start has returned.
	Release string

	offer   Offer
	cmd     *exec.Cmd
	conn    *net.UnixConn
	ended   chan struct{} // closed when the process has ended
	outcome error         // how, once it has
}

// Start starts a successor and waits until it is ready. Its error says what was wrong with
// it; it does not run any more then.
func Start(o Offer) (*Successor, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, fmt.Errorf("make a pair of sockets: %w", err)
	}
	s := &Successor{offer: o, conn: ours, ended: make(chan struct{})}
	s.cmd = exec.Command(o.Binary)
	s.cmd.Args, s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = o.Args, os.Stdin, os.Stdout, os.Stderr
	s.cmd.ExtraFiles = []*os.File{theirs}
	names := make([]string, len(o.Files))
	for i, f := range o.Files {
		names[i] = f.Name
		s.cmd.ExtraFiles = append(s.cmd.ExtraFiles, f.File)
	}
	s.cmd.Env = append(os.Environ(), o.Variable+"="+strings.Join(names, ","))
	err = s.cmd.Start()
	_ = theirs.Close() // so that the successor's end is the end of what it says
	if err != nil {
		_ = ours.Close()
		return nil, fmt.Errorf("%s cannot be started: %w", o.Binary, cause(err))
	}
	go func() {
		s.outcome = s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.awaitReady(); err != nil {
		s.End()
		return nil, err
	}
	return s, nil
}

// cause returns what the system said, without the path, which the sentence has.
func cause(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// pair returns two connected sockets, the second as a file to be inherited.
func pair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	theirs = os.NewFile(uintptr(fds[1]), "successor")
	if ours, err = connOf(os.NewFile(uintptr(fds[0]), "predecessor")); err != nil {
		_ = theirs.Close()
	}
	return ours, theirs, err
}

// connOf makes a connection of a descriptor, which it closes.
func connOf(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, errMessage
	}
	return u, nil
}

// awaitReady waits until the successor has said that it is ready.
func (s *Successor) awaitReady() error {
	if err := s.conn.SetDeadline(time.Now().Add(s.offer.Silence)); err != nil {
		return err
	}
	kind, body, err := receive(s.conn)
	switch {
	case err != nil:
		return s.why(err, "before it was ready")
	case kind == kindFailed:
		return fmt.Errorf("%s cannot take over: %s", s.offer.Binary, body)
	case kind != kindReady || len(body) < 2:
		return fmt.Errorf("%s: %w", s.offer.Binary, errMessage)
	}
	if v := binary.BigEndian.Uint16(body); v != version {
		return fmt.Errorf("%s speaks version %d of the hand-over, and this process version %d: it needs a restart", s.offer.Binary, v, version)
	}
	s.Release = string(body[2:])
	return nil
}

// Pid returns the number of the successor's process.
func (s *Successor) Pid() int { return s.cmd.Process.Pid }

// Give gives the successor the state and returns nil once it serves. After an error it
// does not, and never will: the predecessor goes on.
func (s *Successor) Give(state []byte) error {
	err := s.give(state)
	if err == nil {
		return nil
	}
	// It may have said in this very moment that it serves.
	_ = s.conn.CloseRead()
	_ = s.conn.SetReadDeadline(time.Now().Add(s.offer.Silence))
	for {
		kind, _, late := receive(s.conn)
		if late != nil {
			s.End()
			return err
		}
		if kind == kindTaken {
			return nil
		}
	}
}

func (s *Successor) give(state []byte) error {
	if err := s.conn.SetDeadline(time.Now().Add(s.offer.Silence)); err != nil {
		return err
	}
	if err := send(s.conn, kindState, state); err != nil {
		return s.why(err, "when it was to take over")
	}
	kind, body, err := receive(s.conn)
	switch {
	case err != nil:
		return s.why(err, "when it was to take over")
	case kind == kindFailed:
		return fmt.Errorf("%s cannot take over: %s", s.offer.Binary, body)
	case kind != kindTaken:
		return fmt.Errorf("%s: %w", s.offer.Binary, errMessage)
	}
	return nil
}

// endWait is how long a successor that has closed its end is given to end itself, so that
// it can be told how.
const endWait = time.Second

// why puts it into words that the successor did not say what it had to.
func (s *Successor) why(err error, when string) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s has said nothing for %v %s, and was ended", s.offer.Binary, s.offer.Silence, when)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		select {
		case <-s.ended:
			return fmt.Errorf("%s ended %s (%s)", s.offer.Binary, when, s.cmd.ProcessState)
		case <-time.After(endWait):
			return fmt.Errorf("%s ended the hand-over %s", s.offer.Binary, when)
		}
	}
	return fmt.Errorf("%s: %w", s.offer.Binary, err)
}

// End ends a successor that does not serve, and waits for it.
func (s *Successor) End() {
	_ = s.conn.Close()
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// LetGo tells the successor that this process has let go of what two cannot have.
func (s *Successor) LetGo() { _ = s.conn.Close() }
