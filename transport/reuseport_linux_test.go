package transport

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"hedgerow/internal/leak"
)

// stranger tries to join a port as another program of the same user may.
func stranger(t *testing.T, to unix.Sockaddr) error {
	t.Helper()
	family := unix.AF_INET6
	if _, four := to.(*unix.SockaddrInet4); four {
		family = unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, option := range []int{unix.SO_REUSEPORT, unix.SO_REUSEADDR} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
			t.Fatal(err)
		}
	}
	return unix.Bind(fd, to)
}

// strangers tries to join in all ways.
func strangers(t *testing.T, port uint16, want error) {
	t.Helper()
	for _, to := range []unix.Sockaddr{
		&unix.SockaddrInet6{Port: int(port)},
		&unix.SockaddrInet6{Port: int(port), Addr: [16]byte{15: 1}},
		&unix.SockaddrInet4{Port: int(port)},
		&unix.SockaddrInet4{Port: int(port), Addr: [4]byte{127, 0, 0, 1}},
	} {
		if err := stranger(t, to); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", to, err, want)
		}
	}
}

// crowd fills the kernel's chain of the port, upon which it looks for takers of
// a port in another table. Chains have at least 256 ports each way.
func crowd(t *testing.T, port uint16) {
	t.Helper()
	for p := int(port) % 256; p < 1<<16; p += 256 {
		if p < 1024 || p == int(port) {
			continue
		}
		u, err := ListenUDP(uint16(p), Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { u.Close() })
	}
}

func TestGroup(t *testing.T) {
	for _, crowded := range []bool{false, true} {
		t.Run(fmt.Sprintf("crowded %v", crowded), func(t *testing.T) { testGroup(t, crowded) })
	}
}

func testGroup(t *testing.T, crowded bool) {
	enterNamespace(t)
	const port, n = 7654, 4
	if crowded {
		crowd(t, port)
	}
	group, err := ListenUDPGroup(port, n, Options{})
	if err != nil || len(group) != n {
		t.Fatal(len(group), err)
	}
	for _, u := range group {
		if u.LocalAddr() != netip.MustParseAddrPort("[::]:7654") {
			t.Errorf("%v", u.LocalAddr())
		}
	}
	strangers(t, port, unix.EADDRINUSE)
	for _, count := range []int{1, n} {
		_, err := ListenUDPGroup(port, count, Options{})
		var e *InUseError
		if !errors.As(err, &e) || e.Port != port || e.PID != os.Getpid() {
			t.Errorf("a second start with %d: %v", count, err)
		}
	}
	spread(t, group)
	// The last one to go takes the guard with it.
	for _, u := range group[1:] {
		if err := u.Close(); err != nil {
			t.Error(err)
		}
	}
	strangers(t, port, unix.EADDRINUSE)
	if err := group[0].Close(); err != nil {
		t.Error(err)
	}
	strangers(t, port, nil)
}

// spread checks that datagrams of many senders come to all sockets, and those of
// one sender to one.
func spread(t *testing.T, group []*UDP) {
	t.Helper()
	senders := map[uint16]*UDP{}
	for range 64 {
		s := listen(t, Options{})
		senders[s.LocalAddr().Port()] = s
		for range 3 {
			ds := []Datagram{datagram(at(t, group[0], "127.0.0.1"), "four"), datagram(at(t, group[0], "::1"), "six")}
			if n, err := s.WriteBatch(ds); n != 2 || err != nil {
				t.Fatal(n, err)
			}
		}
	}
	seen := map[netip.AddrPort]int{}
	for i, u := range group {
		total, ds := 0, buffers(8)
		for {
			n, err := u.ReadBatch(ds)
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
			for _, d := range ds[:n] {
				if before, ok := seen[d.Addr]; ok && before != i {
					t.Errorf("%v comes to %d and %d", d.Addr, before, i)
				}
				seen[d.Addr] = i
				total += segments(d.N, d.Seg)
			}
		}
		if total < 20 {
			t.Errorf("socket %d got %d of 384", i, total)
		}
	}
	if len(seen) != 2*len(senders) {
		t.Errorf("%d senders of %d", len(seen), 2*len(senders))
	}
}

func TestGroupOfAnyPort(t *testing.T) {
	group, err := ListenUDPGroup(0, 2, Options{})
	if err != nil || len(group) != 2 {
		t.Fatal(len(group), err)
	}
	defer group[0].Close()
	defer group[1].Close()
	if a, b := group[0].LocalAddr(), group[1].LocalAddr(); a != b || a.Port() == 0 {
		t.Errorf("%v and %v", a, b)
	}
	for _, n := range []int{-1, 0, 1} {
		group, err := ListenUDPGroup(0, n, Options{})
		if err != nil || len(group) != 1 {
			t.Fatal(len(group), err)
		}
		if group[0].Close() != nil || group[0].guard != nil {
			t.Errorf("%d: %v", n, group[0].guard)
		}
	}
}

// TestGroupFaults checks that options fail a group as they fail a socket, and
// leave nothing behind.
func TestGroupFaults(t *testing.T) {
	enterNamespace(t)
	four, err := listenAlone(unix.AF_INET, 7654, Options{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	defer four.Close()
	var e *InUseError
	if _, err := ListenUDPGroup(7654, 2, Options{}); !errors.As(err, &e) {
		t.Errorf("IPv4 is taken: %v", err)
	}
	strangers(t, 7655, nil)
}

// TestGroupErrors opens groups on a port that another socket has, and with a mark
// that needs rights. It leaves no descriptor open.
func TestGroupErrors(t *testing.T) {
	closed := leak.Descriptors(t)
	other, err := ListenUDP(0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	port := other.LocalAddr().Port()
	for _, n := range []int{1, 3} {
		var e *InUseError
		if _, err := ListenUDPGroup(port, n, Options{}); !errors.As(err, &e) || e.Port != port {
			t.Errorf("%d sockets on a port that is in use: %v", n, err)
		}
	}
	other.Close()
	group, err := ListenUDPGroup(0, 1, Options{})
	if err != nil || len(group) != 1 || group[0].guard != nil {
		t.Fatalf("a group of one: %v, %v", group, err)
	}
	group[0].Close()
	if os.Geteuid() != 0 { // root may set it
		for _, n := range []int{1, 2} {
			if _, err := ListenUDPGroup(0, n, Options{Binding: Binding{Mark: 7}}); !errors.Is(err, unix.EPERM) {
				t.Errorf("%d sockets with a mark, without rights: %v", n, err)
			}
		}
	}
	closed()
}

// TestGuardRelease closes the guard with the last socket that uses it.
func TestGuardRelease(t *testing.T) {
	var none *guard
	if err := none.release(); err != nil {
		t.Error(err)
	}
	g, _, err := newGuard(0, Options{}.withDefaults())
	if errors.Is(err, errNoGroup) {
		t.Skip("this host has no IPv6")
	}
	if err != nil {
		t.Fatal(err)
	}
	g.users.Add(1)
	if err := g.release(); err != nil || unix.SetsockoptInt(g.fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) != nil {
		t.Errorf("released while a socket needs it: %v", err)
	}
	if err := g.release(); err != nil {
		t.Error(err)
	}
}
