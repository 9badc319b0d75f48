//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestCommand(t *testing.T) {
	l := ForTest(t)
	h := Must(l.Host("h", "203.0.113.1"))
	want := Must(os.Readlink(h.Path()))
	script := "readlink /proc/self/ns/net; echo problem >&2; exit 4"

	var exit *exec.ExitError
	out, err := h.Command(t.Context(), "sh", "-c", script).Output()
	if !errors.As(err, &exit) || exit.ExitCode() != 4 || strings.TrimSpace(string(out)) != want {
		t.Errorf("Output: %q, %v; want %s", out, err, want)
	}
	out, err = h.Command(t.Context(), "sh", "-c", script).CombinedOutput()
	if !errors.As(err, &exit) || strings.TrimSpace(string(out)) != want+"\nproblem" {
		t.Errorf("CombinedOutput: %q, %v", out, err)
	}
	c := h.Command(t.Context(), "cat")
	var b bytes.Buffer
	c.Stdin, c.Stdout = strings.NewReader("through"), &b
	if err := c.Run(); err != nil || b.String() != "through" {
		t.Errorf("Run: %q, %v", b.String(), err)
	}
	if err := h.Command(t.Context(), "no-such-program").Start(); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("a program that does not exist: %v", err)
	}
	if err := h.Command(t.Context(), "true").Wait(); err == nil {
		t.Error("Wait before Start succeeded")
	}
}

func TestCommandEnds(t *testing.T) {
	l := ForTest(t)
	h := Must(l.Host("h", "203.0.113.1"))
	ends := []struct {
		name string
		end  func(*Cmd, context.CancelFunc) error
		want syscall.Signal
	}{
		{"signal", func(c *Cmd, _ context.CancelFunc) error { return c.Signal(syscall.SIGTERM) }, syscall.SIGTERM},
		{"kill", func(c *Cmd, _ context.CancelFunc) error { c.Kill(); return nil }, syscall.SIGKILL},
		{"context", func(_ *Cmd, cancel context.CancelFunc) error { cancel(); return nil }, syscall.SIGKILL},
	}
	for _, e := range ends {
		t.Run(e.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := h.Command(ctx, "sleep", "1000")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			if err := e.end(c, cancel); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second Wait answers as the first
				c.Wait()
			}
			if got := c.ProcessState.Sys().(syscall.WaitStatus).Signal(); got != e.want {
				t.Errorf("ended by %v, want %v", got, e.want)
			}
			if err := c.Kill(); c.Wait() != err {
				t.Errorf("Kill after the end: %v", err)
			}
		})
	}
}

// What a command leaves in its process group ends with it, so that Wait does
// not wait for the descendant's output.
func TestCommandGroup(t *testing.T) {
	l := ForTest(t)
	start := time.Now()
	out, err := Must(l.Host("h")).Command(t.Context(), "sh", "-c", "sleep 1000 & echo done").Output()
	if err != nil || string(out) != "done\n" || time.Since(start) > killGrace {
		t.Errorf("%q, %v, %s", out, err, time.Since(start))
	}
}

// Do leaves the thread as it was, whatever happens inside, and nests.
func TestDo(t *testing.T) {
	l := ForTest(t)
	a, b := Must(l.Host("a", "203.0.113.1")), Must(l.Host("b", "203.0.113.2"))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here := func() string { return Must(os.Readlink("/proc/thread-self/ns/net")) }
	origin := here()
	wrong := errors.New("wrong")
	err := a.Do(func() error {
		if here() != Must(os.Readlink(a.Path())) {
			t.Error("Do is not in its namespace")
		}
		b.Do(func() error { return nil })
		if here() != Must(os.Readlink(a.Path())) {
			t.Error("the inner Do does not return to the outer namespace")
		}
		return wrong
	})
	if err != wrong || here() != origin {
		t.Errorf("error %v, in the first namespace: %v", err, here() == origin)
	}
	func() {
		defer func() { recover() }()
		a.Do(func() error { panic("inside") })
	}()
	if here() != origin {
		t.Error("a panic leaves the thread in the namespace")
	}
}

// The first thread of the process is never the one that stays in a namespace:
// what /proc/self/net shows would be that of the lab.
func TestMainThread(t *testing.T) {
	Require(t)
	for range 20 {
		defer Must(New("many")).Close()
	}
	var own, main unix.Stat_t
	err := errors.Join(unix.Stat("/proc/self/ns/net", &main), unix.Stat("/proc/thread-self/ns/net", &own))
	if err != nil || main.Ino != own.Ino {
		t.Errorf("the first thread is in namespace %d, this one in %d: %v", main.Ino, own.Ino, err)
	}
}

func TestSockets(t *testing.T) {
	l := ForTest(t)
	a, b := Must(l.Host("a", "203.0.113.1")), Must(l.Host("b", "203.0.113.2"))
	listener := Must(a.Listen("tcp", "203.0.113.1:80"))
	defer listener.Close()
	conn := Must(b.Dial(t.Context(), "tcp", "203.0.113.1:80"))
	defer conn.Close()
	accepted := Must(listener.Accept())
	defer accepted.Close()
	if got := accepted.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != b.Addr() {
		t.Errorf("the connection comes from %s", got)
	}
}

func TestSysctl(t *testing.T) {
	l := ForTest(t)
	a, b := Must(l.Host("a")), Must(l.Host("b"))
	const name = "net/ipv4/ip_default_ttl"
	before := Must(b.ReadSysctl(name))
	if err := a.Sysctl(name, "17"); err != nil {
		t.Fatal(err)
	}
	if Must(a.ReadSysctl(name)) != "17" || Must(b.ReadSysctl(name)) != before {
		t.Error("a setting of one host is that of another")
	}
	if err := a.Sysctl("net/ipv4/no_such_thing", "1"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a setting that does not exist: %v", err)
	}
	bridged, err := os.ReadDir("/proc/sys/net/bridge")
	if err != nil {
		t.Skip("br_netfilter is not loaded")
	}
	for _, f := range bridged {
		if strings.HasPrefix(f.Name(), "bridge-nf-call-") && Must(a.ReadSysctl(filepath.Join("net/bridge", f.Name()))) != "0" {
			t.Errorf("%s is on", f.Name())
		}
	}
}
