package attack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// soon is how long a sentence may take that needs no time-out.
const soon = 5 * time.Second

// open returns a folder that every user may enter and write to: the test's own
// is root's.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "attack-state-")
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// edgeArgs is the command line of an edge whose files are in dir.
func edgeArgs(dir string, more ...string) []string {
	args := []string{programs.Edge, "-c", "mynetwork", "-k", passphrase,
		"--state-dir", filepath.Join(dir, "state"), "--control", filepath.Join(dir, "control.sock")}
	return append(args, more...)
}

// says checks that a sentence, with its number, is in what a
// command said.
func says(t *testing.T, said, sentence string) {
	t.Helper()
	if !strings.Contains(said, sentence+"\n") {
		t.Errorf("not said: %s\nbut: %s", sentence, said)
	}
}

// ends runs a command in a namespace and checks its last words and its exit
// code.
func ends(t *testing.T, s *scene, at *lab.Namespace, code int, sentence string, argv ...string) string {
	t.Helper()
	out, err := at.Command(s.ctx, argv...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("%v ended with %v: %s", argv, err, out)
	}
	if exit.ExitCode() != code {
		t.Errorf("exit code %d, want %d", exit.ExitCode(), code)
	}
	says(t, string(out), sentence)
	return string(out)
}

// goesOn checks that an edge still runs and answers, and ends it.
func (s *scene) goesOn(t *testing.T, p *rig.Program) {
	t.Helper()
	if _, err := s.rig.Status(s.ctx, p); err != nil {
		t.Errorf("%s does not go on: %v\n%s", p.Name, err, p.Log())
	}
	if err := p.Stop(); err != nil {
		t.Errorf("%s did not end cleanly: %v\n%s", p.Name, err, p.Log())
	}
}

// said waits until a program said a whole sentence.
func (s *scene) said(t *testing.T, p *rig.Program, sentence string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, soon)
	defer cancel()
	if err := p.Await(ctx, sentence+"\n"); err != nil {
		t.Fatal(err)
	}
}

// start starts an edge with -c mynetwork on a public host of that address.
func (s *scene) start(name, addr, key string, more ...string) *rig.Program {
	s.t.Helper()
	h := lab.Must(s.lab.Host(name, addr))
	return lab.Must(s.rig.Edge(s.ctx, h, name, append([]string{"-c", "mynetwork", "-k", key, "-l", superAddr}, more...)...))
}

// A community with nobody in it and wrong keys are told, and the edges go on:
// the others may still come.
func TestAloneAndWrongKey(t *testing.T) {
	s := newScene(t)
	alone := `no other edge is registered as "mynetwork" on 203.0.113.1 yet. [E06b]`
	first := s.start("first", "203.0.113.11", passphrase)
	s.said(t, first, alone)
	lab.Must(s.rig.AwaitAddress(s.ctx, first))
	one := s.start("one", "203.0.113.12", passphrase+"x")
	inUse := `warning: the name "mynetwork" is in use on 203.0.113.1 with another key, or another authority in its file: check -k. [E06]`
	s.said(t, one, inUse)
	if strings.Contains(one.Log(), "E06b") {
		t.Errorf("both were said:\n%s", one.Log())
	}
	second := s.start("second", "203.0.113.13", passphrase)
	lab.Must(s.rig.AwaitAddress(s.ctx, second))
	if log := second.Log(); strings.Contains(log, "E06b") {
		t.Errorf("said in company:\n%s", log)
	}
	two := s.start("two", "203.0.113.14", passphrase+"y")
	s.said(t, two, inUse)
	// Those with the right key were there first, or are not alone.
	for _, p := range []*rig.Program{first, second} {
		if strings.Contains(p.Log(), "[E06]") {
			t.Errorf("strangers made it doubt its key:\n%s", p.Log())
		}
	}
	for _, p := range []*rig.Program{first, one, second, two} {
		s.goesOn(t, p)
	}
}

// Without the device node, the permission to open it or the right to make a
// device.
func TestNoTAP(t *testing.T) {
	l := newLab(t)
	h := lab.Must(l.Host("h", "203.0.113.11"))
	for _, tt := range []struct {
		name     string
		mounts   func() error
		user     uint32
		sentence string
	}{
		{"missing node", hideTUN, 0,
			"edge: cannot open /dev/net/tun: it does not exist. Load the module (modprobe tun; OpenWrt: opkg install kmod-tun) or give the container --device /dev/net/tun (Proxmox: pct set ID --dev0 /dev/net/tun). [E01]"},
		{"no capability", tunWithMode(0o666), nobody,
			"edge: not allowed to create edge7: needs CAP_NET_ADMIN. Run with sudo, or once: setcap cap_net_admin+ep $(which edge), or pre-create it: ip tuntap add edge7 mode tap user $USER. [E02]"},
		{"no permission", tunWithMode(0o600), nobody,
			"edge: no permission on /dev/net/tun (mode 0600, root). Run with sudo, or let everybody open it, as most systems do: chmod 0666 /dev/net/tun (CAP_NET_ADMIN still guards what it can do). [E03]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const permission = 3
			c := confinement{at: h, mounts: tt.mounts, user: tt.user}
			said, code := c.run(t, edgeArgs(open(t), "-l", superAddr, "-d", "edge7")...)
			says(t, said, tt.sentence)
			if code != permission {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// A device or a port that somebody has, or that is something else.
func TestTaken(t *testing.T) {
	s := newScene(t)
	host := lab.Must(s.lab.Host("h", "203.0.113.11"))
	first := lab.Must(s.rig.Edge(s.ctx, host, "first", "-c", "mynetwork", "-k", passphrase, "-l", superAddr, "-p", "7001"))
	lab.Must(s.rig.AwaitAddress(s.ctx, first))

	const failure, usage = 1, 2
	t.Run("device", func(t *testing.T) {
		out, err := host.Command(s.ctx, edgeArgs(open(t), "-l", superAddr, "-d", "edge0")...).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != failure {
			t.Errorf("ended with %v", err)
		}
		begin := fmt.Sprintf("edge: edge0 is already in use by pid %d (edge --name first -d edge0 ", first.Pid())
		line := lastLine(string(out))
		if !strings.HasPrefix(line, begin) || !strings.HasSuffix(line, "). Choose -d edge1. [E04]") || strings.Contains(line, passphrase) {
			t.Errorf("said %q", line)
		}
	})
	t.Run("no TAP", func(t *testing.T) {
		err := host.Do(func() error {
			return netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br7"}})
		})
		if err != nil {
			t.Fatal(err)
		}
		ends(t, s, host.Namespace, usage, "edge: br7 exists but is not a TAP (it is a bridge). Choose another -d name. [E05]",
			edgeArgs(open(t), "-l", superAddr, "-d", "br7")...)
	})
	t.Run("port of an edge", func(t *testing.T) {
		out := ends(t, s, host.Namespace, failure, "Use -p 0 for any free port. [E16]", edgeArgs(open(t), "-l", superAddr, "-p", "7001")...)
		begin := fmt.Sprintf("edge: UDP port 7001 is taken by pid %d (edge --name first -d edge0 ", first.Pid())
		if line := lastLine(out); !strings.HasPrefix(line, begin) || strings.Contains(line, passphrase) {
			t.Errorf("said %q", line)
		}
	})
	begin := fmt.Sprintf("UDP port 7654 is taken by pid %d (supernode -p 7654 ", s.super.Pid())
	t.Run("port of a supernode, by an edge", func(t *testing.T) {
		out := ends(t, s, s.super.Host.Namespace, failure, "Use -p 0 for any free port. [E16]",
			edgeArgs(open(t), "-l", superAddr, "-p", "7654")...)
		if line := lastLine(out); !strings.HasPrefix(line, "edge: "+begin) {
			t.Errorf("said %q", line)
		}
	})
	t.Run("port of a supernode, by a supernode", func(t *testing.T) {
		dir := open(t)
		out := ends(t, s, s.super.Host.Namespace, failure, "Use -p 0 for any free port. [E16]",
			programs.Supernode, "-p", "7654", "--state-dir", dir, "--control", filepath.Join(dir, "c.sock"))
		if line := lastLine(out); !strings.HasPrefix(line, "supernode: "+begin) {
			t.Errorf("said %q", line)
		}
	})
	s.goesOn(t, first)
}

func lastLine(s string) string {
	s = strings.TrimSuffix(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// Names that nobody knows, with a name server that is not there and with one that says so:
// the edge waits for better times.
func TestUnresolvable(t *testing.T) {
	l := newLab(t)
	h, server := lab.Must(l.Host("h", "203.0.113.11")), lab.Must(l.Host("dns", "203.0.113.53"))
	answerNothing(t, server)
	const again = "Trying on; -l ADDRESS:7654 needs no name server. "
	silent := confinement{at: h, mounts: resolver(t, "203.0.113.54")}.start(t, edgeArgs(open(t), "-l", "vps.invalid:7654", "-d", "edge1")...)
	denied := confinement{at: h, mounts: resolver(t, "203.0.113.53")}.start(t, edgeArgs(open(t), "-l", "vps.invalid:7654", "-d", "edge2")...)
	await(t, &denied.said, "warning: cannot resolve vps.invalid: NXDOMAIN from 203.0.113.53. "+again+"[E10]\n", soon)
	await(t, &silent.said, "warning: no answer from the name server 203.0.113.54 about vps.invalid: look at the network, and at the name servers of this machine ('resolvectl status', /etc/resolv.conf). "+again+"[E54]\n", 2*soon)
	for _, p := range []*confined{silent, denied} {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("it does not go on: %v", err)
		}
		if said, code := p.wait(t); code != 0 {
			t.Errorf("exit code %d: %s", code, said)
		}
	}
}

// answerNothing is a name server that knows no name.
func answerNothing(t *testing.T, h *lab.Host) {
	t.Helper()
	conn := lab.Must(h.ListenUDP("udp4", netip.AddrPortFrom(h.Addr(), 53).String()))
	t.Cleanup(func() { conn.Close() })
	go func() {
		for b := make([]byte, 512); ; {
			n, from, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if n > 4 {
				b[2], b[3] = b[2]|0x80, 0x83 // a response, recursion available, NXDOMAIN
				conn.WriteToUDPAddrPort(b[:n], from)
			}
		}
	}()
}

// Addresses that another edge has. The first of the two keeps its own.
func TestClashes(t *testing.T) {
	s := newScene(t)
	holder := s.start("holder", "203.0.113.11", passphrase, "-a", "10.1.2.1", "-m", "02:00:00:00:aa:01")
	if p := lab.Must(s.rig.AwaitAddress(s.ctx, holder)); p.String() != "10.1.2.1/24" {
		t.Fatalf("the first one has %v", p)
	}
	t.Run("wished for", func(t *testing.T) {
		p := s.start("wisher", "203.0.113.12", passphrase, "-a", "10.1.2.1")
		got := lab.Must(s.rig.AwaitAddress(s.ctx, p))
		if got.Addr() == netip.MustParseAddr("10.1.2.1") || !netip.MustParsePrefix("10.1.2.0/24").Contains(got.Addr()) {
			t.Errorf("it got %v", got)
		}
		s.said(t, p, fmt.Sprintf("warning: 10.1.2.1 is already used by 02:00:00:00:aa:01. Got %s instead. [E11]", got.Addr()))
		s.goesOn(t, p)
	})
	t.Run("static", func(t *testing.T) {
		const refused = 4
		h := lab.Must(s.lab.Host("static", "203.0.113.13"))
		ends(t, s, h.Namespace, refused,
			"edge: 10.1.2.1 is already used by 02:00:00:00:aa:01. Choose another address with -a static:IP/LEN, or leave -a out to be given a free one. [E11]",
			edgeArgs(open(t), "-l", superAddr, "-a", "static:10.1.2.1/24")...)
	})
	t.Run("MAC", func(t *testing.T) {
		p := s.start("twin", "203.0.113.14", passphrase, "-m", "02:00:00:00:aa:01")
		s.said(t, p, "warning: another edge uses mac 02:00:00:00:aa:01 (cloned machine image?). Stop this edge and type 'edge identity new -c mynetwork', or use -m random. [E57]")
		s.goesOn(t, p)
	})
	t.Run("overlap", func(t *testing.T) {
		at := lab.Must(lab.Must(s.lab.Router("r", "198.51.100.1", lab.PortRestricted, "10.77.0.0/16")).Host("overlap"))
		p := lab.Must(s.rig.Edge(s.ctx, at, "overlap", "-c", "mynetwork", "-k", passphrase, "-l", superAddr, "-a", "static:10.77.8.5/24"))
		s.said(t, p, "warning: 10.77.8.0/24 overlaps eth0 (10.77.0.0/16): traffic would go the wrong way. Pick another range with -a or on the supernode. [E59]")
		s.goesOn(t, p)
	})
	if p := lab.Must(s.rig.AwaitAddress(s.ctx, holder)); p.String() != "10.1.2.1/24" {
		t.Errorf("the first one has %v in the end", p)
	}
	s.goesOn(t, holder)
}

// removeIt is the advice about an argument that is no sub-command, which names all that
// the help of the program has.
func removeIt(t *testing.T, path string) string {
	t.Helper()
	help, err := exec.CommandContext(t.Context(), path, "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(help), "COMMANDS:")
	list, _, _ = strings.Cut(list, "OPTIONS:")
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^   ([a-z]+(?:-[a-z]+)*)(?:, [a-z]+)*  +\S`).FindAllStringSubmatch(list, -1) {
		if m[1] != "help" {
			names = append(names, m[1])
		}
	}
	if len(names) < 10 {
		t.Fatalf("%d sub-commands in the help", len(names))
	}
	return "Remove it; the sub-commands are " + strings.Join(names, ", ") + "."
}

// What is left over on a command line ends it before anything is made.
func TestLeftOver(t *testing.T) {
	s := newScene(t)
	h := lab.Must(s.lab.Host("h", "203.0.113.11"))
	const usage = 2
	for _, tt := range []struct {
		name, argument, advice string
		argv                   []string
	}{
		{"edge", "edge.conf", removeIt(t, programs.Edge),
			[]string{programs.Edge, "-c", "mynetwork", "edge.conf", "-k", passphrase, "-l", superAddr}},
		{"edge", "statsu", `Did you mean the sub-command "status"?`, []string{programs.Edge, "statsu"}},
		{"edge", "again", removeIt(t, programs.Edge),
			[]string{programs.Edge, "run", "-c", "mynetwork", "-k", passphrase, "-l", superAddr, "again"}},
		{"supernode", "7654", removeIt(t, programs.Supernode), []string{programs.Supernode, "7654"}},
		{"supernode", "super.conf", removeIt(t, programs.Supernode),
			[]string{programs.Supernode, "-p", "7655", "super.conf", "--pool", "10.0.0.0/20"}},
	} {
		t.Run(tt.name+" "+tt.argument, func(t *testing.T) {
			out := ends(t, s, h.Namespace, usage,
				fmt.Sprintf("%s: unexpected argument %q: options after it would be ignored. %s [E24]", tt.name, tt.argument, tt.advice), tt.argv...)
			if strings.Contains(out, passphrase) {
				t.Errorf("the key was said: %s", out)
			}
		})
	}
}
