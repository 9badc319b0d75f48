//go:build linux

package lab

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"
)

// sendSegments sends payloads of 1000 bytes in one UDP_SEGMENT call.
func sendSegments(t *testing.T, from *net.UDPConn, to netip.AddrPort, count int) {
	t.Helper()
	const size = 1000
	raw := Must(from.SyscallConn())
	raw.Control(func(fd uintptr) {
		if err := unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size); err != nil {
			t.Fatal(err)
		}
	})
	if _, err := from.WriteToUDPAddrPort(make([]byte, size*count), to); err != nil {
		t.Fatal(err)
	}
}

// A burst of segments crosses the lab as one packet until the offloads are off,
// and as so many datagrams afterwards. TCP likewise.
func TestOffloads(t *testing.T) {
	l := ForTest(t)
	home := Must(l.Router("home", "198.51.100.1", PortRestricted))
	a, b := Must(home.Host("a")), Must(l.Host("b", "203.0.113.2"))
	from, to := listen(t, a, "192.168.1.10:5000"), listen(t, b, "203.0.113.2:5000")
	const count = 20
	if !slices.Contains(Must(a.Offloads(HostLink)), "tx-udp-segmentation") {
		t.Error("a veth has no tx-udp-segmentation to turn off")
	}
	sendSegments(t, from, local(to), count)
	for range count {
		if message, _ := receive(t, to, soon); len(message) != 1000 {
			t.Fatalf("%d bytes arrived", len(message))
		}
	}
	before := Must(l.Internet().Counters())
	if before.Forwarded.Packets != 1 || before.Oversize.Packets != 1 {
		t.Errorf("with offloads: %+v", before)
	}

	if err := l.DisableOffloads(); err != nil {
		t.Fatal(err)
	}
	late := Must(home.Host("late"))
	for _, e := range []end{{a.Namespace, HostLink}, {late.Namespace, HostLink}, {b.Namespace, HostLink},
		{home.Namespace, WANLink}, {home.Namespace, "late"}, {l.Internet().Namespace, "home"}} {
		if left := Must(e.space.Offloads(e.name)); len(left) > 0 {
			t.Errorf("%s %s: %v", e.space.Name(), e.name, left)
		}
	}
	sendSegments(t, from, local(to), count)
	for range count {
		if message, _ := receive(t, to, soon); len(message) != 1000 {
			t.Fatalf("%d bytes arrived", len(message))
		}
	}
	after := Must(l.Internet().Counters())
	if n := after.Forwarded.Packets - before.Forwarded.Packets; n != count || after.Oversize != before.Oversize {
		t.Errorf("without offloads: %d packets, %+v", n, after)
	}
	transfer(t, b, a, 1<<20)
	if end := Must(l.Internet().Counters()); end.Oversize != before.Oversize {
		t.Errorf("TCP without offloads: %+v", end)
	}
}

// transfer sends bytes over TCP from a host behind a router to a public one.
func transfer(t *testing.T, public, inside *Host, size int) {
	t.Helper()
	listener := Must(public.Listen("tcp", netip.AddrPortFrom(public.Addr(), 80).String()))
	defer listener.Close()
	conn := Must(inside.Dial(t.Context(), "tcp", listener.Addr().String()))
	go func() {
		conn.Write(make([]byte, size))
		conn.Close()
	}()
	accepted := Must(listener.Accept())
	defer accepted.Close()
	accepted.SetDeadline(time.Now().Add(10 * soon))
	var got bytes.Buffer
	if _, err := got.ReadFrom(accepted); err != nil || got.Len() != size {
		t.Errorf("%d bytes of %d: %v", got.Len(), size, err)
	}
}

func TestCapture(t *testing.T) {
	l := ForTest(t)
	home := Must(l.Router("home", "198.51.100.1", PortRestricted))
	a, b := Must(home.Host("a")), Must(l.Host("b", "203.0.113.2", "2001:db8:1::2"))
	six := Must(l.Host("six", "2001:db8:1::6"))
	inside, wan := Must(a.Capture(HostLink)), Must(home.Capture(WANLink))
	all := Must(l.Internet().Capture())

	to := listen(t, b, "203.0.113.2:6000")
	from := listen(t, a, "192.168.1.10:5000")
	const count = 200
	for range count {
		send(t, from, local(to), "there")
		_, back := receive(t, to, soon)
		send(t, to, back, "and back")
		receive(t, from, soon)
	}
	to6 := listen(t, b, "[2001:db8:1::2]:6000")
	from6 := listen(t, six, "[2001:db8:1::6]:5000")
	send(t, from6, local(to6), "six")
	receive(t, to6, soon)

	type flow struct{ From, To, Message string }
	flows := func(c *Capture) map[flow]int {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		counts := map[flow]int{}
		for _, p := range c.Packets() {
			if from, to, payload, ok := p.UDP(); ok {
				counts[flow{from.String(), to.String(), string(payload)}]++
			}
			if age := time.Since(p.Time); age < 0 || age > time.Minute {
				t.Errorf("a packet is %s old", age)
			}
		}
		return counts
	}
	const private, public, server = "192.168.1.10:5000", "198.51.100.1:5000", "203.0.113.2:6000"
	outside := map[flow]int{{public, server, "there"}: count, {server, public, "and back"}: count}
	if d := cmp.Diff(map[flow]int{{private, server, "there"}: count, {server, private, "and back"}: count}, flows(inside)); d != "" {
		t.Error("inside:", d)
	}
	if d := cmp.Diff(outside, flows(wan)); d != "" {
		t.Error("wan:", d)
	}
	outside[flow{"[2001:db8:1::6]:5000", "[2001:db8:1::2]:6000", "six"}] = 1
	if d := cmp.Diff(outside, flows(all)); d != "" {
		t.Error("internet:", d)
	}
	send(t, from, local(to), "after the end")
	if n := len(all.Packets()); n != len(all.Packets()) || all.Stop() != nil {
		t.Error("a capture goes on after Stop")
	}
	readBack(t, wan)
}

// readBack compares the pcap file with the record, by another's reader.
func readBack(t *testing.T, c *Capture) {
	t.Helper()
	var file bytes.Buffer
	if err := c.WritePcap(&file); err != nil {
		t.Fatal(err)
	}
	r := Must(pcapgo.NewReader(&file))
	for i, p := range c.Packets() {
		frame, info, err := r.ReadPacketData()
		if err != nil || !bytes.Equal(frame, p.Frame) || !info.Timestamp.Equal(p.Time) {
			t.Fatalf("packet %d: %v, %s at %s, want %s", i, err, frame, info.Timestamp, p.Time)
		}
	}
	if _, _, err := r.ReadPacketData(); err == nil {
		t.Error("more in the file than was recorded")
	}
}

// A tag that the kernel keeps beside the frame is put back where it was.
func TestCaptureVLAN(t *testing.T) {
	l := ForTest(t)
	home := Must(l.Router("home", "198.51.100.1", PortRestricted))
	a, b := Must(home.Host("a")), Must(home.Host("b"))
	c := Must(b.Capture(HostLink))
	frame := slices.Concat(bytes.Repeat([]byte{0xff}, 6), []byte{2, 0, 0, 0, 0, 1}, // addresses
		[]byte{0x81, 0x00, 0x60, 0x2a}, []byte{0x88, 0xb5}, bytes.Repeat([]byte("hedge"), 10))
	err := a.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		link := Must(net.InterfaceByName(HostLink))
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index, Protocol: bigEndian16(unix.ETH_P_8021Q)})
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(c.Packets(), func(p Packet) bool { return bytes.Equal(p.Frame, frame) }) {
		t.Errorf("no such frame among %d", len(c.Packets()))
	}
}

// UDP never reads past a frame, whatever it claims.
func FuzzUDP(f *testing.F) {
	four := slices.Concat(make([]byte, 12), []byte{8, 0, 0x45, 0, 0, 32}, make([]byte, 5), []byte{17}, make([]byte, 22))
	six := slices.Concat(make([]byte, 12), []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 12, 17}, make([]byte, 45))
	for _, seed := range [][]byte{four, six} {
		if _, _, payload, ok := (Packet{Frame: seed}).UDP(); !ok || len(payload) != 4 {
			f.Fatalf("the seed %x is not UDP", seed)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		_, _, payload, ok := Packet{Frame: frame}.UDP()
		if ok && len(payload) > len(frame)-14-20-8 {
			t.Errorf("%d bytes of payload in a frame of %d", len(payload), len(frame))
		}
	})
}
