package tap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// addresses are those that the device added to its interface, or to the bridge that
// this is a port of, at most one of each family, so that it can remove them again.
type addresses struct {
	table  addressTable
	bridge netlink.Link // which has them; nil: the interface itself
	// mu keeps changes of the interface from crossing one another and Close;
	// each is a few short requests to the kernel. No frame waits for it.
	mu    sync.Mutex
	added []netip.Prefix
}

// addressTable is the kernel's table of addresses, as a netlink.Handle has it.
type addressTable interface {
	AddrAdd(link netlink.Link, addr *netlink.Addr) error
	AddrReplace(link netlink.Link, addr *netlink.Addr) error
	AddrDel(link netlink.Link, addr *netlink.Addr) error
	AddrList(link netlink.Link, family int) ([]netlink.Addr, error)
}

// SetAddress adds an address with its prefix length to the interface and removes
// the one of the same family that an earlier call added: an edge has one IPv4
// address, leased or its own, and one IPv6 address. Addresses that others added
// stay, and an address that was there before stays when the device is closed.
//
// An IPv6 address is set without duplicate address detection (RFC 4862, section
// 5.4), which would keep it from use for a second and more: the addresses of an
// overlay are derived from keys or leased by one authority.
func (d *Device) SetAddress(prefix netip.Prefix) error {
	prefix, err := plainPrefix(prefix)
	if err != nil {
		return err
	}
	l := d.netif
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.isClosed() {
		return ErrClosed
	}
	old, replaces := l.addedOf(prefix.Addr().Is4())
	if replaces && old == prefix {
		if present, _, err := l.has(prefix); err == nil && present {
			return nil
		}
	}
	// The old one goes first: in the subnet of an old one, a new IPv4 address
	// would become its secondary and be deleted along with it.
	if replaces {
		if err := l.remove(old); err != nil {
			return err
		}
	}
	if err := l.add(prefix); err != nil {
		if replaces {
			_ = l.add(old) // better the old address than none
		}
		return err
	}
	return nil
}

// RemoveAddress removes an address from the interface, whoever added it. It is
// no error when the interface does not have it.
func (d *Device) RemoveAddress(prefix netip.Prefix) error {
	prefix, err := plainPrefix(prefix)
	if err != nil {
		return err
	}
	d.netif.mu.Lock()
	defer d.netif.mu.Unlock()
	if d.isClosed() {
		return ErrClosed
	}
	return d.netif.remove(prefix)
}

// plainPrefix unmaps an IPv4 address and refuses prefixes that no interface can
// have.
func plainPrefix(p netip.Prefix) (netip.Prefix, error) {
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	a := p.Addr()
	if !p.IsValid() || a.IsUnspecified() || a.IsMulticast() || a.Is4In6() {
		return p, fmt.Errorf("%s cannot be the address of an interface", p)
	}
	return p, nil
}

// addedOf returns the address of a family that we added.
func (l *netif) addedOf(is4 bool) (netip.Prefix, bool) {
	for _, p := range l.added {
		if p.Addr().Is4() == is4 {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// add sets an address and remembers it as ours, unless it was there.
func (l *netif) add(prefix netip.Prefix) error {
	addr := l.lasting(prefix)
	err := l.table.AddrAdd(l.holder(), addr)
	switch {
	case err == nil:
		l.added = append(l.added, prefix)
		return nil
	case errors.Is(err, unix.EEXIST):
		present, ours, listErr := l.has(prefix)
		if listErr == nil && !present {
			// The kernel has an IPv6 address once, whatever its prefix length.
			return fmt.Errorf("%s has the address %s with another prefix length: remove it first", l.holderName(), prefix.Addr())
		}
		if ours { // of an edge that was killed
			l.added = append(l.added, prefix)
			return l.table.AddrReplace(l.holder(), addr)
		}
		return nil
	case noIPv6(prefix, err):
		return fmt.Errorf("cannot give %s the address %s: %w (its MTU is below 1280, or net.ipv6.conf.%s.disable_ipv6 is 1): %w", l.holderName(), prefix, ErrNoIPv6, l.holderName(), err)
	}
	return fmt.Errorf("cannot give %s the address %s: %w", l.holderName(), prefix, err)
}

// remove removes an address and forgets it.
func (l *netif) remove(prefix netip.Prefix) error {
	err := l.table.AddrDel(l.holder(), netlinkAddr(prefix))
	if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
		return fmt.Errorf("cannot remove the address %s from %s: %w", prefix, l.holderName(), err)
	}
	l.added = slices.DeleteFunc(l.added, func(p netip.Prefix) bool { return p == prefix })
	return nil
}

// addressLife is for how long, in seconds, an address on a bridge lives unless it is
// renewed: the bridge stays when an edge is killed, and an address that nobody
// answers for must not.
const addressLife = 3600

// holder returns the interface that has the addresses.
func (l *netif) holder() netlink.Link {
	if l.bridge != nil {
		return l.bridge
	}
	return l.found
}

func (l *netif) holderName() string {
	if l.bridge != nil {
		return l.bridge.Attrs().Name
	}
	return l.name
}

// lasting returns an address as it is set: on a bridge with a lifetime.
func (l *netif) lasting(prefix netip.Prefix) *netlink.Addr {
	addr := netlinkAddr(prefix)
	if prefix.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if l.bridge != nil {
		addr.ValidLft, addr.PreferedLft = addressLife, addressLife
	}
	return addr
}

// renew sets the addresses of a bridge anew: their lifetime begins again, and a bridge that
// was deleted and made again has them, too.
func (l *netif) renew() (err error) {
	for _, prefix := range l.added {
		err = errors.Join(err, l.table.AddrReplace(l.holder(), l.lasting(prefix)))
	}
	return err
}

// missing returns the addresses that we added to an interface and somebody has removed.
func (l *netif) missing(index int) (list []netip.Prefix, err error) {
	if l.holder().Attrs().Index != index {
		return nil, nil
	}
	for _, prefix := range l.added {
		present, _, err := l.has(prefix)
		if err != nil {
			return nil, err
		}
		if !present {
			list = append(list, prefix)
		}
	}
	return list, nil
}

// putBack adds the missing addresses again.
func (l *netif) putBack() error {
	list, err := l.missing(l.holder().Attrs().Index)
	for _, prefix := range list {
		failed := l.table.AddrReplace(l.holder(), l.lasting(prefix))
		if noIPv6(prefix, failed) {
			failed = fmt.Errorf("%w: sysctl -w net.ipv6.conf.%s.disable_ipv6=0", ErrNoIPv6, l.holderName())
		}
		err = errors.Join(err, failed)
	}
	return err
}

// noIPv6 reports whether an address was refused since the interface has no IPv6.
func noIPv6(prefix netip.Prefix, err error) bool {
	return prefix.Addr().Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENODEV))
}

// removeAdded removes the addresses that the device added; it is best effort, at
// the end.
func (l *netif) removeAdded() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, prefix := range slices.Clone(l.added) {
		_ = l.remove(prefix)
	}
}

// has asks the kernel whether the interface has an address, and whether it is one
// that lasting made: others' addresses on a bridge have no end, or it is theirs to
// renew them.
func (l *netif) has(prefix netip.Prefix) (present, ours bool, err error) {
	family := netlink.FAMILY_V4
	if prefix.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	list, err := l.table.AddrList(l.holder(), family)
	if err != nil {
		return false, false, err
	}
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		ones, _ := a.Mask.Size()
		if ok && netip.PrefixFrom(addr.Unmap(), ones) == prefix {
			return true, l.bridge != nil && a.Flags&unix.IFA_F_PERMANENT == 0, nil
		}
	}
	return false, false, nil
}

// netlinkAddr converts a prefix to netlink's type.
func netlinkAddr(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{
		IP:   p.Addr().AsSlice(),
		Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
	}}
}
