//go:build linux

// Package rig runs the real commands in the namespaces of package lab: it starts
// supernodes and edges, waits for lines of their logs, asks them over their
// control sockets, and ends them. Tests, the demonstration and the benchmarks
// share it.
package rig

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/supernode/admin"
)

// Programs are the paths of the commands under test.
type Programs struct{ Edge, Supernode string }

// Build builds both commands into a folder.
func Build(ctx context.Context, dir string) (Programs, error) {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", dir+"/", "hedgerow/edge/cmd/edge", "hedgerow/supernode/cmd/supernode")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return Programs{}, fmt.Errorf("build: %w\n%s", err, out)
	}
	return in(dir), nil
}

// in returns the commands in a folder.
func in(dir string) Programs {
	return Programs{Edge: filepath.Join(dir, "edge"), Supernode: filepath.Join(dir, "supernode")}
}

// Rig keeps the state of the programs of one lab in a folder.
type Rig struct {
	Programs
	Dir string
}

// Program is a running supernode or edge.
type Program struct {
	Name   string
	Host   *lab.Host
	Socket string // where it is asked: Peers, Status and the like
	args   []string
	cmd    *lab.Cmd
	log    *log
}

// log keeps a program's output and wakes goroutines that wait for a line.
type log struct {
	mu    sync.Mutex
	text  strings.Builder
	lines chan struct{} // closed and replaced at each line
	ended chan struct{} // closed when nothing more comes
}

// Supernode starts a supernode on a host, on port 7654.
func (r *Rig) Supernode(ctx context.Context, h *lab.Host, name string, more ...string) (*Program, error) {
	dir := filepath.Join(r.Dir, name)
	args := append([]string{r.Programs.Supernode, "-p", "7654", "--state-dir", dir, "--control", dir + ".sock"}, more...)
	p := &Program{Name: name, Host: h, Socket: dir + ".sock", args: args}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return p, p.Start(ctx)
}

// Run starts a program with exactly these arguments. The rig can ask it when
// socket is the path of its control socket.
func (r *Rig) Run(ctx context.Context, h *lab.Host, name, socket string, argv ...string) (*Program, error) {
	p := &Program{Name: name, Host: h, Socket: socket, args: argv}
	return p, p.Start(ctx)
}

// Edge starts an edge on a host; more are arguments such as -l and -k. Its
// device is edge0, its name is name.
func (r *Rig) Edge(ctx context.Context, h *lab.Host, name string, more ...string) (*Program, error) {
	dir := filepath.Join(r.Dir, name)
	args := append([]string{r.Programs.Edge, "--name", name, "-d", "edge0", "--state-dir", dir, "--control", r.Socket(name)}, more...)
	p := &Program{Name: name, Host: h, Socket: r.Socket(name), args: args}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return p, p.Start(ctx)
}

// Socket returns the path of an edge's control socket.
func (r *Rig) Socket(name string) string { return filepath.Join(r.Dir, name+".sock") }

// Start starts the program, or starts it again after its end.
func (p *Program) Start(ctx context.Context) error {
	p.cmd = p.Host.Command(ctx, p.args...)
	p.log = &log{lines: make(chan struct{}), ended: make(chan struct{})}
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	err = p.cmd.Start()
	in.Close()
	if err != nil {
		out.Close()
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	go p.log.read(out)
	return nil
}

func (l *log) read(r io.ReadCloser) {
	defer close(l.ended)
	defer r.Close()
	for s := bufio.NewScanner(r); s.Scan(); {
		l.mu.Lock()
		l.text.WriteString(s.Text() + "\n")
		close(l.lines)
		l.lines = make(chan struct{})
		l.mu.Unlock()
	}
}

// drain waits until all that a program has said before its end is read. One that goes on in
// another process, as after an upgrade, may still say something: it is not waited for.
func (l *log) drain() {
	select {
	case <-l.ended:
	case <-time.After(time.Second):
	}
}

// Log returns the program's output since its start.
func (p *Program) Log() string {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.text.String()
}

// Await waits until the program has printed text.
func (p *Program) Await(ctx context.Context, text string) error {
	for {
		p.log.mu.Lock()
		found, more := strings.Contains(p.log.text.String(), text), p.log.lines
		p.log.mu.Unlock()
		if found {
			return nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return fmt.Errorf("%s did not say %q: %w\n%s", p.Name, text, ctx.Err(), p.Log())
		}
	}
}

// Stop ends the program by SIGTERM and waits for it.
func (p *Program) Stop() error {
	if err := p.cmd.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	err := p.cmd.Wait()
	p.log.drain()
	return err
}

// Kill ends the program by SIGKILL and waits for it.
func (p *Program) Kill() error {
	var exit *exec.ExitError
	if err := p.cmd.Kill(); !errors.As(err, &exit) {
		return err
	}
	return nil
}

// Wait waits for the program to end and for its last words, and returns its exit code.
func (p *Program) Wait() (code int, err error) {
	err = p.cmd.Wait()
	p.log.drain()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// Signal sends the program a signal.
func (p *Program) Signal(s os.Signal) error { return p.cmd.Signal(s) }

// Pid returns the process's id.
func (p *Program) Pid() int { return p.cmd.Process.Pid }

// Peers asks an edge for its peers, as its user would.
func (r *Rig) Peers(ctx context.Context, p *Program) ([]control.Peer, error) {
	var peers []control.Peer
	return peers, r.ask(ctx, p, "peers", &peers)
}

// Status asks an edge for its state.
func (r *Rig) Status(ctx context.Context, p *Program) (control.Status, error) {
	var s control.Status
	return s, r.ask(ctx, p, "status", &s)
}

// FDB asks an edge for its forwarding database.
func (r *Rig) FDB(ctx context.Context, p *Program) (control.FDB, error) {
	var f control.FDB
	return f, r.ask(ctx, p, "fdb", &f)
}

// Routes asks an edge for what it knows of networks behind others.
func (r *Rig) Routes(ctx context.Context, p *Program) (control.Routes, error) {
	var v control.Routes
	return v, r.ask(ctx, p, "routes", &v)
}

// Keys asks an edge for its key schedule.
func (r *Rig) Keys(ctx context.Context, p *Program) (control.Keys, error) {
	var k control.Keys
	return k, r.ask(ctx, p, "keys", &k)
}

// Counters asks an edge for the counters of its data path.
func (r *Rig) Counters(ctx context.Context, p *Program) (control.Counters, error) {
	var c control.Counters
	return c, r.ask(ctx, p, "counters", &c)
}

// SupernodeStatus asks a supernode for its state.
func (r *Rig) SupernodeStatus(ctx context.Context, p *Program) (admin.Status, error) {
	var s admin.Status
	return s, query(ctx, &s, r.Programs.Supernode, "status", "--json", "--control", p.Socket)
}

// Grown returns by how much counters have grown, of those that have.
func Grown(before, after map[string]uint64) map[string]uint64 {
	diff := make(map[string]uint64)
	for name, n := range after {
		if n > before[name] {
			diff[name] = n - before[name]
		}
	}
	return diff
}

func (r *Rig) ask(ctx context.Context, p *Program, what string, v any) error {
	return query(ctx, v, r.Programs.Edge, what, "--json", "--control", p.Socket)
}

// query runs a command that prints a document.
func query(ctx context.Context, v any, argv ...string) error {
	out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(argv, " "), err, out)
	}
	return json.Unmarshal(out, v)
}

// poll is how often a state without an event is looked at.
const poll = 50 * time.Millisecond

// AwaitPath waits until an edge reaches the peer with a name by a path.
func (r *Rig) AwaitPath(ctx context.Context, from *Program, to string, path control.Path) (control.Peer, error) {
	var last []control.Peer
	for {
		peers, err := r.Peers(ctx, from)
		if err == nil {
			last = peers
			for _, p := range peers {
				if p.Name == to && p.Path == path {
					return p, nil
				}
			}
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return control.Peer{}, fmt.Errorf("%s does not reach %s by %q: %w; it has %+v\n%s", from.Name, to, path, ctx.Err(), last, from.Log())
		}
	}
}

// AwaitAddress waits until an edge has an IPv4 address on its device, and
// returns it.
func (r *Rig) AwaitAddress(ctx context.Context, p *Program) (netip.Prefix, error) {
	for {
		s, err := r.Status(ctx, p)
		if err == nil {
			for _, text := range s.Prefixes {
				if prefix, err := netip.ParsePrefix(text); err == nil && prefix.Addr().Is4() {
					return prefix, nil
				}
			}
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return netip.Prefix{}, fmt.Errorf("%s has no address: %w\n%s", p.Name, ctx.Err(), p.Log())
		}
	}
}
