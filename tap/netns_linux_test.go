package tap

import (
	"encoding/binary"
	"math/bits"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// etherType of the frames of these tests: for local experiments (IEEE 802), so
// that the kernel's own frames can be told apart.
const etherType = 0x88b5

var testMAC = [6]byte{0x02, 0x5c, 0x1e, 0x9a, 0x40, 0x11}

// enterNamespace moves the test to a network namespace of its own. Its thread is
// not given back: it ends with the test's goroutine, and the namespace with it.
func enterNamespace(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace and TAP devices")
	}
	if _, err := os.Stat(nodePath); err != nil {
		t.Skipf("needs %s: %v", nodePath, err)
	}
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	t.Cleanup(func() { ns.Close() })
}

// onBackends runs a test with each backend of Linux, in namespaces of their own.
func onBackends(t *testing.T, test func(t *testing.T, backend Backend)) {
	t.Helper()
	for _, backend := range []Backend{BackendNative, BackendWater} {
		t.Run(backend.String(), func(t *testing.T) {
			enterNamespace(t)
			test(t, backend)
		})
	}
}

// open opens a device and closes it at the end of the test.
func open(t testing.TB, cfg Config) *Device {
	t.Helper()
	d, err := Open(cfg)
	if err != nil {
		t.Fatalf("Open(%+v): %v", cfg, err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// linkOf returns an interface of the test's namespace, or nil.
func linkOf(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if _, missing := err.(netlink.LinkNotFoundError); missing {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// packetSocket opens the kernel's side of an interface: what it sends goes to
// the device's reader, and it receives what the device writes, of one EtherType.
func packetSocket(t testing.TB, name string, etherType uint16) int {
	t.Helper()
	network := bits.ReverseBytes16(etherType)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		network = etherType // this machine is big-endian as the network is
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(network))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	index := linkOf(t, name).Attrs().Index
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network, Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// testFrame makes a broadcast frame of n bytes with a number in it.
func testFrame(number byte, n int) []byte {
	f := make([]byte, n)
	copy(f, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0, 0, 0, 0, 1, etherType >> 8, etherType & 0xff, number})
	return f
}

// newFrames makes n empty frames with some headroom.
func newFrames(n int) []Frame {
	fs := make([]Frame, n)
	for i := range fs {
		fs[i] = Frame{Buf: make([]byte, 2048), Off: 32}
	}
	return fs
}

// waitReadable waits until one of the queues can be read, and reports whether one
// could in time.
func waitReadable(t testing.TB, timeout time.Duration, qs ...*Queue) bool {
	t.Helper()
	var fds []unix.PollFd
	for _, q := range qs {
		fds = append(fds, unix.PollFd{Fd: int32(q.Fd()), Events: unix.POLLIN})
	}
	for {
		n, err := unix.Poll(fds, int(timeout/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Errorf("poll: %v", err)
		}
		return n > 0
	}
}

// readOwn reads batches from all queues until want frames of the test's EtherType
// are there.
func readOwn(t testing.TB, d *Device, want int) (own [][]byte, largest int) {
	t.Helper()
	qs, fs := d.Queues(), newFrames(64)
	for len(own) < want {
		if !waitReadable(t, 10*time.Second, qs...) {
			t.Fatalf("no more than %d frames came", len(own))
		}
		for _, q := range qs {
			n, err := q.ReadBatch(fs)
			if err != nil {
				t.Fatalf("after %d frames: %v", len(own), err)
			}
			largest = max(largest, n)
			for i := range fs[:n] {
				if isOwn(fs[i].Bytes()) {
					own = append(own, append([]byte(nil), fs[i].Bytes()...))
				}
			}
		}
	}
	return own, largest
}

// isOwn reports whether a frame is of the test's EtherType.
func isOwn(b []byte) bool { return b[12] == etherType>>8 && b[13] == etherType&0xff }

// flagsUp reports whether the interface is set up.
func flagsUp(l netlink.Link) bool { return l.Attrs().Flags&net.FlagUp != 0 }
