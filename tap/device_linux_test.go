package tap

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestOpenSetsUp(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "edge0", MAC: testMAC, MTU: 1400})
	if d.Name() != "edge0" || d.MAC() != testMAC || d.MTU() != 1400 || d.existing {
		t.Errorf("device says %s %x %d existing=%v", d.Name(), d.MAC(), d.MTU(), d.existing)
	}
	l := linkOf(t, "edge0")
	a := l.Attrs()
	if !bytes.Equal(a.HardwareAddr, testMAC[:]) || a.MTU != 1400 || !flagsUp(l) || a.TxQLen != queueLen {
		t.Errorf("kernel says %s mtu %d flags %s queue %d", a.HardwareAddr, a.MTU, a.Flags, a.TxQLen)
	}
	// The link-local address shows that the MAC was set before the link went up
	// (modified EUI-64, RFC 4291 appendix A).
	list, err := netlink.AddrList(l, netlink.FAMILY_V6)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].IP.String() != "fe80::5c:1eff:fe9a:4011" {
		t.Errorf("IPv6 addresses %v, want the link-local one of the MAC", list)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if linkOf(t, "edge0") != nil {
		t.Error("the interface is still there after Close")
	}
	if err := d.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestOpenDefaults(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "edge0"})
	if d.MTU() != DefaultMTU || linkOf(t, "edge0").Attrs().MTU != DefaultMTU {
		t.Errorf("MTU %d", d.MTU())
	}
	if mac := d.MAC(); !bytes.Equal(linkOf(t, "edge0").Attrs().HardwareAddr, mac[:]) || mac == [6]byte{} {
		t.Errorf("MAC %x is not the kernel's", mac)
	}
}

func TestFramesBothWays(t *testing.T) { onBackends(t, testBothWays) }

func testBothWays(t *testing.T, backend Backend) {
	d := open(t, Config{Name: "edge0", MAC: testMAC, MTU: 1500, Backend: backend})
	fd := packetSocket(t, "edge0", etherType)
	const count = 40
	for i := range count {
		if _, err := unix.Write(fd, testFrame(byte(i), 60+i)); err != nil {
			t.Fatal(err)
		}
	}
	own, largest := readOwn(t, d, count)
	for i, f := range own {
		if !bytes.Equal(f, testFrame(byte(i), 60+i)) {
			t.Fatalf("frame %d read as % x", i, f)
		}
	}
	if largest < 2 {
		t.Errorf("the largest batch had %d frame", largest)
	}

	out := newFrames(count)
	for i := range out {
		out[i].Len = copy(out[i].Buf[out[i].Off:], testFrame(byte(i), 60+i))
	}
	if n, err := d.Queues()[0].WriteBatch(out); n != count || err != nil {
		t.Fatalf("WriteBatch: %d, %v", n, err)
	}
	buf := make([]byte, 2048)
	for i := range count {
		n, err := unix.Read(fd, buf)
		if err != nil {
			t.Fatalf("frame %d: %v", i, err)
		}
		if !bytes.Equal(buf[:n], testFrame(byte(i), 60+i)) {
			t.Fatalf("frame %d arrived as % x", i, buf[:n])
		}
	}
}

// TestTaggedFrames checks that a full frame keeps its 802.1Q tag both ways: the
// kernel carries the tag beside the frame and puts it back for a TAP.
func TestTaggedFrames(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "edge0", MTU: 1500})
	fd := packetSocket(t, "edge0", unix.ETH_P_ALL)
	plain := testFrame(7, 1500+14)
	tagged := append(append(append([]byte(nil), plain[:12]...), 0x81, 0, 0, 42), plain[12:]...)
	if _, err := unix.Write(fd, tagged); err != nil {
		t.Fatal(err)
	}
	q, fs := d.Queues()[0], newFrames(1)
	for read := false; !read; {
		n, err := q.ReadBatch(fs)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 && !waitReadable(t, 10*time.Second, q) {
			t.Fatal("the frame did not come")
		}
		read = n == 1 && fs[0].Bytes()[12] == 0x81
	}
	if !bytes.Equal(fs[0].Bytes(), tagged) {
		t.Errorf("%d bytes were read of %d", fs[0].Len, len(tagged))
	}
	if n, err := d.Queues()[0].WriteBatch(fs); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	// A packet socket gets the frame with the tag beside it, so by its length.
	buf := make([]byte, 2048)
	for n := 0; n != len(plain); {
		var err error
		if n, err = unix.Read(fd, buf); err != nil {
			t.Fatalf("the frame did not arrive: %v", err)
		}
	}
}

func TestMalformedFrameIsDropped(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "edge0"})
	fd := packetSocket(t, "edge0", etherType)
	fs := newFrames(2)
	fs[0].Len = 5
	fs[1].Len = copy(fs[1].Buf[fs[1].Off:], testFrame(1, 60))
	if n, err := d.Queues()[0].WriteBatch(fs); n != 1 || err != nil || d.Dropped() != 1 {
		t.Errorf("n %d, err %v, dropped %d; want 1, nil, 1", n, err, d.Dropped())
	}
	if n, err := unix.Read(fd, make([]byte, 100)); n != 60 || err != nil {
		t.Errorf("the good frame behind it: %d, %v", n, err)
	}
}

func TestLinkDown(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "edge0"})
	fd := packetSocket(t, "edge0", etherType)
	if err := netlink.LinkSetDown(linkOf(t, "edge0")); err != nil {
		t.Fatal(err)
	}
	fs := newFrames(3)
	for i := range fs {
		fs[i].Len = copy(fs[i].Buf[fs[i].Off:], testFrame(9, 60))
	}
	if n, err := d.Queues()[0].WriteBatch(fs); n != 0 || err != nil || d.Dropped() != 3 {
		t.Errorf("link down: n %d, err %v, dropped %d; want 0, nil, 3", n, err, d.Dropped())
	}
	// A loop that reads and waits does not spin while the link is down.
	q := d.Queues()[0]
	for waitReadable(t, 0, q) { // what came before
		if n, err := q.ReadBatch(newFrames(8)); err != nil || n == 0 {
			t.Fatalf("readable, but %d frames, %v", n, err)
		}
	}
	if n, err := q.ReadBatch(newFrames(1)); n != 0 || err != nil {
		t.Errorf("link down: %d frames, %v", n, err)
	}
	if waitReadable(t, 50*time.Millisecond, q) {
		t.Error("readable while the link is down")
	}
	got := make(chan bool, 1)
	go func() { got <- waitReadable(t, 10*time.Second, q) }()
	if err := netlink.LinkSetUp(linkOf(t, "edge0")); err != nil {
		t.Fatal(err)
	}
	// The socket's first write reports that the link went down meanwhile.
	for range 2 {
		if _, err := unix.Write(fd, testFrame(9, 60)); err == nil {
			break
		}
	}
	if !<-got {
		t.Error("a wait that began while the link was down did not end")
	}
	readOwn(t, d, 1)
}

func TestClose(t *testing.T) { onBackends(t, testClose) }

func testClose(t *testing.T, backend Backend) {
	cfg := Config{Name: "edge0", Backend: backend}
	d := open(t, cfg)
	q := d.Queues()[0]
	ended := make(chan error, 2)
	loop := func(batch func([]Frame) (int, error)) {
		fs := newFrames(4)
		for {
			if _, err := batch(fs); err != nil {
				ended <- err
				return
			}
		}
	}
	go loop(q.ReadBatch)
	go loop(q.WriteBatch)
	for q.Counters().Writes < 100 { // both are at it
		runtime.Gosched()
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-ended; err != ErrClosed {
			t.Errorf("a batch returned %v", err)
		}
	}
	if q.Fd() != -1 {
		t.Errorf("descriptor %d", q.Fd())
	}
	if _, err := q.ReadBatch(newFrames(1)); err != ErrClosed {
		t.Errorf("ReadBatch returned %v", err)
	}
	if _, err := d.Queues()[0].WriteBatch(newFrames(1)); err != ErrClosed {
		t.Errorf("WriteBatch returned %v", err)
	}
	if err := d.SetAddress(netip.MustParsePrefix("10.64.0.1/24")); err != ErrClosed {
		t.Errorf("SetAddress returned %v", err)
	}
	if !errors.Is(ErrClosed, net.ErrClosed) || !errors.Is(ErrClosed, fs.ErrClosed) {
		t.Error("ErrClosed does not match the standard library's")
	}
	open(t, cfg).Close() // free at once
}

func TestDeletedUnderneath(t *testing.T) { onBackends(t, testDeleted) }

func testDeleted(t *testing.T, backend Backend) {
	d := open(t, Config{Name: "edge0", Backend: backend})
	q := d.Queues()[0]
	got := make(chan error, 1)
	go func() {
		fs := newFrames(4)
		for waitReadable(t, 10*time.Second, q) {
			if _, err := q.ReadBatch(fs); err != nil {
				got <- err
				return
			}
		}
		got <- errors.New("waited in vain")
	}()
	if err := netlink.LinkDel(linkOf(t, "edge0")); err != nil {
		t.Fatal(err)
	}
	if err := <-got; !errors.Is(err, ErrDeleted) {
		t.Errorf("ReadBatch returned %v", err)
	}
	fs := newFrames(1)
	fs[0].Len = copy(fs[0].Buf[fs[0].Off:], testFrame(9, 60))
	if _, err := q.WriteBatch(fs); !errors.Is(err, ErrDeleted) {
		t.Errorf("WriteBatch returned %v", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
