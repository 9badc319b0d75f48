package tap

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
	"hedgerow/internal/leak"
)

// refusing is the kernel that runs, but for what the functions given refuse.
func refusing(attach func(flags uint16) bool, offloads func(bits int) bool) opener {
	k := linuxKernel
	if attach != nil {
		k.attach = func(fd int, name string, flags uint16) syscall.Errno {
			if attach(flags) {
				return unix.EINVAL
			}
			return linuxKernel.attach(fd, name, flags)
		}
	}
	if offloads != nil {
		k.offload = func(fd, bits int) syscall.Errno {
			if offloads(bits) {
				return unix.EINVAL
			}
			return linuxKernel.offload(fd, bits)
		}
	}
	return opener{node: nodePath, kernel: k}
}

// flagged refuses an attach with any of some flags.
func flagged(refused uint16) func(uint16) bool {
	return func(flags uint16) bool { return flags&refused != 0 }
}

// holding refuses a set of offloads with any of some in it.
func holding(refused int) func(int) bool {
	return func(bits int) bool { return bits&refused != 0 }
}

// notes opens a device with a log and returns what the log was told.
func notes(t *testing.T, o opener, cfg Config) (d *Device, refused []string) {
	t.Helper()
	var log bytes.Buffer
	cfg.Name = "edge0"
	cfg.Log = slog.New(slog.NewJSONHandler(&log, nil))
	d, err := o.open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	if log.Len() == 0 {
		return d, nil
	}
	var record struct {
		Level, Msg, Device string
		Refused            []string
	}
	if err := json.Unmarshal(log.Bytes(), &record); err != nil { // also of a second record
		t.Fatalf("%v: %s", err, log.String())
	}
	if record.Level != "WARN" || record.Device != "edge0" || !strings.Contains(record.Msg, "slower") {
		t.Errorf("logged %+v", record)
	}
	return d, record.Refused
}

func TestKernelRefuses(t *testing.T) {
	const (
		uso = unix.TUN_F_USO4 | unix.TUN_F_USO6
		tso = unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
	)
	noSize := opener{node: nodePath, kernel: linuxKernel}
	noSize.kernel.headerSize = func(int, int) syscall.Errno { return unix.ENOTTY }
	second := 0
	tests := []struct {
		name    string
		o       opener
		cfg     Config
		want    Features
		queues  int
		refused []string
	}{
		{"nothing", refusing(nil, nil), Config{Queues: 3}, allFeatures, 3, nil},
		{"nothing that is wanted", refusing(nil, holding(uso)), Config{Without: FeatureUSO}, allFeatures &^ FeatureUSO, 1, []string{"uso (by option)"}},
		{"USO", refusing(nil, holding(uso)), Config{}, allFeatures &^ FeatureUSO, 1, []string{"uso (invalid argument)"}},
		{"TSO too", refusing(nil, holding(uso|tso)), Config{}, FeatureVnet | FeatureCsum, 1, []string{"uso (invalid argument)", "tso (invalid argument)"}},
		{"all offloads", refusing(nil, holding(^0)), Config{}, FeatureVnet, 1, []string{"uso (invalid argument)", "tso (invalid argument)", "csum (invalid argument)"}},
		{"vnet headers", refusing(flagged(unix.IFF_VNET_HDR), nil), Config{Queues: 2}, 0, 2, []string{"vnet (/dev/net/tun: invalid argument)"}},
		{"their size", noSize, Config{}, 0, 1, []string{"vnet (/dev/net/tun: inappropriate ioctl for device)"}},
		{"several queues", refusing(flagged(unix.IFF_MULTI_QUEUE), nil), Config{Queues: 2, Without: FeatureVnet}, 0, 1, []string{"several queues (/dev/net/tun: invalid argument)", "vnet,csum,tso,uso (by option)"}},
		{"the second queue", refusing(func(uint16) bool { second++; return second == 2 }, nil), Config{Queues: 3}, allFeatures, 1, []string{"queue 2 (/dev/net/tun: invalid argument)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			enterNamespace(t)
			for _, backend := range []Backend{BackendNative, BackendAuto} {
				second = 0
				tt.cfg.Backend = backend
				closed := leak.Descriptors(t)
				d, refused := notes(t, tt.o, tt.cfg)
				if d.Features() != tt.want || len(d.Queues()) != tt.queues || d.file != nil || !slices.Equal(refused, tt.refused) {
					t.Errorf("%v: features %v, %d queues, notes %q", backend, d.Features(), len(d.Queues()), refused)
				}
				d.Close()
				closed()
			}
		})
	}
}

// TestWaterServes has a kernel that knows nothing of what the native backend
// does, but on whose device water works.
func TestWaterServes(t *testing.T) {
	enterNamespace(t)
	o := refusing(flagged(^uint16(0)), nil)
	_, err := o.open(Config{Name: "edge0", Backend: BackendNative, Queues: 2})
	var e *OpenError
	if !errors.As(err, &e) || e.Errno != unix.EINVAL || linkOf(t, "edge0") != nil {
		t.Errorf("native: %v", err)
	}
	d, refused := notes(t, o, Config{Queues: 2})
	if d.file == nil || d.Features() != 0 || len(d.Queues()) != 1 || len(refused) != 1 || !strings.Contains(refused[0], "using water") {
		t.Errorf("auto: features %v, %d queues, notes %q", d.Features(), len(d.Queues()), refused)
	}
	testFramesOf(t, d)
	d.Close()
	closed := leak.Descriptors(t)
	for range 10 {
		d, _ := notes(t, o, Config{})
		d.Close()
	}
	closed()
}

// testFramesOf moves some frames through an open device.
func testFramesOf(t *testing.T, d *Device) {
	t.Helper()
	fd := packetSocket(t, d.Name(), etherType)
	if _, err := unix.Write(fd, testFrame(1, 60)); err != nil {
		t.Fatal(err)
	}
	readOwn(t, d, 1)
	fs := newFrames(1)
	fs[0].Len = copy(fs[0].Buf[fs[0].Off:], testFrame(2, 60))
	if n, err := d.Queues()[0].WriteBatch(fs); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := unix.Read(fd, make([]byte, 100)); n != 60 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// TestExistingQueues opens devices that an administrator made for one queue and
// for several.
func TestExistingQueues(t *testing.T) {
	for flags, want := range map[netlink.TuntapFlag]int{0: 1, netlink.TUNTAP_MULTI_QUEUE_DEFAULTS: 3} {
		enterNamespace(t)
		addTAP(t, "edge0", flags)
		for range 2 {
			d, refused := notes(t, refusing(nil, nil), Config{Queues: 3})
			if len(d.Queues()) != want || d.Features() != allFeatures || !d.existing {
				t.Errorf("%d queues, features %v, existing %v", len(d.Queues()), d.Features(), d.existing)
			}
			if want == 1 != slices.Equal(refused, []string{"several queues (the device was made for one)"}) {
				t.Errorf("notes %q", refused)
			}
			testFramesOf(t, d)
			d.Close()
		}
	}
}

// TestOneQueueIsSingle: a device for one queue is made so, and a second process
// that opens it finds it busy, whatever it asks for.
func TestOneQueueIsSingle(t *testing.T) {
	enterNamespace(t)
	for queues, multi := range map[int]bool{1: false, 2: true} {
		d := open(t, Config{Name: "edge0", Queues: queues})
		l, ok := linkOf(t, "edge0").(*netlink.Tuntap)
		if !ok || l.Flags&netlink.TUNTAP_MULTI_QUEUE != 0 != multi {
			t.Errorf("%d queues: %+v", queues, l)
		}
		for _, other := range []int{1, 2} {
			var e *OpenError
			if _, err := Open(Config{Name: "edge0", Queues: other}); !errors.As(err, &e) || e.Code != "E04" {
				t.Errorf("opened for %d queues, then for %d: %v", queues, other, err)
			}
		}
		d.Close()
	}
}

// TestOffloadsAreLeftOff: a program that knows nothing of vnet headers must not
// find super-frames in a device that we had, or find it as another left it.
func TestOffloadsAreLeftOff(t *testing.T) {
	h := lab.Must(lab.ForTest(t).Host("h", "203.0.113.1"))
	offloads := func() string {
		t.Helper()
		return strings.Join(lab.Must(h.Offloads("edge0")), " ")
	}
	var d *Device
	try := func(cfg Config) {
		t.Helper()
		cfg.Name = "edge0"
		if err := h.Do(func() (err error) {
			d, err = Open(cfg)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
	}
	lab.Must(h.Command(t.Context(), "ip", "tuntap", "add", "edge0", "mode", "tap").Output())
	try(Config{})
	if on := offloads(); !strings.Contains(on, "tx-tcp-segmentation") || !strings.Contains(on, "tx-udp-segmentation") {
		t.Errorf("native: %s", on)
	}
	d.Close()
	if on := offloads(); strings.Contains(on, "tx-tcp") || strings.Contains(on, "tx-udp-seg") {
		t.Errorf("closed: %s", on)
	}
	for _, cfg := range []Config{{Backend: BackendWater}, {Without: FeatureVnet}, {Without: FeatureCsum}} {
		try(Config{})
		d.features = 0 // as if the process had ended: Close then leaves all as it is
		d.Close()
		if on := offloads(); !strings.Contains(on, "tx-tcp-segmentation") {
			t.Errorf("left on: %s", on)
		}
		try(cfg)
		if on := offloads(); strings.Contains(on, "tx-tcp") || strings.Contains(on, "tx-udp-seg") {
			t.Errorf("%+v: %s", cfg, on)
		}
		d.Close()
	}
}
