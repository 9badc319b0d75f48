//go:build linux

// Command demo shows hedgerow at work on one machine: it makes a small internet
// out of network namespaces, starts a supernode and three edges in it, sends
// real traffic, and leaves nothing behind. It needs root and the two commands:
//
//	make build && sudo go run ./integration/demo -bin bin
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// Exit codes, as the commands have them.
const (
	exitFailure    = 1
	exitUsage      = 2
	exitPermission = 3
)

// limit is how long everything may take.
const limit = 55 * time.Second

func main() {
	bin := flag.String("bin", "bin", "folder of the commands edge and supernode")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "unexpected argument %q: only -bin is known\n", flag.Arg(0))
		os.Exit(exitUsage)
	}
	if err := lab.Available(); err != nil {
		fmt.Fprintf(os.Stderr, "the demonstration makes network namespaces: %v. Type: sudo make demo\n", err)
		os.Exit(exitPermission)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := run(ctx, *bin); err != nil {
		fmt.Fprintln(os.Stderr, "the demonstration failed:", err)
		os.Exit(exitFailure)
	}
}

// show is the demonstration under way.
type show struct {
	ctx   context.Context
	began time.Time
	rig   *rig.Rig
	lab   *lab.Lab
	homeA *lab.Router
	homeB *lab.Router

	super, alice, bob, carol *rig.Program
	addresses                map[string]netip.Addr
}

// run makes everything in a folder of its own, and takes it away again however
// the demonstration ends.
func run(ctx context.Context, bin string) (err error) {
	bin, err = filepath.Abs(bin)
	if err != nil {
		return err
	}
	programs := rig.In(bin)
	for _, path := range []string{programs.Edge, programs.Supernode} {
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w. Type: make build", err)
		}
	}
	dir, err := os.MkdirTemp("", "hedgerow-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	l, err := lab.New("demo")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	s := &show{
		ctx: ctx, began: time.Now(), lab: l, rig: &rig.Rig{Programs: programs, Dir: dir},
		addresses: make(map[string]netip.Addr),
	}
	before, err := links()
	if err != nil {
		return err
	}
	for _, act := range []func() error{
		s.internet, s.start, s.relayed, s.broadcast, s.direct, s.transfer, s.withoutSupernode, s.leave,
	} {
		if err := act(); err != nil {
			return err
		}
	}
	return s.verifyGone(before)
}

func (s *show) say(format string, args ...any) {
	fmt.Printf("\n%4.1f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// indent prints what a program said, with the command that a user would type.
func indent(command, text string) {
	fmt.Printf("         # %s\n", command)
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		fmt.Print("           ", line)
	}
}

func (s *show) internet() error {
	s.say("A small internet in network namespaces: two homes behind port-restricted\n" +
		"         NATs with the same 192.168.1.0/24 inside, a host that has only IPv6,\n" +
		"         and a public host for the supernode.")
	var err error
	if s.homeA, err = s.lab.Router("home-a", "198.51.100.1", lab.PortRestricted); err != nil {
		return err
	}
	s.homeB, err = s.lab.Router("home-b", "198.51.100.2", lab.PortRestricted)
	return err
}

const (
	key       = "correct horse battery staple on the roof"
	community = "mynetwork"
)

func (s *show) start() error {
	host, err := s.lab.Host("super", "203.0.113.1", "2001:db8:1::1")
	if err != nil {
		return err
	}
	if s.super, err = s.rig.Supernode(s.ctx, host, "super"); err != nil {
		return err
	}
	if err := s.super.Await(s.ctx, "listening"); err != nil {
		return err
	}
	indent("supernode -p 7654", s.super.Log())
	// The direct way is held closed at first: it is found so fast that the
	// relay would hardly be seen.
	if err := errors.Join(s.homeA.Block(s.homeB.WAN()), s.homeB.Block(s.homeA.WAN())); err != nil {
		return err
	}
	a, err := s.homeA.Host("alice")
	if err != nil {
		return err
	}
	b, err := s.homeB.Host("bob")
	if err != nil {
		return err
	}
	c, err := s.lab.Host("carol", "2001:db8:2::7")
	if err != nil {
		return err
	}
	for _, m := range []struct {
		program **rig.Program
		host    *lab.Host
		super   string
	}{{&s.alice, a, "203.0.113.1:7654"}, {&s.bob, b, "203.0.113.1:7654"}, {&s.carol, c, "[2001:db8:1::1]:7654"}} {
		if *m.program, err = s.edge(m.host, m.super); err != nil {
			return err
		}
	}
	s.say("Three edges joined. Each has an address that the supernode leased:")
	for _, p := range []*rig.Program{s.alice, s.bob, s.carol} {
		prefix, err := s.rig.AwaitAddress(s.ctx, p)
		if err != nil {
			return err
		}
		s.addresses[p.Name] = prefix.Addr()
		fmt.Printf("           %-6s %s\n", p.Name, prefix)
	}
	return nil
}

// edge starts an edge, and shows the command and what it said for the first.
func (s *show) edge(h *lab.Host, super string) (*rig.Program, error) {
	// The key goes into a file: the command line is for everybody to read.
	file := filepath.Join(s.rig.Dir, h.Name()+".key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		return nil, err
	}
	p, err := s.rig.Edge(s.ctx, h, h.Name(), "-c", community, "--key-file", file, "-l", super)
	if err != nil {
		return nil, err
	}
	if err := p.Await(s.ctx, "ready in"); err != nil {
		return nil, err
	}
	if s.alice == nil {
		indent("edge -c "+community+" --key-file key -l "+super, p.Log())
	}
	return p, nil
}

// ping pings until an answer comes, and prints its time.
func (s *show) ping(from, to *rig.Program) error {
	for {
		rtt, err := from.Host.Ping(s.ctx, s.addresses[to.Name])
		if err == nil {
			fmt.Printf("           %s -> %s %s: answered in %v\n", from.Name, to.Name, s.addresses[to.Name], rtt.Round(10*time.Microsecond))
			return nil
		}
		if s.ctx.Err() != nil {
			return fmt.Errorf("%s gets no answer from %s: %w\n%s", from.Name, to.Name, err, from.Log())
		}
	}
}

func (s *show) relayed() error {
	s.say("Pings cross through the relay, from the first one on (the direct way is\n" +
		"         held closed for a moment, to show it):")
	for _, pair := range [][2]*rig.Program{{s.alice, s.bob}, {s.bob, s.carol}, {s.carol, s.alice}} {
		if err := s.ping(pair[0], pair[1]); err != nil {
			return err
		}
	}
	for {
		peer, err := s.rig.AwaitPath(s.ctx, s.alice, "bob", control.PathRelay)
		if err != nil {
			return err
		}
		if peer.RTTms != nil {
			return s.peers(s.alice)
		}
	}
}

// peers shows what "edge peers" prints.
func (s *show) peers(p *rig.Program) error {
	out, err := exec.CommandContext(s.ctx, s.rig.Programs.Edge, "peers", "--control", s.rig.Socket(p.Name)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("edge peers: %w\n%s", err, out)
	}
	indent("edge peers                  (on "+p.Name+")", string(out))
	return nil
}

func (s *show) direct() error {
	s.say("The way between the homes opens; both NATs are punched at one moment:")
	if err := errors.Join(s.homeA.Unblock(s.homeB.WAN()), s.homeB.Unblock(s.homeA.WAN())); err != nil {
		return err
	}
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(s.ctx)
	go func() { // a path is looked for while frames pass
		defer close(ended)
		for ctx.Err() == nil {
			s.alice.Host.Ping(ctx, s.addresses["bob"])
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	_, err := s.rig.AwaitPath(s.ctx, s.alice, "bob", control.PathDirect)
	if err == nil {
		_, err = s.rig.AwaitPath(s.ctx, s.bob, "alice", control.PathDirect)
	}
	cancel()
	<-ended
	if err != nil {
		return err
	}
	if err := s.ping(s.alice, s.bob); err != nil {
		return err
	}
	return s.peers(s.alice)
}

func (s *show) withoutSupernode() error {
	s.say("The supernode is killed. Direct traffic goes on:")
	if err := s.super.Kill(); err != nil {
		return err
	}
	const pings = 20
	for i := range pings {
		if _, err := s.alice.Host.Ping(s.ctx, s.addresses["bob"]); err != nil {
			return fmt.Errorf("ping %d without the supernode: %w", i+1, err)
		}
	}
	fmt.Printf("           alice -> bob: %d of %d pings answered\n", pings, pings)
	return s.move(1 << 20)
}

func (s *show) leave() error {
	s.say("Everybody leaves.")
	for _, p := range []*rig.Program{s.alice, s.bob, s.carol} {
		if err := p.Stop(); err != nil {
			return fmt.Errorf("%s: %w\n%s", p.Name, err, p.Log())
		}
	}
	return s.lab.Close()
}

// verifyGone makes sure that the machine is as it was.
func (s *show) verifyGone(before string) error {
	after, err := links()
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("the network interfaces are not what they were:\n%s\nnow\n%s", before, after)
	}
	s.say("Nothing is left behind: no namespace, no process, no interface.")
	return nil
}
