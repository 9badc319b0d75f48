package tap

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hedgerow/internal/leak"
)

// The tests of this file need neither rights nor a TAP device: a node that can be
// opened by anybody stands for /dev/net/tun, and functions for the driver.

// driver is a tun driver in memory. It refuses attaches with some flags, offloads
// with some bits, and the nth attach.
type driver struct {
	flags   uint16
	bits    int
	nth     int
	errno   syscall.Errno
	calls   []uint16
	offload []int
}

func (k *driver) kernel() kernel {
	return kernel{
		attach: func(_ int, _ string, flags uint16) syscall.Errno {
			k.calls = append(k.calls, flags)
			if flags&k.flags != 0 || len(k.calls) == k.nth {
				return k.errno
			}
			return 0
		},
		headerSize: func(int, int) syscall.Errno { return 0 },
		offload: func(_, bits int) syscall.Errno {
			k.offload = append(k.offload, bits)
			if bits&k.bits != 0 {
				return unix.EINVAL
			}
			return 0
		},
	}
}

// TestOpenNative opens queues as far as the driver allows, and says what it did
// without.
func TestOpenNative(t *testing.T) {
	const uso, tso = unix.TUN_F_USO4 | unix.TUN_F_USO6, unix.TUN_F_TSO4
	for _, tt := range []struct {
		name   string
		k      driver
		cfg    Config
		exists bool
		want   Features
		queues int
		notes  int
		errno  syscall.Errno
	}{
		{name: "everything", cfg: Config{Queues: 3}, want: allFeatures, queues: 3},
		{name: "no USO", k: driver{bits: uso}, cfg: Config{Queues: 1}, want: allFeatures &^ FeatureUSO, queues: 1, notes: 1},
		{name: "no TSO", k: driver{bits: uso | tso}, cfg: Config{Queues: 1}, want: FeatureVnet | FeatureCsum, queues: 1, notes: 2},
		{name: "no NAPI", k: driver{flags: unix.IFF_NAPI, errno: unix.EINVAL}, cfg: Config{Queues: 1}, want: allFeatures, queues: 1},
		{name: "no vnet headers", k: driver{flags: unix.IFF_VNET_HDR, errno: unix.EINVAL}, cfg: Config{Queues: 1}, queues: 1, notes: 1},
		{name: "one queue", k: driver{flags: unix.IFF_MULTI_QUEUE, errno: unix.EINVAL}, cfg: Config{Queues: 2, Without: FeatureVnet}, queues: 1, notes: 2},
		{name: "not the second queue", k: driver{nth: 2, errno: unix.ENOMEM}, cfg: Config{Queues: 3}, want: allFeatures, queues: 1, notes: 1},
		{name: "made for one queue", cfg: Config{Queues: 2}, exists: true, want: allFeatures, queues: 1, notes: 1},
		{name: "nothing", k: driver{flags: ^uint16(0), errno: unix.EINVAL}, cfg: Config{Queues: 2}, errno: unix.EINVAL},
		{name: "not allowed", k: driver{flags: ^uint16(0), errno: unix.EPERM}, cfg: Config{Queues: 2}, errno: unix.EPERM},
	} {
		t.Run(tt.name, func(t *testing.T) {
			closed := leak.Descriptors(t)
			d := &Device{closed: make(chan struct{})}
			o := opener{node: os.DevNull, kernel: tt.k.kernel()}
			tt.cfg.Name = "edge0"
			notes, err := o.openNative(d, wish{cfg: tt.cfg, existing: tt.exists, multi: !tt.exists && tt.cfg.Queues > 1})
			var f *openFault
			if errors.As(err, &f); tt.errno != 0 && (f == nil || f.errno != tt.errno) || tt.errno == 0 && err != nil {
				t.Fatalf("%v", err)
			}
			if d.Features() != tt.want || len(d.Queues()) != tt.queues || len(notes) != tt.notes {
				t.Errorf("features %v, %d queues, notes %q", d.Features(), len(d.Queues()), notes)
			}
			d.features = 0
			if err := d.release(); err != nil {
				t.Error(err)
			}
			closed()
		})
	}
}

// TestAttachWithoutInterface opens a device whose interface does not appear: all
// backends give everything back, and say so.
func TestAttachWithoutInterface(t *testing.T) {
	closed := leak.Descriptors(t)
	for _, backend := range []Backend{BackendAuto, BackendNative, BackendWater} {
		k := &driver{}
		_, err := opener{node: os.DevNull, kernel: k.kernel()}.open(Config{Name: "edge77", Backend: backend, Queues: 2})
		var e *OpenError
		if !errors.As(err, &e) || !strings.HasPrefix(e.Sentence, "cannot open edge77: ") {
			t.Errorf("%v: %v", backend, err)
		}
	}
	for _, bad := range []Config{{Name: "a name that is too long"}, {Name: "edge77", MTU: 1}} {
		if _, err := (opener{node: os.DevNull}).open(bad); err == nil {
			t.Errorf("%+v was opened", bad)
		}
	}
	missing := opener{node: filepath.Join(t.TempDir(), "tun"), kernel: linuxKernel}
	var e *OpenError
	if _, err := missing.open(Config{Name: "edge77"}); !errors.As(err, &e) || e.Code != "E01" {
		t.Errorf("without a node: %v", err)
	}
	closed()
}

// TestAttachExisting opens a device that an administrator made, with the loopback
// interface in its place: netlink knows that one, and the driver takes any. What
// the driver refuses is logged once, and Close leaves the interface.
func TestAttachExisting(t *testing.T) {
	closed := leak.Descriptors(t)
	n, err := findInterface("lo")
	if err != nil {
		t.Fatal(err)
	}
	n.found = &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "lo"}, Mode: netlink.TUNTAP_MODE_TAP}
	k := &driver{bits: unix.TUN_F_USO4}
	var log bytes.Buffer
	cfg := Config{Name: "lo", MTU: 1400, Log: slog.New(slog.NewTextHandler(&log, nil))}.withDefaults()
	d, err := opener{node: os.DevNull, kernel: k.kernel()}.attach(cfg, n)
	if err != nil {
		t.Fatal(err)
	}
	if d.Name() != "lo" || d.MTU() != 1400 || !d.existing || d.MAC() != ([6]byte{}) || len(d.Queues()) != 1 || d.Dropped() != 0 {
		t.Errorf("%+v", d)
	}
	if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, "uso") {
		t.Errorf("logged %q", got)
	}
	if err := d.Close(); err != nil || d.Queues()[0].Fd() != -1 {
		t.Errorf("closed: %v", err)
	}
	closed()
}

// TestOpenUnprivileged asks the real kernel without the right to.
func TestOpenUnprivileged(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	dropNetAdmin(t)
	var e *OpenError
	if _, err := Open(Config{Name: "edge77"}); !errors.As(err, &e) || !slices.Contains([]string{"E01", "E02", "E03"}, e.Code) {
		t.Errorf("%v", err) // no node, no right to make a device, no right to open the node
	}
}

// TestAttachAsWater has the native backend fail in a way that water may survive:
// it is asked, and fails too, since the node is no TUN.
func TestAttachAsWater(t *testing.T) {
	k := &driver{flags: ^uint16(0), errno: unix.EINVAL}
	var log bytes.Buffer
	_, err := opener{node: os.DevNull, kernel: k.kernel()}.open(Config{Name: "edge77", Log: slog.New(slog.NewTextHandler(&log, nil))})
	var e *OpenError
	if !errors.As(err, &e) || e.Errno != unix.ENOTTY || log.Len() != 0 {
		t.Errorf("%v, log %q", err, log.String())
	}
}

// TestCheckKind tells interfaces apart by what netlink says of them.
func TestCheckKind(t *testing.T) {
	attrs := netlink.LinkAttrs{Name: "edge0"}
	for _, tt := range []struct {
		name  string
		found netlink.Link
		multi bool
		code  string
		says  string
	}{
		{"none", nil, false, "", ""},
		{"a card", &netlink.Device{LinkAttrs: attrs}, false, "E05", "it is a network card"},
		{"a bridge", &netlink.Bridge{LinkAttrs: attrs}, false, "E05", "it is a bridge"},
		{"a veth", &netlink.Veth{LinkAttrs: attrs}, false, "E05", "one end of a veth pair"},
		{"an ipvlan", &netlink.IPVlan{LinkAttrs: attrs}, false, "E05", "it is an ipvlan"},
		{"a TUN", &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN}, false, "E05", "carries no Ethernet"},
		{"a TAP", &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP}, false, "", ""},
		{"one for several queues", &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_MULTI_QUEUE}, true, "", ""},
		{"one in use", &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_MULTI_QUEUE, Queues: 1}, false, "E04", "already in use by another process"},
	} {
		n, err := findInterface("edge77")
		if err != nil {
			t.Fatal(err)
		}
		n.found, n.name = tt.found, "edge77"
		multi, err := n.checkKind()
		n.close()
		var e *OpenError
		if errors.As(err, &e); tt.code == "" && (err != nil || multi != tt.multi) || tt.code != "" && (e == nil || e.Code != tt.code || !strings.Contains(e.Sentence, tt.says)) {
			t.Errorf("%s: %v, %v", tt.name, multi, err)
		}
	}
}

// TestExplain reads the sentences of refused opens and changes.
func TestExplain(t *testing.T) {
	n, err := findInterface("edge77")
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	fault := func(step openStep, errno syscall.Errno) error {
		return &openFault{step: step, node: nodePath, errno: errno}
	}
	for _, tt := range []struct {
		err        error
		code, says string
	}{
		{fault(stepNode, unix.ENOENT), "E01", "does not exist"},
		{fault(stepNode, unix.EACCES), "E03", "no permission"},
		{fault(stepAttach, unix.EPERM), "E02", "not allowed to create edge77"},
		{fault(stepAttach, unix.EBUSY), "E04", "Choose -d edge78."},
		{fault(stepAttach, unix.EINVAL), "E05", "its kind is another"},
		{fault(stepAttach, unix.ENODEV), "", "was deleted while it was being opened"},
		{fault(stepAttach, unix.ENOMEM), "", "cannot allocate memory"},
		{n.refused("do it", unix.EPERM), "E02", "not allowed to do it"},
		{n.refused("do it", unix.ENODEV), "", "it was deleted meanwhile"},
		{n.refused("do it", errors.New("some reason")), "", "cannot do it: some reason."},
	} {
		var e *OpenError
		if err := n.explain(tt.err); !errors.As(err, &e) || e.Code != tt.code || !strings.Contains(e.Sentence, tt.says) {
			t.Errorf("%v: %v", tt.err, err)
		}
	}
	if got := nodeMode(os.DevNull); !strings.HasPrefix(got, " (mode 0") || !strings.Contains(got, "root") {
		t.Errorf("mode %q", got)
	}
	if got := nodeMode(filepath.Join(t.TempDir(), "none")); got != "" {
		t.Errorf("mode of nothing: %q", got)
	}
	n.found = &netlink.Device{}
	if got := n.forbidden(); !strings.Contains(got, "not allowed to use edge77") {
		t.Error(got)
	}
}

// TestFreeName counts on from the name's number.
func TestFreeName(t *testing.T) {
	n, err := findInterface("lo")
	if err != nil || !n.exists() {
		t.Fatal(err)
	}
	defer n.close()
	for name, want := range map[string]string{
		"edge77": "edge78", "edge": "edge0", "edge99999999999999999999": "", "fifteenletters0": "fifteenletters1", "fifteenletters9": "",
	} {
		n.name = name
		if got, ok := n.freeName(); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", name, got, ok)
		}
	}
}

// TestProbe asks nodes that are none of a tun driver.
func TestProbe(t *testing.T) {
	for _, exists := range []bool{false, true} {
		var f *openFault
		if err := probe(os.DevNull, "edge77", exists, true); !errors.As(err, &f) || f.step != stepAttach || f.errno != unix.ENOTTY {
			t.Errorf("%v", err)
		}
		if err := probe(filepath.Join(t.TempDir(), "tun"), "edge77", exists, false); !errors.As(err, &f) || f.step != stepNode || f.errno != unix.ENOENT {
			t.Errorf("%v", err)
		}
		if !strings.Contains(f.Error(), "no such file") {
			t.Error(f)
		}
	}
	fd, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if attached(fd) || setInterface(fd, "a name that is too long", 0) != unix.EINVAL {
		t.Error("attached to nothing")
	}
	if got := errnoOf(errors.New("none")); got != unix.EIO {
		t.Error(got)
	}
	if got := errnoIn(nil); got != 0 {
		t.Error(got)
	}
}

// TestDeviceHolder looks for holders of interfaces where there are none.
func TestDeviceHolder(t *testing.T) {
	if pid, command, ok := deviceHolder("edge77"); ok {
		t.Errorf("%d (%s) holds it", pid, command)
	}
	if !slices.Contains(processes(), os.Getpid()) {
		t.Error("this process is not listed")
	}
	home, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	if !livesIn(os.Getpid(), home) || livesIn(os.Getpid(), "net:[0]") || livesIn(-1, home) {
		t.Error("wrong about the namespace of this process")
	}
	if holdsDevice(-1, "edge77") {
		t.Error("no process holds it")
	}
	fdinfo := filepath.Join(t.TempDir(), "3")
	if err := os.WriteFile(fdinfo, []byte("pos:\t0\nflags:\t0104002\niff:\tedge77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := interfaceOf(fdinfo); got != "edge77" {
		t.Errorf("%q", got)
	}
	if got := interfaceOf(fdinfo + "0"); got != "" {
		t.Errorf("%q of no file", got)
	}
}

// TestSetUpRefused changes the loopback interface without the right to.
func TestSetUpRefused(t *testing.T) {
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	dropNetAdmin(t)
	n, err := findInterface("lo")
	if err != nil {
		t.Fatal(err)
	}
	d := &Device{netif: n, closed: make(chan struct{})}
	for what, err := range map[string]error{
		"give lo the MAC 02:00:00:00:00:01": second(n.shape([6]byte{2, 5: 1}, n.found.Attrs().MTU)),
		"give lo an MTU of 1400":            second(n.shape([6]byte{}, 1400)),
	} {
		var e *OpenError
		if !errors.As(err, &e) || e.Code != "E02" || !strings.Contains(e.Sentence, "not allowed to "+what+":") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if mac, err := n.shape([6]byte{}, n.found.Attrs().MTU); err != nil || mac != ([6]byte{}) {
		t.Errorf("as it is: %v, %v", mac, err)
	}
	n.lengthenQueue() // best effort: nothing happens
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func second(_ [6]byte, err error) error { return err }
