package transport

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// ListenUDPGroup opens n sockets on one port (SO_REUSEPORT). The kernel spreads
// the datagrams of different senders between them; all datagrams of one sender
// arrive at one socket. It opens one socket if n is less than 2, on a host
// without IPv6, with Options.Address and on other systems than Linux, and fewer than n
// if the system allows no more.
//
// The first socket must get the port for itself, so that a second start fails as
// it does with ListenUDP, whose errors and options hold here too. No other
// process can join the group.
func ListenUDPGroup(port uint16, n int, opts Options) ([]*UDP, error) {
	if n > 1 && !opts.Address.IsValid() {
		group, err := openGroup(port, n, opts.withDefaults())
		if err == nil {
			return group, nil
		}
		if !errors.Is(err, errNoGroup) {
			return nil, opts.listenError(port, err)
		}
	}
	u, err := ListenUDP(port, opts)
	if err != nil {
		return nil, err
	}
	return []*UDP{u}, nil
}

// errNoGroup says that this host cannot have a group, so that one socket is
// opened.
var errNoGroup = errors.New("no group of sockets is possible here")

// openGroup opens a guard and then n sockets, or fewer. The error is errNoGroup,
// or one that a single socket would have met as well.
func openGroup(port uint16, n int, opts Options) ([]*UDP, error) {
	g, port, err := newGuard(port, opts)
	if err != nil {
		return nil, err
	}
	said := &notices{log: opts.Log}
	var group []*UDP
	for len(group) < n {
		u, fault := join(port, opts, said)
		if fault != nil {
			if len(group) == 0 {
				err = fault
			}
			break
		}
		u.guard = g
		g.users.Add(1)
		group = append(group, u)
	}
	// From here on nothing else can share the port with the guard.
	if shut := setReusePort(g.fd, 0); err == nil {
		err = shut
	}
	if err != nil {
		for _, u := range group {
			u.Close()
		}
		g.release()
		return nil, err
	}
	return group, g.release()
}

// join opens one socket of a group.
func join(port uint16, opts Options, said *notices) (*UDP, error) {
	fd, err := openSocket(unix.AF_INET6, opts)
	if err != nil {
		return nil, err
	}
	err = setReusePort(fd, 1)
	if err == nil {
		err = bind(fd, unix.AF_INET6, port, netip.Addr{})
	}
	var u *UDP
	if err == nil {
		u, err = newUDP(fd, false, opts, said)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return u, nil
}

func setReusePort(fd, value int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, value); err != nil {
		return fmt.Errorf("SO_REUSEPORT: %w", err)
	}
	return nil
}

// A guard is a socket that has the group's port and never gets a datagram. The
// kernel spreads datagrams between sockets only while they have SO_REUSEPORT,
// and then lets any socket of the same user join that asks for it too. It asks
// the first socket in the port's chain, and that is the guard, bound before all
// others: once it no longer has SO_REUSEPORT every bind is refused, but for
// sockets that are bound to an interface beforehand.
type guard struct {
	fd    int
	users atomic.Int32 // the group's sockets, and openGroup
}

// noInterface is an index that no interface has: indices are handed out from 1.
const noInterface = math.MaxInt32

// newGuard binds the port exclusively, which fails with EADDRINUSE when another
// socket has it, and returns it. It then binds the guard to an interface that
// does not exist, so that the kernel never delivers a datagram to it, and lets
// the others share the port.
func newGuard(port uint16, opts Options) (*guard, uint16, error) {
	opts.Binding.Interface = "" // the guard has one of its own
	fd, err := openSocket(unix.AF_INET6, opts)
	if err != nil {
		if noIPv6(err) {
			err = errNoGroup // IPv4 sockets chain in another order
		}
		return nil, 0, err
	}
	g := &guard{fd: fd}
	g.users.Store(1)
	if err = bind(fd, unix.AF_INET6, port, netip.Addr{}); err != nil {
		g.release()
		if noIPv6(err) {
			err = errNoGroup
		}
		return nil, 0, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, noInterface) // Linux 5.0
	if err == nil {
		err = setReusePort(fd, 1)
	}
	local, fault := unix.Getsockname(fd)
	six, ok := local.(*unix.SockaddrInet6)
	if err != nil || fault != nil || !ok {
		g.release()
		return nil, 0, errNoGroup
	}
	return g, uint16(six.Port), nil
}

// release closes the guard when the last socket of its group is closed. A nil
// guard is allowed: a socket alone has none.
func (g *guard) release() error {
	if g == nil || g.users.Add(-1) > 0 {
		return nil
	}
	return unix.Close(g.fd)
}
