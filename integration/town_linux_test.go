package integration

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// programs are the commands under test. TestMain builds them before any test.
var programs rig.Programs

// whole asks for what was promised, and takes as long as that.
var whole = flag.Bool("whole", false, "OSPF hellos for 20 minutes and a bridge that could carry itself for 5, not for some seconds")

func TestMain(m *testing.M) { os.Exit(rig.RunTests(m, &programs)) }

// Where the supernode of a town is.
const (
	superAddr  = "203.0.113.1"
	superAddr6 = "2001:db8:1::1"
	superPort  = "7654"
	overIPv4   = superAddr + ":" + superPort
	overIPv6   = "[" + superAddr6 + "]:" + superPort
)

// town is a lab in which the real commands run. What they said is shown when
// the test fails.
type town struct {
	*lab.Lab
	rig.Rig
	t     *testing.T
	ctx   context.Context
	super *rig.Program
}

// member is an edge in a town.
type member struct {
	*rig.Program
	town *town
}

// patience is what a test may take beyond its limit on a machine that is busy: the limit
// of a test finds what hangs, and judges no speed.
const patience = 2 * time.Minute

// newTown makes an internet with a supernode on it, for a test that may take
// that long. Those that count every frame at a high rate do not run in parallel
// with others: what a machine that is too busy loses says nothing.
func newTown(t *testing.T, limit time.Duration) *town {
	t.Helper()
	w := newQuietTown(t, limit)
	w.super = w.supernode("super", superAddr, superAddr6)
	return w
}

// newQuietTown makes an internet without a supernode.
func newQuietTown(t *testing.T, limit time.Duration) *town {
	t.Helper()
	if testing.Short() {
		t.Skip("runs the commands, which are the same with and without -race; takes seconds")
	}
	lab.Require(t)
	dir := t.TempDir() // before the lab, which ends the programs that write into it before it is removed
	w := &town{Lab: lab.ForTest(t), t: t, Rig: rig.Rig{Programs: programs, Dir: dir}}
	ctx, cancel := context.WithTimeout(context.Background(), limit+patience)
	t.Cleanup(cancel)
	w.ctx = ctx
	return w
}

// watch shows what a program said if the test fails.
func (w *town) watch(p *rig.Program) {
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("%s said:\n%s", p.Name, p.Log())
		}
	})
}

// supernode starts a supernode on a new public host of the same name.
func (w *town) supernode(name string, addresses ...string) *rig.Program {
	w.t.Helper()
	p := lab.Must(w.Rig.Supernode(w.ctx, lab.Must(w.Host(name, addresses...)), name))
	w.watch(p)
	w.await(p, "listening on")
	return p
}

// home makes a host behind a home router; number tells the homes of a town
// apart. Of more, see lab.Router.
func (w *town) home(name string, number int, kind lab.Kind, more ...string) *lab.Host {
	w.t.Helper()
	router := lab.Must(w.Router("home-"+name, fmt.Sprintf("198.51.100.%d", number), kind, more...))
	return lab.Must(router.Host(name))
}

// start starts an edge of the host's name, in the community of the town unless
// more says otherwise.
func (w *town) start(h *lab.Host, more ...string) *member {
	w.t.Helper()
	p := lab.Must(w.Rig.Edge(w.ctx, h, h.Name(), more...))
	w.watch(p)
	return newMember(w, p)
}

// newMember returns a running edge as a member, whose state is shown if the
// test fails.
func newMember(w *town, p *rig.Program) *member {
	w.t.Cleanup(func() {
		if !w.t.Failed() {
			return
		}
		for _, question := range []string{"status", "peers"} {
			out, _ := exec.CommandContext(w.ctx, programs.Edge, question, "--control", p.Socket).CombinedOutput()
			w.t.Logf("%s of %s:\n%s", question, p.Name, out)
		}
	})
	return &member{Program: p, town: w}
}

// join is start with the usual community and key.
func (w *town) join(h *lab.Host, supernode string, more ...string) *member {
	w.t.Helper()
	return w.start(h, append([]string{"-c", "town", "-k", "correct horse battery staple", "-l", supernode}, more...)...)
}

// pair starts an edge in each of two homes behind routers of a kind.
func (w *town) pair(kind lab.Kind, more ...string) (left, right *member) {
	w.t.Helper()
	left = w.join(w.home("left", 1, kind), overIPv4, more...)
	right = w.join(w.home("right", 2, kind), overIPv4, more...)
	return left, right
}

// await ends the test unless a program says a text.
func (w *town) await(p *rig.Program, text string) {
	w.t.Helper()
	if err := p.Await(w.ctx, text); err != nil {
		w.t.Fatal(err)
	}
}

// addr returns the IPv4 address of the edge, when it has one.
func (m *member) addr() netip.Addr { return m.prefix().Addr() }

// prefix is addr with its length.
func (m *member) prefix() netip.Prefix {
	m.town.t.Helper()
	p, err := m.town.AwaitAddress(m.town.ctx, m.Program)
	if err != nil {
		m.town.t.Fatal(err)
	}
	return p
}

// status asks the edge for its state.
func (m *member) status() control.Status {
	m.town.t.Helper()
	s, err := m.town.Status(m.town.ctx, m.Program)
	if err != nil {
		m.town.t.Fatal(err)
	}
	return s
}

// addr6 returns the address that comes from the edge's identity.
func (m *member) addr6() netip.Addr {
	m.town.t.Helper()
	for _, text := range m.status().Prefixes {
		if p, err := netip.ParsePrefix(text); err == nil && p.Addr().Is6() {
			return p.Addr()
		}
	}
	m.town.t.Fatalf("%s has no IPv6 address", m.Name)
	return netip.Addr{}
}

// reach waits until the edge reaches another one by a path.
func (m *member) reach(other *member, path control.Path) control.Peer {
	m.town.t.Helper()
	p, err := m.town.AwaitPath(m.town.ctx, m.Program, other.Name, path)
	if err != nil {
		m.town.t.Fatal(err)
	}
	return p
}

// path returns how the edge reaches another one now.
func (m *member) path(other *member) control.Path {
	m.town.t.Helper()
	peers, err := m.town.Peers(m.town.ctx, m.Program)
	if err != nil {
		m.town.t.Fatal(err)
	}
	for _, p := range peers {
		if p.Name == other.Name {
			return p.Path
		}
	}
	return control.PathNone
}

// ping sends one ping over the overlay and ends the test if it is not answered
// in time.
func (m *member) ping(to netip.Addr, within time.Duration) time.Duration {
	m.town.t.Helper()
	ctx, cancel := context.WithTimeout(m.town.ctx, within)
	defer cancel()
	rtt, err := m.Host.Ping(ctx, to)
	if err != nil {
		m.town.t.Fatal(err)
	}
	return rtt
}

// knock pings until the first answer, which is waited for in small portions so
// that a lost request costs little, and returns the time it took without the machine's
// stalls. The portions grow, since on a busy machine an answer takes longer than a short one.
func (m *member) knock(to netip.Addr, within time.Duration) (time.Duration, error) {
	began := time.Now()
	var last error
	for portion := 50 * time.Millisecond; machine.since(began) < within; portion += 10 * time.Millisecond {
		ctx, cancel := context.WithTimeout(m.town.ctx, portion)
		_, err := m.Host.Ping(ctx, to)
		cancel()
		if err == nil {
			return machine.since(began), nil
		}
		last = err
		if ctx.Err() == nil { // refused at once, as without an address
			time.Sleep(10 * time.Millisecond)
		}
	}
	return 0, fmt.Errorf("no ping from %s to %s answered within %v: %w", m.Name, to, within, last)
}

// meet pings until the first answer and ends the test if there is none.
func (m *member) meet(to netip.Addr, within time.Duration) time.Duration {
	m.town.t.Helper()
	took, err := m.knock(to, within)
	if err != nil {
		m.town.t.Fatal(err)
	}
	return took
}

// saidDirect reports whether the edge has told its user of a direct path.
func (m *member) saidDirect() bool {
	for line := range strings.Lines(m.Log()) {
		if strings.Contains(line, " path ") && strings.Contains(line, " direct  ") {
			return true
		}
	}
	return false
}
