package attack

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
	"hedgerow/internal/printed"
)

// confinement is how a command runs that must not see the machine as it is: in
// a mount namespace of its own, and perhaps as another user without any
// capability. Nothing outside changes.
type confinement struct {
	at     *lab.Host
	mounts func() error // inside the mount namespace, before the command starts
	user   uint32       // 0: root
}

// nobody is a user that owns nothing.
const nobody = 65534

// run runs a command to its end and returns what it said and its exit code.
func (c confinement) run(t *testing.T, argv ...string) (said string, code int) {
	t.Helper()
	p := c.start(t, argv...)
	return p.wait(t)
}

// confined is a running command.
type confined struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	said   printed.Text
}

// start starts a command; it is killed when the test ends.
func (c confinement) start(t *testing.T, argv ...string) *confined {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	p := &confined{cmd: exec.CommandContext(ctx, argv[0], argv[1:]...), cancel: cancel}
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	if c.user != 0 {
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: c.user, Gid: c.user}}
	}
	result := make(chan error, 1)
	go c.enter(p.cmd, result)
	if err := <-result; err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = p.cmd.Wait() })
	return p
}

// enter makes the mount namespace on a thread of its own, which ends with it,
// and starts the command from there.
func (c confinement) enter(cmd *exec.Cmd, result chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// /proc/self shows the mounts of the first thread: another one goes.
		other := make(chan error)
		go c.enter(cmd, other)
		err := <-other
		runtime.UnlockOSThread()
		result <- err
		return
	}
	result <- func() error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return err
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return err
		}
		if c.mounts != nil {
			if err := c.mounts(); err != nil {
				return err
			}
		}
		return c.at.Do(cmd.Start)
	}()
}

// wait waits for the end of the command.
func (p *confined) wait(t *testing.T) (said string, code int) {
	t.Helper()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return p.said.String(), p.cmd.ProcessState.ExitCode()
}

// await waits until text was written.
func await(t *testing.T, said *printed.Text, text string, limit time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(limit); !strings.Contains(said.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not said in %v: %s\nbut: %s", limit, text, said.String())
		}
	}
}

// hideTUN puts an empty folder in the place of /dev/net, and of the modules, where there are
// any: those of the running kernel may be gone.
func hideTUN() error {
	_ = unix.Mount("none", "/lib/modules", "tmpfs", 0, "mode=0755")
	return unix.Mount("none", "/dev/net", "tmpfs", 0, "mode=0755")
}

// tunWithMode puts a device node with that mode in the place of /dev/net/tun.
func tunWithMode(mode uint32) func() error {
	return func() error {
		if err := hideTUN(); err != nil {
			return err
		}
		const major, minor = 10, 200
		node := "/dev/net/tun"
		if err := unix.Mknod(node, unix.S_IFCHR|mode, int(unix.Mkdev(major, minor))); err != nil {
			return err
		}
		return os.Chmod(node, os.FileMode(mode)) // whatever the mask of the process
	}
}

// resolver makes a name server the only one, asked once and for a second.
func resolver(t *testing.T, address string) func() error {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver "+address+"\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	target, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		t.Skipf("no /etc/resolv.conf to cover: %v", err)
	}
	return func() error { return unix.Mount(file, target, "", unix.MS_BIND, "") }
}
