package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"hedgerow/crypto"
	"hedgerow/supernode"
)

// server is a supernode on this host's loopback, and its state.
type server struct {
	program, dir string
	more         []string       // of its command line
	at           netip.AddrPort // it is reached there; the port stays the same
	key          [32]byte
	cmd          *exec.Cmd
}

// newServer starts a supernode whose state is kept in dir, with more arguments.
func newServer(ctx context.Context, program, dir string, more ...string) (*server, error) {
	s := &server{program: program, dir: dir, more: more}
	if err := s.start(ctx); err != nil {
		return nil, err
	}
	id, _, err := crypto.LoadIdentity(filepath.Join(dir, supernode.IdentityFile))
	if err != nil {
		return nil, errors.Join(err, s.kill())
	}
	s.key = id.Static
	return s, nil
}

// start starts it, or starts it again, and returns when it listens.
func (s *server) start(ctx context.Context) error {
	s.cmd = exec.CommandContext(ctx, s.program, append([]string{"-p", strconv.Itoa(int(s.at.Port())), "--second-port", "off", "--tls-listen", "off",
		"--state-dir", s.dir, "--control", s.socket()}, s.more...)...)
	var said strings.Builder
	s.cmd.Stderr = &said
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, at, ok := strings.Cut(lines.Text(), "listening on UDP "); ok {
			bound, err := netip.ParseAddrPort(at)
			if err != nil {
				return errors.Join(err, s.kill())
			}
			s.at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), bound.Port())
			go func() { // it may say more
				for lines.Scan() {
				}
			}()
			return nil
		}
	}
	return fmt.Errorf("the supernode ended: %w\n%s", s.cmd.Wait(), said.String())
}

// socket is where its control socket is.
func (s *server) socket() string { return filepath.Join(s.dir, "control.sock") }

// kill ends it by SIGKILL.
func (s *server) kill() error {
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	// Its error says that it was killed.
	_ = s.cmd.Wait()
	return nil
}

// spent returns how many CPU seconds it has used.
func (s *server) spent() (float64, error) {
	t, err := readTimes(nil, []int{s.cmd.Process.Pid})
	return t.processes, err
}
