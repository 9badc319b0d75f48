//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A Cmd is an exec.Cmd that runs inside a namespace. Start, Run, Output,
// CombinedOutput and Wait are replaced, all else is exec.Cmd's. A command leads
// a process group of its own; the group ends with the command, and the command
// with the lab or with the process that made the lab.
type Cmd struct {
	*exec.Cmd
	space *Namespace

	once    sync.Once // Wait
	waitErr error
}

// killGrace is how long Wait goes on reading the output of a killed command's
// descendants.
const killGrace = 2 * time.Second

// Command returns a command that will run in the namespace and is killed, with
// its process group, when ctx ends. The mount namespace, user and environment
// are those of the caller.
func (n *Namespace) Command(ctx context.Context, argv ...string) *Cmd {
	c := &Cmd{Cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), space: n}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.Cancel = c.killGroup
	c.WaitDelay = killGrace
	return c
}

// Start starts the command and does not wait for it.
func (c *Cmd) Start() error {
	return c.space.resident(func() error {
		// Locked throughout, so that a context which ends meanwhile finds the
		// command among those that may be killed.
		c.space.mu.Lock()
		defer c.space.mu.Unlock()
		if err := c.Cmd.Start(); err != nil {
			return err
		}
		c.space.commands[c] = struct{}{}
		return nil
	})
}

// Wait waits for the command to end and returns the result of exec.Cmd's Wait,
// at every call. The rest of its process group is killed.
func (c *Cmd) Wait() error {
	if c.Process == nil {
		return c.Cmd.Wait()
	}
	c.once.Do(func() {
		for {
			var info unix.Siginfo
			err := unix.Waitid(unix.P_PID, c.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil)
			if !errors.Is(err, unix.EINTR) {
				break
			}
		}
		// The leader is a zombie until Cmd.Wait: its number is still ours.
		c.killGroup()
		c.space.mu.Lock()
		delete(c.space.commands, c)
		c.space.mu.Unlock()
		c.waitErr = c.Cmd.Wait()
	})
	return c.waitErr
}

// Run starts the command and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// Output runs the command and returns its standard output. The error carries no
// standard error; set Stderr to see it.
func (c *Cmd) Output() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout = &out
	err := c.Run()
	return out.Bytes(), err
}

// CombinedOutput runs the command and returns its standard output and standard
// error.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Signal sends a signal to the command, not to the rest of its group.
func (c *Cmd) Signal(s os.Signal) error {
	if c.Process == nil {
		return errors.New("lab: command not started")
	}
	return c.Process.Signal(s)
}

// Kill ends the command and its process group by SIGKILL, waits for it, and
// returns Wait's error ("signal: killed").
func (c *Cmd) Kill() error {
	if c.Process == nil {
		return errors.New("lab: command not started")
	}
	c.killGroup()
	return c.Wait()
}

// killGroup kills the process group while its number is certainly the
// command's.
func (c *Cmd) killGroup() error {
	c.space.mu.Lock()
	defer c.space.mu.Unlock()
	if _, ok := c.space.commands[c]; !ok {
		return os.ErrProcessDone
	}
	err := unix.Kill(-c.Process.Pid, unix.SIGKILL)
	if errors.Is(err, unix.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// killInside kills every other process in the namespaces: the commands, and the
// processes that they left behind.
func killInside(spaces []*Namespace) error {
	var ours []uint64
	for _, n := range spaces {
		var st unix.Stat_t
		if err := unix.Fstat(int(n.handle), &st); err != nil {
			return err
		}
		ours = append(ours, st.Ino)
	}
	deadline := time.Now().Add(killGrace)
	for {
		inside := processesIn(ours)
		if len(inside) == 0 {
			return nil
		}
		for _, pid := range inside {
			unix.Kill(pid, unix.SIGKILL)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v do not end", inside)
		}
		time.Sleep(time.Millisecond)
	}
}

// processesIn lists the processes, except this one, whose network namespace has
// one of the inode numbers. A zombie is in none.
func processesIn(inodes []uint64) (pids []int) {
	paths, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		if err != nil || pid == os.Getpid() {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && slices.Contains(inodes, st.Ino) {
			pids = append(pids, pid)
		}
	}
	return pids
}
