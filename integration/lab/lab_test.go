//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// town is a lab with something of everything.
func town(t *testing.T, l *Lab) (public, alice, bob *Host) {
	t.Helper()
	public = Must(l.Host("public", "203.0.113.1", "2001:db8:1::1"))
	alice = Must(Must(l.Router("home1", "198.51.100.1", PortRestricted, "2001:db8:a::/64")).Host("alice"))
	home2 := Must(l.Router("home2", "198.51.100.2", SymmetricRandom, "2001:db8:2::2", "10.7.0.0/16"))
	return public, alice, Must(home2.Host("bob"))
}

// A delegated network's addresses are all the host's own.
func TestDelegate(t *testing.T) {
	l := ForTest(t)
	public, other := Must(l.Host("public", "203.0.113.1", "2001:db8:1::1")), Must(l.Host("other", "203.0.113.2", "2001:db8:2::2"))
	for _, network := range []string{"11.1.0.0/16", "2001:db8:66::/48"} {
		if err := l.Delegate(other, network); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []struct {
		to   string
		want bool
	}{{"11.1.0.1", true}, {"11.1.255.254", true}, {"11.2.0.1", false}, {"2001:db8:66::1", true}, {"2001:db8:66:ffff::1", true}} {
		if got := reaches(t, public, netip.MustParseAddr(p.to), p.want); got != p.want {
			t.Errorf("%s is reached: %v", p.to, got)
		}
	}
}

func TestReach(t *testing.T) {
	l := ForTest(t)
	public, alice, bob := town(t, l)
	if bob.Addr() != netip.MustParseAddr("10.7.0.10") || bob.Addr6().IsValid() {
		t.Errorf("bob has %s", bob.Addrs())
	}
	paths := []struct {
		from *Host
		to   string
		want bool
	}{
		{alice, "203.0.113.1", true},
		{alice, "2001:db8:1::1", true},
		{bob, "203.0.113.1", true},
		{alice, "198.51.100.2", true},    // the other home's router
		{bob, "192.168.1.10", false},     // the other home's host
		{public, "192.168.1.10", false},  // nobody routes a private address
		{public, "2001:db8:a::a", false}, // the firewall of the home
		{public, "2001:db8:2::2", true},  // a second address of a router
		{public, "198.18.0.1", true},     // the internet itself
	}
	for _, p := range paths {
		if got := reaches(t, p.from, netip.MustParseAddr(p.to), p.want); got != p.want {
			t.Errorf("%s reaches %s: %v", p.from.Name(), p.to, got)
		}
	}
}

// Two homes with the same prefix are two segments; two hosts of one home share
// one, broadcasts included.
func TestOverlappingHomes(t *testing.T) {
	l := ForTest(t)
	home1 := Must(l.Router("home1", "198.51.100.1", PortRestricted))
	home2 := Must(l.Router("home2", "198.51.100.2", PortRestricted))
	a, b, c := Must(home1.Host("a")), Must(home1.Host("b")), Must(home2.Host("c"))
	if a.Addr() != c.Addr() {
		t.Fatalf("%s and %s do not overlap", a.Addr(), c.Addr())
	}
	if !reaches(t, a, b.Addr(), true) || reaches(t, c, b.Addr(), false) {
		t.Error("b is in the home of a, not in that of c")
	}
	to := listen(t, b, "0.0.0.0:5000")
	send(t, listen(t, a, "0.0.0.0:5000"), netip.MustParseAddrPort("255.255.255.255:5000"), "to all")
	if message, from := receive(t, to, soon); message != "to all" || from.Addr() != a.Addr() {
		t.Errorf("broadcast: %q from %s", message, from)
	}
}

func TestNames(t *testing.T) {
	l := ForTest(t)
	Must(l.Host("a", "203.0.113.1"))
	for _, name := range []string{"", "a", "internet", "wan", "br0", "eth0", "lo", "x/y", "a b", "sixteen-is-long-"} {
		if _, err := l.Host(name, "203.0.113.9"); err == nil {
			t.Errorf("the name %q was accepted", name)
		}
	}
	for _, wrong := range [][]string{{"not an address"}, {"2001:db8::1"}, {"198.51.100.1", "192.168.0.0/99"}} {
		if _, err := l.Router("r", wrong[0], PortRestricted, wrong[1:]...); err == nil {
			t.Errorf("the addresses %q were accepted", wrong)
		}
	}
}

// Two labs with the same names and addresses do not see each other.
func TestTwoLabs(t *testing.T) {
	var sockets [2]*net.UDPConn
	for i := range 2 {
		l := ForTest(t)
		public, alice, _ := town(t, l)
		sockets[i] = listen(t, public, "203.0.113.1:5000")
		send(t, listen(t, alice, "192.168.1.10:5000"), local(sockets[i]), fmt.Sprint("lab ", i))
	}
	for i, s := range sockets {
		if message, _ := receive(t, s, soon); message != fmt.Sprint("lab ", i) {
			t.Errorf("lab %d received %q", i, message)
		}
		if message, _ := receive(t, s, never); message != "" {
			t.Errorf("lab %d received %q as well", i, message)
		}
	}
}

// linkNames lists the links of the namespace that the test runs in.
func linkNames(t *testing.T) (names []string) {
	t.Helper()
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range links {
		names = append(names, i.Name)
	}
	return names
}

func openFiles() int {
	list, _ := filepath.Glob("/proc/self/fd/*")
	return len(list)
}

// eventually waits for what the kernel does in its own time.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("not so after 10 s: %s", what)
			return
		}
	}
}

// After Close the namespaces are gone: veth pairs from another lab into each of
// them vanish with them. So are goroutines, descriptors and processes.
func TestNothingIsLeft(t *testing.T) {
	watch := ForTest(t)
	watcher := Must(watch.Host("watcher"))
	Must(exec.LookPath("sleep"))
	links, goroutines, files := linkNames(t), runtime.NumGoroutine(), openFiles()

	l := Must(New("left"))
	public, alice, _ := town(t, l)
	Must(public.Capture(HostLink))
	escaped := startEscaping(t, alice.Namespace)
	if !slices.Equal(linkNames(t), links) {
		t.Errorf("links of the caller's namespace: %v, before %v", linkNames(t), links)
	}
	for i, n := range l.spaces {
		pair := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: fmt.Sprint("watch", i)},
			PeerName:      "watched",
			PeerNamespace: netlink.NsFd(int(n.handle)),
		}
		if err := watcher.links.LinkAdd(pair); err != nil {
			t.Fatal(err)
		}
	}
	spaces := len(l.spaces)
	for range 2 {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	for i := range spaces {
		eventually(t, fmt.Sprintf("namespace %d is gone", i), func() bool {
			_, err := watcher.links.LinkByName(fmt.Sprint("watch", i))
			return errors.As(err, new(netlink.LinkNotFoundError))
		})
	}
	for _, pid := range escaped {
		eventually(t, "processes have ended", func() bool { return !alive(pid) })
	}
	eventually(t, "goroutines have ended", func() bool { return runtime.NumGoroutine() <= goroutines })
	if !slices.Equal(linkNames(t), links) || openFiles() > files {
		t.Errorf("links %v, before %v; %d files, before %d", linkNames(t), links, openFiles(), files)
	}
	if _, err := l.Host("late", "203.0.113.9"); !errors.Is(err, errClosed) {
		t.Errorf("after Close: %v", err)
	}
	if err := alice.Command(t.Context(), "true").Run(); !errors.Is(err, errClosed) {
		t.Errorf("a command after Close: %v", err)
	}
}

// startEscaping starts a command, not waited for, that starts one outside its
// process group; it returns both numbers.
func startEscaping(t *testing.T, n *Namespace) []int {
	t.Helper()
	c := n.Command(context.Background(), "sh", "-c", "setsid sleep 1000 >/dev/null & echo $!; exec sleep 1000")
	out := Must(c.StdoutPipe())
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 32)
	escaped, err := strconv.Atoi(strings.TrimSpace(string(buf[:Must(out.Read(buf))])))
	if err != nil {
		t.Fatal(err)
	}
	return []int{c.Process.Pid, escaped}
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

// crashVariable tells this test program to build a lab and die in it.
const crashVariable = "HEDGEROW_LAB_CRASH"

func TestCrashHelper(t *testing.T) {
	how := os.Getenv(crashVariable)
	if how == "" {
		t.Skip("runs as a child of TestCrash")
	}
	l := ForTest(t)
	_, alice, _ := town(t, l)
	c := alice.Command(t.Context(), "sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(alice.handle), &st); err != nil {
		t.Fatal(err)
	}
	fmt.Println(c.Process.Pid, st.Ino)
	switch how {
	case "panic":
		panic("as asked")
	case "kill":
		unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	case "exit":
		os.Exit(3)
	}
}

// However the process ends, no link, command or namespace outlives it.
func TestCrash(t *testing.T) {
	Require(t)
	links := linkNames(t)
	for _, how := range []string{"panic", "kill", "exit"} {
		t.Run(how, func(t *testing.T) {
			c := exec.Command(os.Args[0], "-test.run=^TestCrashHelper$")
			c.Env = append(os.Environ(), crashVariable+"="+how)
			out, err := c.Output()
			if err == nil {
				t.Fatalf("the child did not crash: %s", out)
			}
			var pid int
			var inode uint64
			if _, err := fmt.Sscan(string(out), &pid, &inode); err != nil {
				t.Fatalf("%v in %q", err, out)
			}
			eventually(t, "the command has ended", func() bool { return !alive(pid) })
			if left := processesIn([]uint64{inode}); len(left) > 0 {
				t.Errorf("processes %v are in the namespace", left)
			}
			if !slices.Equal(linkNames(t), links) {
				t.Errorf("links %v, before %v", linkNames(t), links)
			}
		})
	}
}
