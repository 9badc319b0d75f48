package tap

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hedgerow/internal/leak"
	"hedgerow/internal/process"
)

// addTAP makes a persistent TAP as an administrator would; it is up and has the
// default MTU.
func addTAP(t *testing.T, name string, flags netlink.TuntapFlag) {
	t.Helper()
	l := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: name},
		Mode:      netlink.TUNTAP_MODE_TAP,
		Flags:     flags,
	}
	if flags&netlink.TUNTAP_MULTI_QUEUE != 0 {
		l.Queues = 1
	}
	if err := netlink.LinkAdd(l); err != nil {
		t.Fatal(err)
	}
	for _, f := range l.Fds {
		f.Close()
	}
	found := linkOf(t, name)
	if err := netlink.LinkSetMTU(found, DefaultMTU); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(found); err != nil {
		t.Fatal(err)
	}
}

// wantOpenError checks code and sentence of a refused open.
func wantOpenError(t *testing.T, err error, code, sentence string, errno syscall.Errno) {
	t.Helper()
	var e *OpenError
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *OpenError", err)
	}
	if e.Code != code || e.Sentence != sentence || e.Errno != errno {
		t.Errorf("got  %s %q (%v)\nwant %s %q (%v)", e.Code, e.Sentence, e.Errno, code, sentence, errno)
	}
	if errno != 0 && !errors.Is(err, errno) {
		t.Errorf("errors.Is does not find %v", errno)
	}
}

func TestBusy(t *testing.T) { onBackends(t, testBusy) }

func testBusy(t *testing.T, backend Backend) {
	open(t, Config{Name: "edge0", Backend: backend})
	_, err := Open(Config{Name: "edge0", Backend: backend})
	command := process.Command(os.Getpid())
	wantOpenError(t, err, "E04", fmt.Sprintf("edge0 is already in use by pid %d (%s). Choose -d edge1.", os.Getpid(), command), unix.EBUSY)
	if !strings.HasSuffix(err.Error(), "[E04]") {
		t.Errorf("%q lacks its code", err)
	}
	open(t, Config{Name: "edge1", Backend: backend})
	_, err = Open(Config{Name: "edge0", Backend: backend})
	if err == nil || !strings.Contains(err.Error(), "Choose -d edge2.") {
		t.Errorf("edge1 is taken too: %v", err)
	}
}

func TestBusyQueues(t *testing.T) { onBackends(t, testBusyQueues) }

func testBusyQueues(t *testing.T, backend Backend) {
	addTAP(t, "edge0", netlink.TUNTAP_MULTI_QUEUE_DEFAULTS)
	open(t, Config{Name: "edge0", Backend: backend})
	_, err := Open(Config{Name: "edge0", Backend: backend})
	var e *OpenError
	if !errors.As(err, &e) || e.Code != "E04" {
		t.Errorf("a second queue was taken: %v", err)
	}
}

func TestNotATAP(t *testing.T) { onBackends(t, testNotATAP) }

func testNotATAP(t *testing.T, backend Backend) {
	add := func(l netlink.Link) {
		t.Helper()
		if err := netlink.LinkAdd(l); err != nil {
			t.Fatal(err)
		}
	}
	add(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}})
	add(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tun0"}, Mode: netlink.TUNTAP_MODE_TUN})
	add(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "v0"}, PeerName: "v1"})
	for name, kind := range map[string]string{
		"br0":  "it is a bridge",
		"tun0": "it is a TUN, which carries no Ethernet",
		"v0":   "it is one end of a veth pair",
		"lo":   "it is a network card or another built-in interface",
	} {
		_, err := Open(Config{Name: name, Backend: backend})
		wantOpenError(t, err, "E05", name+" exists but is not a TAP ("+kind+"). Choose another -d name.", unix.EINVAL)
	}
	// What checkKind does not know, the kernel refuses with the same code.
	fault := probe(nodePath, "br0", true, false)
	l := &netif{name: "br0"}
	wantOpenError(t, l.explain(fault), "E05", "br0 exists but is not a TAP (its kind is another). Choose another -d name.", unix.EINVAL)
}

func TestNodeMissing(t *testing.T) { onBackends(t, testNodeMissing) }

func testNodeMissing(t *testing.T, backend Backend) {
	node := filepath.Join(t.TempDir(), "tun")
	_, err := opener{node: node, kernel: linuxKernel}.open(Config{Name: "edge0", Backend: backend})
	wantOpenError(t, err, "E01", "cannot open "+node+": it does not exist. Load the module (modprobe tun; OpenWrt: opkg install kmod-tun) or give the container --device /dev/net/tun (Proxmox: pct set ID --dev0 /dev/net/tun)."+restartNote(moduleFolder), unix.ENOENT)
	if linkOf(t, "edge0") != nil {
		t.Error("an interface was made")
	}
}

func TestExplainNode(t *testing.T) {
	for errno, want := range map[syscall.Errno][2]string{
		unix.ENOENT: {"E01", "it does not exist"},
		unix.ENODEV: {"E01", "no driver behind it"},
		unix.EACCES: {"E03", "no permission on /dev/net/tun"},
		unix.EPERM:  {"E03", "--device /dev/net/tun"},
		unix.EMFILE: {"", "too many open files"},
	} {
		code, sentence := explainNode(&openFault{step: stepNode, node: nodePath, errno: errno})
		if code != want[0] || !strings.Contains(sentence, want[1]) {
			t.Errorf("%v: %s %q", errno, code, sentence)
		}
	}
}

// After an update of the kernel no module can be loaded until the machine is started anew;
// a container that has no modules is told nothing of that.
func TestKernelUpdated(t *testing.T) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	running, folder := unix.ByteSliceToString(u.Release[:]), t.TempDir()
	if got := restartNote(filepath.Join(folder, "none")) + restartNote(folder); got != "" {
		t.Errorf("without modules: %s", got)
	}
	for _, tt := range []struct{ installed, want string }{
		{"0.1-other", "the modules of the one that runs, " + running + ", are gone, so restart this machine first."},
		{running, ""},
	} {
		if err := os.Mkdir(filepath.Join(folder, tt.installed), 0o755); err != nil {
			t.Fatal(err)
		}
		if got := restartNote(folder); (got == "") != (tt.want == "") || !strings.HasSuffix(got, tt.want) {
			t.Errorf("with the modules of %s: %q", tt.installed, got)
		}
	}
}

// dropNetAdmin takes CAP_NET_ADMIN from the test's thread, which ends with it.
func dropNetAdmin(t *testing.T) {
	t.Helper()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
	data[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	if err := unix.Capset(&header, &data[0]); err != nil {
		t.Fatal(err)
	}
}

func TestWithoutCapability(t *testing.T) { onBackends(t, testWithoutCapability) }

func testWithoutCapability(t *testing.T, backend Backend) {
	addTAP(t, "edge5", 0) // belongs to uid 0, which this thread still is
	dropNetAdmin(t)
	const hint = "needs CAP_NET_ADMIN. Run with sudo, or once: setcap cap_net_admin+ep $(which edge), or "
	_, err := Open(Config{Name: "edge0", Backend: backend})
	wantOpenError(t, err, "E02", "not allowed to create edge0: "+hint+"pre-create it: ip tuntap add edge0 mode tap user $USER.", unix.EPERM)
	if linkOf(t, "edge0") != nil {
		t.Error("an interface was made")
	}

	// A device made in advance, with what we want, needs no capability.
	d := open(t, Config{Name: "edge5", Backend: backend})
	if !d.existing {
		t.Error("it existed")
	}
	d.Close()
	_, err = Open(Config{Name: "edge5", MTU: 1400, Backend: backend})
	wantOpenError(t, err, "E02", "not allowed to give edge5 an MTU of 1400: "+hint+"do it beforehand with ip link.", unix.EPERM)
}

func TestExistingKeepsItsFlag(t *testing.T) { onBackends(t, testKeepsFlag) }

func testKeepsFlag(t *testing.T, backend Backend) {
	for i, flags := range []netlink.TuntapFlag{0, netlink.TUNTAP_MULTI_QUEUE_DEFAULTS} {
		name := fmt.Sprintf("edge%d", i)
		addTAP(t, name, flags)
		index := linkOf(t, name).Attrs().Index
		for range 2 {
			d := open(t, Config{Name: name, MAC: testMAC, MTU: 1400, Backend: backend, Queues: 2})
			if !d.existing {
				t.Error("it existed")
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			l, ok := linkOf(t, name).(*netlink.Tuntap)
			if !ok || l.NonPersist || l.Index != index {
				t.Fatalf("flags %#x: not the persistent device any more: %+v", flags, l)
			}
		}
	}
}

func TestFailedOpensLeakNothing(t *testing.T) { onBackends(t, testFailedOpensLeakNothing) }

func testFailedOpensLeakNothing(t *testing.T, backend Backend) {
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}); err != nil {
		t.Fatal(err)
	}
	open(t, Config{Name: "edge0", Backend: backend})
	addTAP(t, "edge5", 0)
	real, missing := opener{nodePath, linuxKernel}, opener{filepath.Join(t.TempDir(), "tun"), linuxKernel}
	attempts := []struct {
		name string
		o    opener
		cfg  Config
	}{
		{"in use", real, Config{Name: "edge0", Backend: backend}},
		{"a bridge", real, Config{Name: "br0", Backend: backend}},
		{"no node", missing, Config{Name: "edge1", Backend: backend}},
		{"bad name", real, Config{Name: "a name that is too long", Backend: backend}},
		{"no capability", real, Config{Name: "edge1", Backend: backend}},
		{"no capability for the MTU", real, Config{Name: "edge5", MTU: 1400, Backend: backend}},
	}
	for _, a := range attempts {
		if a.name == "no capability" {
			dropNetAdmin(t)
		}
		closed := leak.Descriptors(t)
		for range 100 {
			if d, err := a.o.open(a.cfg); err == nil {
				d.Close()
				t.Fatalf("%s: opened", a.name)
			}
		}
		closed()
	}
}

func TestOpensLeakNothing(t *testing.T) { onBackends(t, testOpensLeakNothing) }

func testOpensLeakNothing(t *testing.T, backend Backend) {
	closed := leak.Descriptors(t)
	for range 10 {
		open(t, Config{Name: "edge0", Backend: backend}).Close()
	}
	closed()
}

const childVariable = "HEDGEROW_TEST_LIST_DESCRIPTORS"

// TestChild is the child process of TestCloseOnExec: it lists what it inherited.
func TestChild(t *testing.T) {
	if os.Getenv(childVariable) == "" {
		t.Skip("runs as the child process of TestCloseOnExec only")
	}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		target, _ := os.Readlink("/proc/self/fd/" + e.Name())
		fmt.Println("inherited", target)
	}
}

func TestCloseOnExec(t *testing.T) { onBackends(t, testCloseOnExec) }

func testCloseOnExec(t *testing.T, backend Backend) {
	open(t, Config{Name: "edge0", Backend: backend, Queues: 2})
	inherited := func() int {
		t.Helper()
		child := exec.Command("/proc/self/exe", "-test.run=^TestChild$")
		child.Env = append(os.Environ(), childVariable+"=1")
		out, err := child.Output()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out), "inherited") {
			t.Fatalf("the child listed nothing: %s", out)
		}
		return strings.Count(string(out), "inherited "+nodePath)
	}
	if n := inherited(); n != 0 {
		t.Errorf("a child process inherited %d descriptors of the TAP device", n)
	}
	// The check sees a descriptor that is inherited.
	fd, err := unix.Open(nodePath, unix.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if n := inherited(); n != 1 {
		t.Errorf("the child saw %d of 1 descriptor left open on purpose", n)
	}
}
