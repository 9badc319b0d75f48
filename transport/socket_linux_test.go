package transport

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"hedgerow/internal/process"
)

// option reads an integer option of the socket.
func option(t *testing.T, u *UDP, level, name int) int {
	t.Helper()
	value, err := unix.GetsockoptInt(u.fd, level, name)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// setOption sets an integer option of the socket.
func setOption(t *testing.T, u *UDP, level, name, value int) {
	t.Helper()
	if err := unix.SetsockoptInt(u.fd, level, name, value); err != nil {
		t.Fatal(err)
	}
}

func TestSocketOptions(t *testing.T) {
	u := listen(t, Options{})
	if v := option(t, u, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); v != unix.IP_PMTUDISC_PROBE {
		t.Errorf("IP_MTU_DISCOVER is %d", v)
	}
	if !u.only4 {
		if v := option(t, u, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER); v != unix.IPV6_PMTUDISC_PROBE {
			t.Errorf("IPV6_MTU_DISCOVER is %d", v)
		}
		if v := option(t, u, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY); v != 0 {
			t.Errorf("IPV6_V6ONLY is %d", v)
		}
	}
	small, err := ListenUDP(0, Options{RecvBuffer: 50_000, SendBuffer: 40_000})
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	// The kernel keeps its own overhead within and so doubles the wish (socket(7)).
	if v := option(t, small, unix.SOL_SOCKET, unix.SO_RCVBUF); v != 100_000 {
		t.Errorf("SO_RCVBUF is %d", v)
	}
	if v := option(t, small, unix.SOL_SOCKET, unix.SO_SNDBUF); v != 80_000 {
		t.Errorf("SO_SNDBUF is %d", v)
	}
}

// TestBuffersPastTheCap checks that privilege is used for buffers that the
// kernel would cap.
func TestBuffersPastTheCap(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: sets buffers beyond net.core.rmem_max")
	}
	text, err := os.ReadFile("/proc/sys/net/core/rmem_max")
	if err != nil {
		t.Skipf("the kernel does not tell its cap here: %v", err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || most > 1<<28 {
		t.Skipf("the cap is %q", text)
	}
	u, err := ListenUDP(0, Options{RecvBuffer: most + 1<<16})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if v := option(t, u, unix.SOL_SOCKET, unix.SO_RCVBUF); v != 2*(most+1<<16) {
		t.Errorf("SO_RCVBUF is %d, want twice %d", v, most+1<<16)
	}
}

func TestMark(t *testing.T) {
	u, err := ListenUDP(0, Options{Binding: Binding{Mark: 7}})
	if os.Geteuid() != 0 {
		if !errors.Is(err, syscall.EPERM) {
			t.Errorf("without privilege: %v", err)
		}
		t.Skip("needs root: sets a firewall mark")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if v := option(t, u, unix.SOL_SOCKET, unix.SO_MARK); v != 7 {
		t.Errorf("SO_MARK is %d", v)
	}
}

// TestTTLOfOneDatagram has the kernel tell the TTL, or the hop limit, of each datagram
// received.
func TestTTLOfOneDatagram(t *testing.T) {
	only4, err := listenIPv4()
	if err != nil {
		t.Fatal(err)
	}
	defer only4.Close()
	for _, tc := range []struct {
		name        string
		sender      *UDP
		to          string
		level       int
		tell, usual int
	}{
		{"dual stack", listen(t, Options{}), "127.0.0.1", unix.IPPROTO_IP, unix.IP_RECVTTL, unix.IP_TTL},
		{"IPv4 alone", only4, "127.0.0.1", unix.IPPROTO_IP, unix.IP_RECVTTL, unix.IP_TTL},
		{"IPv6", listen(t, Options{}), "::1", unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, unix.IPV6_UNICAST_HOPS},
	} {
		usual := option(t, tc.sender, tc.level, tc.usual)
		receiver, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(tc.to)})
		if err != nil {
			t.Fatal(err)
		}
		defer receiver.Close()
		raw, err := receiver.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var told error
		if err := errors.Join(raw.Control(func(fd uintptr) { told = unix.SetsockoptInt(int(fd), tc.level, tc.tell, 1) }), told); err != nil {
			t.Fatal(err)
		}
		to := receiver.LocalAddr().(*net.UDPAddr).AddrPort()
		ds := []Datagram{datagram(to, "a"), datagram(to, "b"), datagram(to, "c"), datagram(to, "d")}
		ds[1].TTL, ds[3].TTL = 2, 255
		if n, err := tc.sender.WriteBatch(ds); n != 4 || err != nil {
			t.Fatalf("%s: %d, %v", tc.name, n, err)
		}
		for i, want := range []int{usual, 2, usual, 255} {
			if got := ttlOf(t, receiver); got != want {
				t.Errorf("%s: datagram %d has TTL %d, want %d", tc.name, i, got, want)
			}
		}
	}
}

// ttlOf returns the TTL of the next datagram that a socket receives.
func ttlOf(t *testing.T, receiver *net.UDPConn) int {
	t.Helper()
	buf, oob := make([]byte, 10), make([]byte, 64)
	_, oobn, _, _, err := receiver.ReadMsgUDPAddrPort(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		t.Fatalf("%v, %v", messages, err)
	}
	return int(messages[0].Data[0])
}

// listenIPv4 opens a socket as on a host without IPv6.
func listenIPv4() (*UDP, error) {
	return listenAlone(unix.AF_INET, 0, Options{}.withDefaults())
}

func TestIPv4Alone(t *testing.T) {
	u, err := listenIPv4()
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	port := u.LocalAddr().Port()
	ds := []Datagram{
		datagram(netip.AddrPortFrom(netip.MustParseAddr("::1"), port), "six"),
		datagram(netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), port), "mapped"),
		datagram(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port), "four"),
	}
	n, err := u.WriteBatch(ds)
	var refused *WriteError
	if n != 2 || !errors.As(err, &refused) || refused.Index != 0 || len(refused.Others) != 0 || !errors.Is(err, syscall.ENETUNREACH) {
		t.Fatalf("%d, %v", n, err)
	}
	for _, want := range []string{"mapped", "four"} {
		if d := read(t, u); string(d.Payload()) != want || !d.Addr.Addr().Is4() {
			t.Errorf("%q from %v", d.Payload(), d.Addr)
		}
	}
}

// TestClosedPortEndsNothing has the kernel report a closed port on the reading
// side, which it does for sockets that ask for it (IP_RECVERR).
func TestClosedPortEndsNothing(t *testing.T) {
	u, closed := listen(t, Options{}), listen(t, Options{})
	setOption(t, u, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	to := at(t, closed, "127.0.0.1")
	closed.Close()
	if n, err := u.WriteBatch([]Datagram{datagram(to, "x")}); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	// The loopback interface answers before the call returns; the error waits
	// for the next read or write, and this read comes first.
	other := listen(t, Options{})
	if n, err := other.WriteBatch([]Datagram{datagram(at(t, u, "127.0.0.1"), "still there")}); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if d := read(t, u); string(d.Payload()) != "still there" {
		t.Errorf("%q", d.Payload())
	}
	if u.ReadFaults() != 1 {
		t.Errorf("%d read faults", u.ReadFaults())
	}
}

func TestPassing(t *testing.T) {
	for err, want := range map[error]bool{
		&net.OpError{Err: os.NewSyscallError("recvfrom", unix.ECONNREFUSED)}: true,
		unix.EHOSTUNREACH: true,
		unix.ENOBUFS:      true,
		unix.EBADF:        false,
		unix.EFAULT:       false,
		net.ErrClosed:     false,
	} {
		if passing(err) != want {
			t.Errorf("%v: want %v", err, want)
		}
	}
}

// enterNamespace moves the test to a network namespace of its own, with the
// loopback interface up. Its thread is not given back: it ends with the test's
// goroutine.
func enterNamespace(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes a network namespace")
	}
	runtime.LockOSThread()
	ns, err := netns.New()
	if err != nil {
		t.Skipf("cannot make a network namespace: %v", err)
	}
	t.Cleanup(func() { ns.Close() })
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// setMTU sets the MTU of an interface of the test's namespace.
func setMTU(t *testing.T, name string, mtu int) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetMTU(link, mtu)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestHolder(t *testing.T) {
	enterNamespace(t) // so that the port is ours for certain
	if pid, command, ok := Holder(7654); ok {
		t.Fatalf("a new namespace has a socket of pid %d (%s)", pid, command)
	}
	u, err := ListenUDP(7654, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	pid, command, ok := Holder(7654)
	if !ok || pid != os.Getpid() || command != process.Command(pid) || command == "" {
		t.Errorf("pid %d, command %q, %v", pid, command, ok)
	}
	if _, _, ok := Holder(7655); ok {
		t.Error("another port is held too")
	}
	_, err = ListenUDP(7654, Options{})
	var e *InUseError
	if !errors.As(err, &e) || e.PID != os.Getpid() || !errors.Is(err, syscall.EADDRINUSE) || !strings.HasSuffix(err.Error(), "[E16]") {
		t.Errorf("%v", err)
	}
	// A port that is taken for one family is taken for both.
	four, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 7655})
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()
	if _, err := ListenUDP(7655, Options{}); !errors.As(err, &e) {
		t.Errorf("IPv4 is taken: %v", err)
	}
}

// TestPathMTUIsIgnored checks PROBE: a datagram larger than the interface is
// refused at once and never fragmented, in both families.
func TestPathMTUIsIgnored(t *testing.T) {
	enterNamespace(t)
	setMTU(t, "lo", 1400)
	u := listen(t, Options{})
	for loopback, headers := range map[string]int{"127.0.0.1": 28, "::1": 48} {
		d := Datagram{Buf: make([]byte, 1500), N: 1400 - headers, Addr: at(t, u, loopback)}
		if n, err := u.WriteBatch([]Datagram{d}); n != 1 || err != nil {
			t.Errorf("%s: a full datagram: %v", loopback, err)
		}
		d.N++
		if n, err := u.WriteBatch([]Datagram{d}); n != 0 || !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("%s: a byte more: %d, %v", loopback, n, err)
		}
	}
}

func TestSocketsOf(t *testing.T) {
	const table = `   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  100: 00000000:1DE6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4711 2 0000000000000000 0
  101: 00000000000000000000000000000000:1DE6 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4712 2 0000000000000000 0
  102: 0100007F:1DE7 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4713 2 0000000000000000 0
  103: 0100007F:1DE6 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 0 2 0000000000000000 0
  short line
  104: 0100007F 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4714 2
`
	sockets := make(map[string]bool)
	socketsOf(strings.NewReader(table), 7654, sockets)
	if len(sockets) != 2 || !sockets["socket:[4711]"] || !sockets["socket:[4712]"] {
		t.Errorf("%v", sockets)
	}
}
