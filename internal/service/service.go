package service

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"hedgerow/internal/cli"
	"hedgerow/internal/limit"
	"hedgerow/internal/localapi"
)

// Config says what serves, for files and for sentences.
type Config struct {
	// Program is the command's name. Members of the group of this name, if there
	// is one, may ask through the control socket.
	Program string
	// Instance names what runs once on a machine, "supernode" or `edge of
	// community "n"`.
	Instance string
	// Second are the options that allow a second one beside it, "--state-dir DIR
	// and --control PATH".
	Second string
	// Log gets what goes wrong later.
	Log *slog.Logger
}

// Service holds what a command has opened on the machine. Its methods belong to
// one goroutine.
type Service struct {
	cfg     Config
	lock    *os.File // of the state directory
	control *localapi.Listener
	release []func() // in the order of opening

	silent    atomic.Bool // the control socket has failed
	inherited bool        // from another process, which said that the service is ready
}

// New returns a Service that holds nothing yet. From then on the process keeps to the memory
// of its container.
func New(cfg Config) *Service {
	limit.KeepMemory()
	return &Service{cfg: cfg}
}

// OnClose notes what gives back something that was opened.
func (s *Service) OnClose(f func()) { s.release = append(s.release, f) }

// Close gives everything back, the last first. What is opened after it is given back
// by the next Close.
func (s *Service) Close() {
	for _, f := range slices.Backward(s.release) {
		f()
	}
	s.release = nil
}

// Lock takes the lock of a state directory, which it makes if need be.
func (s *Service) Lock(dir string) error {
	lock, err := cli.Lock(dir)
	if errors.Is(err, cli.ErrLocked) {
		return cli.Errorf(cli.Failure, "", "another %s runs on this machine: %w. For a second one type %s.", s.cfg.Instance, err, s.cfg.Second)
	}
	if err != nil {
		return StateError(err)
	}
	s.holdLock(lock)
	return nil
}

func (s *Service) holdLock(lock *os.File) {
	s.lock = lock
	s.OnClose(func() { _ = lock.Close() })
}

// StateError gives a failure with the state directory its exit code, and says what
// to type.
func StateError(err error) error {
	return cli.Failed(err, "Choose another place with --state-dir DIR.")
}

// OpenControl makes the control socket: at path, or when that is empty under a name
// in the runtime directory of the place.
func (s *Service) OpenControl(place cli.Place, path, name string) error {
	path, err := controlPath(place, path, name)
	if err != nil {
		return err
	}
	l, err := localapi.Listen(path)
	if errors.Is(err, localapi.ErrInUse) {
		return cli.Errorf(cli.Failure, "", "another %s runs on this machine (%w). For a second one type %s.", s.cfg.Instance, err, s.cfg.Second)
	}
	if err != nil {
		return cli.Failed(err, "Choose another place with --control PATH.")
	}
	// Without the group, or the right to give to it, the owner alone may ask.
	_ = localapi.ShareWith(path, s.cfg.Program)
	s.holdControl(l)
	return nil
}

func (s *Service) holdControl(l *localapi.Listener) {
	s.control = l
	s.OnClose(func() { _ = l.Close() })
}

// ControlNote says that nobody is answered on the control socket any more, why, and what to do;
// empty: it is as it should be. It asks the disk. It may be called from any goroutine once the
// socket is open.
func (s *Service) ControlNote() string {
	why := ""
	switch {
	case s.silent.Load():
		why = "has failed (the log says why)"
	case s.control.Removed():
		why = "was removed"
	default:
		return ""
	}
	return fmt.Sprintf("the control socket %s %s: '%[3]s status' and its kin get no answer. Start the %[3]s again, which makes it anew.", s.control.Path(), why, s.cfg.Program)
}

// controlPath returns where the control socket is.
func controlPath(place cli.Place, path, name string) (string, error) {
	if path != "" {
		return path, nil
	}
	dir, err := place.MakeRuntimeDir()
	if err != nil {
		return "", cli.Errorf(cli.Failure, "", "%w. Choose a place with --control PATH.", err)
	}
	return filepath.Join(dir, name), nil
}
