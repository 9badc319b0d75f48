package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/lab"
	"hedgerow/internal/upgrade"
	"hedgerow/protocol"
)

// manager plays the service manager: it has the sockets of a supernode, and starts it.
type manager struct {
	t      *testing.T
	dir    string
	files  []*os.File // UDP port, TCP port and second UDP port
	port   int
	notify *net.UnixConn
}

func newManager(t *testing.T) *manager {
	t.Helper()
	m := &manager{t: t, dir: t.TempDir()}
	add := func(f *os.File, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = f.Close() })
		m.files = append(m.files, f)
	}
	for i := range 2 {
		u, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer u.Close()
		if i == 0 {
			m.port = u.LocalAddr().(*net.UDPAddr).Port
			l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			add(u.File())
			add(l.File())
			continue
		}
		add(u.File())
	}
	var err error
	if m.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(m.dir, "notify"), Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.notify.Close() })
	return m
}

// start starts the supernode, as systemd does: the shell has the number that the supernode
// will have.
func (m *manager) start(ctx context.Context) *exec.Cmd {
	m.t.Helper()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, programs.Supernode, "--state-dir", filepath.Join(m.dir, "state"), "--control", m.socket())
	cmd.ExtraFiles = m.files
	cmd.Env = append(os.Environ(), "LISTEN_FDS=3", "LISTEN_FDNAMES=hedgerow.socket:hedgerow.socket:second", "NOTIFY_SOCKET="+filepath.Join(m.dir, "notify"))
	out, err := os.Create(filepath.Join(m.dir, "log"))
	if err != nil {
		m.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	return cmd
}

func (m *manager) socket() string { return filepath.Join(m.dir, "control") }

// hears waits for what the supernode tells its manager.
func (m *manager) hears(want string) {
	m.t.Helper()
	b := make([]byte, 256)
	_ = m.notify.SetReadDeadline(time.Now().Add(20 * time.Second))
	n, err := m.notify.Read(b)
	if said := string(b[:n]); err != nil || said != want {
		log, _ := os.ReadFile(filepath.Join(m.dir, "log"))
		m.t.Fatalf("the service manager hears %q, %v, not %q:\n%s", said, err, want, log)
	}
}

// ask sends a HELLO to the supernode's port, and answered waits for the WELCOME.
func (m *manager) ask() (answered func()) {
	m.t.Helper()
	c, err := net.Dial("udp4", fmt.Sprintf("127.0.0.1:%d", m.port))
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() { _ = c.Close() })
	hello := protocol.AppendHello(nil, [16]byte{1})
	crypto.HelloMask(nil).Hide(crypto.NewScratch(), hello)
	if _, err := c.Write(hello); err != nil {
		m.t.Fatal(err)
	}
	return func() {
		m.t.Helper()
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		if _, err := c.Read(make([]byte, 2048)); err != nil {
			log, _ := os.ReadFile(filepath.Join(m.dir, "log"))
			m.t.Fatalf("nobody answers: %v\n%s", err, log)
		}
	}
}

// A supernode uses the sockets that the service manager has opened: what comes while it does
// not run waits there and is answered by the next one, which says when it is ready. One that
// is upgraded has them still, and its manager learns of the new process.
func TestSocketActivation(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs the commands, which are not built in a short run")
	}
	lab.Require(t) // they are not built without rights either
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	m := newManager(t)
	early := m.ask()
	first := m.start(ctx)
	early()
	m.hears("READY=1")
	m.ask()()
	if err := first.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	between := m.ask()
	if c, err := net.Dial("tcp4", tcpOf(t, m.files[1])); err != nil {
		t.Errorf("a stream is refused while the supernode does not run: %v", err)
	} else {
		_ = c.Close()
	}
	second := m.start(ctx)
	m.hears("READY=1")
	between()
	done, err := upgrade.Ask(ctx, m.socket(), upgrade.Request{Binary: programs.Supernode})
	if err != nil {
		t.Fatal(err)
	}
	m.hears(fmt.Sprintf("MAINPID=%d", done.Pid))
	_ = second.Wait()
	m.ask()()
	log, err := os.ReadFile(filepath.Join(m.dir, "log"))
	if text := string(log); err != nil || !strings.Contains(text, fmt.Sprintf("listening on UDP 127.0.0.1:%d", m.port)) || !strings.Contains(text, "listening on TCP "+tcpOf(t, m.files[1])) {
		t.Errorf("it listens elsewhere: %v\n%s", err, text)
	}
	if err := syscall.Kill(done.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) { // it is no child of ours
		_, err := os.Stat(m.socket())
		ended = os.IsNotExist(err)
	}
}

// tcpOf returns where a TCP port listens.
func tcpOf(t *testing.T, f *os.File) string {
	t.Helper()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
