package tap

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// netif is the interface as netlink sees it. Its socket is opened by the thread
// that called Open and so stays in that thread's network namespace, whichever
// thread uses it later.
type netif struct {
	handle *netlink.Handle
	name   string
	found  netlink.Link // nil when it did not exist
	addresses
}

// findInterface looks for an interface, which need not exist.
func findInterface(name string) (*netif, error) {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, &OpenError{Errno: errnoOf(err), Sentence: fmt.Sprintf("cannot ask the kernel about interfaces (netlink): %s.", reason(err))}
	}
	l := &netif{handle: handle, name: name, addresses: addresses{table: handle}}
	if err := l.find(); err != nil {
		var missing netlink.LinkNotFoundError
		if !errors.As(err, &missing) {
			l.close()
			return nil, &OpenError{Errno: errnoOf(err), Sentence: fmt.Sprintf("cannot ask the kernel about %s: %s.", name, reason(err))}
		}
	}
	return l, nil
}

// find reads the interface's state anew.
func (l *netif) find() error {
	found, err := l.handle.LinkByName(l.name)
	if err != nil {
		return err
	}
	l.found = found
	return nil
}

func (l *netif) exists() bool { return l.found != nil }

// close waits for a running change: a closed handle would send its requests from
// the calling thread's namespace instead.
func (l *netif) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handle.Close()
}

// checkKind refuses an interface that is no TAP, and reports whether it was made
// for several queues, which its opener has to ask for. It also refuses one whose
// queues are open in another program: the kernel would give us a further queue
// and with it a part of that program's frames.
func (l *netif) checkKind() (multi bool, err error) {
	if !l.exists() {
		return false, nil
	}
	t, ok := l.found.(*netlink.Tuntap)
	if !ok {
		return false, &OpenError{Code: "E05", Errno: unix.EINVAL, Sentence: l.wrongKind("it is " + kindName(l.found.Type()))}
	}
	if t.Mode == netlink.TUNTAP_MODE_TUN {
		return false, &OpenError{Code: "E05", Errno: unix.EINVAL, Sentence: l.wrongKind("it is a TUN, which carries no Ethernet")}
	}
	multi = t.Flags&netlink.TUNTAP_MULTI_QUEUE != 0
	if multi && t.Queues+t.DisabledQueues > 0 {
		return false, &OpenError{Code: "E04", Errno: unix.EBUSY, Sentence: l.busy()}
	}
	return multi, nil
}

// kindName names the kind of an interface with its article.
func kindName(kind string) string {
	switch kind {
	case "", "device":
		return "a network card or another built-in interface"
	case "veth":
		return "one end of a veth pair"
	}
	if strings.ContainsRune("aeiou", rune(kind[0])) {
		return "an " + kind
	}
	return "a " + kind
}

// shape sets the interface's MAC (zero: unchanged) and MTU. It comes before raise,
// since the IPv6 link-local address is made of the MAC when the interface comes up.
// It does not set a value that is right already: that needs no privilege. It returns
// the MAC that the interface then has.
func (l *netif) shape(mac [6]byte, mtu int) ([6]byte, error) {
	attrs := l.found.Attrs()
	if mac == ([6]byte{}) {
		copy(mac[:], attrs.HardwareAddr)
	} else if string(attrs.HardwareAddr) != string(mac[:]) {
		if err := l.handle.LinkSetHardwareAddr(l.found, net.HardwareAddr(mac[:])); err != nil {
			return mac, l.refused(fmt.Sprintf("give %s the MAC %s", l.name, macString(mac)), err)
		}
	}
	if attrs.MTU != mtu {
		if err := l.handle.LinkSetMTU(l.found, mtu); err != nil {
			return mac, l.refused(fmt.Sprintf("give %s an MTU of %d", l.name, mtu), err)
		}
	}
	return mac, nil
}

// raise sets the interface up, unless it is.
func (l *netif) raise() error {
	if l.found.Attrs().Flags&net.FlagUp == 0 {
		if err := l.handle.LinkSetUp(l.found); err != nil {
			return l.refused(fmt.Sprintf("set %s up", l.name), err)
		}
	}
	return nil
}

// queueLen is how many frames the kernel keeps, per queue, for an edge that is
// not scheduled; later frames are lost, since a TAP has no queue in front of
// this one. At 300 000 small frames a second it lasts for 13 ms: a few time
// slices of a busy processor. Twice as many would let a sender of super-frames
// of UDP, which a TAP does not slow down, hold 512 MiB of the kernel's memory,
// and would delay a slow machine's full frames twice as long.
const queueLen = 4096

// lengthenQueue sets the queue length of an interface that Open made; it is best
// effort, since a shorter one works too.
func (l *netif) lengthenQueue() {
	if l.found.Attrs().TxQLen < queueLen {
		_ = l.handle.LinkSetTxQLen(l.found, queueLen)
	}
}

// setAlias sets a text by which others recognise the interface; it is best effort.
func (l *netif) setAlias(text string) { _ = l.handle.LinkSetAlias(l.found, text) }

// delete removes the interface; it is best effort, in the wake of another error.
func (l *netif) delete() { _ = l.handle.LinkDel(l.found) }

// freeName proposes the name to use instead: the next number that is free.
func (l *netif) freeName() (string, bool) {
	stem := strings.TrimRight(l.name, "0123456789")
	first := 0
	if digits := l.name[len(stem):]; digits != "" {
		n, err := strconv.Atoi(digits)
		if err != nil {
			return "", false
		}
		first = n + 1
	}
	const tries = 64 // enough for a machine full of devices, few enough to be quick
	for n := first; n < first+tries; n++ {
		name := stem + strconv.Itoa(n)
		if nameFault(name) != "" {
			return "", false
		}
		var missing netlink.LinkNotFoundError
		if _, err := l.handle.LinkByName(name); errors.As(err, &missing) {
			return name, true
		}
	}
	return "", false
}
