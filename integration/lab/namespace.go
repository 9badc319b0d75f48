//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// A Namespace is one machine of the lab: a network namespace, and the thread
// that lives in it and starts commands. Hosts, routers and the internet are
// namespaces.
type Namespace struct {
	name   string
	lab    *Lab
	handle netns.NsHandle
	links  *netlink.Handle // route and netfilter sockets inside the namespace

	work chan func()   // functions that the resident thread has to run
	quit chan struct{} // closed by close
	done chan struct{} // closed when the resident thread has ended

	mu       sync.Mutex
	commands map[*Cmd]struct{}     // started and not yet waited for
	captures map[*Capture]struct{} // not yet stopped
}

func newNamespace(l *Lab, name string) (*Namespace, error) {
	n := &Namespace{
		name:     name,
		lab:      l,
		work:     make(chan func()),
		quit:     make(chan struct{}),
		done:     make(chan struct{}),
		commands: make(map[*Cmd]struct{}),
		captures: make(map[*Capture]struct{}),
	}
	ready := make(chan error)
	go n.reside(ready)
	if err := <-ready; err != nil {
		<-n.done
		return nil, err
	}
	if err := n.prepare(); err != nil {
		n.close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return n, nil
}

// reside makes the namespace and stays in it on a thread of its own. Commands
// are started from this thread because the kernel kills them when the thread
// that started them ends.
func (n *Namespace) reside(ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The first thread of a process can neither end nor leave what
		// /proc/self/net shows. While it is held here, another one takes over.
		moved := make(chan error)
		go n.reside(moved)
		err := <-moved
		runtime.UnlockOSThread()
		ready <- err
		return
	}
	defer close(n.done)
	// The thread is never unlocked: it ends with this goroutine.
	handle, err := netns.New()
	if err != nil {
		ready <- fmt.Errorf("make a network namespace: %w", err)
		return
	}
	n.handle = handle
	ready <- nil
	for {
		select {
		case f := <-n.work:
			f()
		case <-n.quit:
			return
		}
	}
}

// prepare opens the netlink sockets, applies the settings that every machine of
// the lab has, and brings the loopback up.
func (n *Namespace) prepare() error {
	links, err := netlink.NewHandleAt(n.handle, unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	if err != nil {
		return fmt.Errorf("netlink: %w", err)
	}
	n.links = links
	settings := []struct{ name, value string }{
		{"net/ipv4/conf/all/rp_filter", "0"},
		{"net/ipv4/conf/default/rp_filter", "0"},
		// An address is usable at once: no second of duplicate detection.
		{"net/ipv6/conf/all/accept_dad", "0"},
		{"net/ipv6/conf/default/accept_dad", "0"},
		{"net/ipv6/conf/default/dad_transmits", "0"},
		{"net/ipv6/conf/default/accept_ra", "0"},
		{"net/ipv6/conf/default/router_solicitations", "0"},
		// A router that sends a datagram back into the home does not send a
		// redirect.
		{"net/ipv4/conf/all/send_redirects", "0"},
		{"net/ipv4/conf/default/send_redirects", "0"},
		// Where br_netfilter is present, bridged frames would pass the rules of
		// the router and be translated without ever being routed.
		{"net/bridge/bridge-nf-call-iptables", "0"},
		{"net/bridge/bridge-nf-call-ip6tables", "0"},
		{"net/bridge/bridge-nf-call-arptables", "0"},
	}
	for _, s := range settings {
		if err := n.Sysctl(s.name, s.value); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	lo, err := n.links.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("lo: %w", err)
	}
	return n.links.LinkSetUp(lo)
}

// close ends everything in the namespace but its foreign processes, which
// killInside has ended, and lets go of it.
func (n *Namespace) close() error {
	n.mu.Lock()
	captures := keys(n.captures)
	commands := keys(n.commands)
	n.mu.Unlock()
	for _, c := range captures {
		c.Stop()
	}
	for _, c := range commands {
		c.Kill()
	}
	close(n.quit)
	<-n.done
	if n.links != nil {
		n.links.Close()
	}
	return n.handle.Close()
}

func keys[K comparable](m map[K]struct{}) []K {
	list := make([]K, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	return list
}

// Name returns the name of the machine.
func (n *Namespace) Name() string { return n.name }

// Path returns a path by which another process may enter the namespace while
// this process runs (nsenter --net=PATH).
func (n *Namespace) Path() string {
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), int(n.handle))
}

// Do calls f on the calling goroutine with its thread inside the namespace.
// Sockets that f makes stay in the namespace when it has returned; goroutines
// that f starts are not in it. The error is f's, or that of entering.
func (n *Namespace) Do(f func() error) (err error) {
	runtime.LockOSThread()
	origin, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("%s: %w", n.name, err)
	}
	defer origin.Close()
	if err := netns.Set(n.handle); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("%s: enter: %w", n.name, err)
	}
	defer func() {
		if back := netns.Set(origin); back != nil {
			// Better a goroutine that keeps its thread than a thread of the
			// pool in a strange network.
			err = errors.Join(err, fmt.Errorf("%s: leave: %w", n.name, back))
			return
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// resident calls f on the thread that lives in the namespace, and waits.
func (n *Namespace) resident(f func() error) error {
	result := make(chan error, 1)
	select {
	case n.work <- func() { result <- f() }:
		return <-result
	case <-n.quit:
		return errClosed
	}
}

// Sysctl writes a value under /proc/sys of the namespace; the name is a path
// below it, such as net/ipv4/ip_default_ttl.
func (n *Namespace) Sysctl(name, value string) error {
	return n.Do(func() error {
		// A file below /proc/sys/net is that of the thread that opens it.
		return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
	})
}

// ReadSysctl returns a value under /proc/sys of the namespace, without the
// newline.
func (n *Namespace) ReadSysctl(name string) (value string, err error) {
	err = n.Do(func() error {
		b, err := os.ReadFile(filepath.Join("/proc/sys", name))
		value = strings.TrimSpace(string(b))
		return err
	})
	return value, err
}

// ListenUDP opens a UDP socket in the namespace, as net.ListenPacket does. The
// address is numeric; its port may be 0.
func (n *Namespace) ListenUDP(network, address string) (conn *net.UDPConn, err error) {
	err = n.Do(func() error {
		c, err := net.ListenPacket(network, address)
		if err != nil {
			return err
		}
		conn = c.(*net.UDPConn)
		return nil
	})
	return conn, err
}

// Listen opens a listener in the namespace, as net.Listen does. The address is
// numeric; its port may be 0.
func (n *Namespace) Listen(network, address string) (listener net.Listener, err error) {
	err = n.Do(func() error {
		listener, err = net.Listen(network, address)
		return err
	})
	return listener, err
}

// Dial connects from the namespace, as net.Dialer.DialContext does. The address
// is numeric: names are resolved by goroutines that are not in the namespace.
func (n *Namespace) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	err = n.Do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}
