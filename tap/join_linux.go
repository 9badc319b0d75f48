package tap

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// leastMTU is the MTU in bytes of a port in a bridge that carries less: IPv6 needs
// it (RFC 8200, section 5), and an MTU above the bridge's harms nobody.
const leastMTU = 1280

// MTU returns the MTU for a device that becomes a port, without making it: what
// the bridge's hosts may send, or the one that the user typed (0: none). It refuses
// a bridge that cannot be joined, or should not be. most is the longest that the
// caller can carry.
func (p Port) MTU(typed, most int) (int, error) {
	if err := p.validate(); err != nil {
		return 0, err
	}
	l, err := openLinks()
	if err != nil {
		return 0, refusal("cannot ask the kernel about %s (netlink): %s.", p.Bridge, reason(err))
	}
	defer l.close()
	b, err := p.find(l)
	if err != nil {
		return 0, err
	}
	if !p.Force {
		if err := p.ownLine(l, b); err != nil {
			return 0, err
		}
	}
	ports, err := l.ports(b.index)
	if err != nil {
		return 0, refusal("cannot ask the kernel about the ports of %s: %s.", p.Bridge, reason(err))
	}
	return p.fit(segmentMTU(*b, ports), typed, most)
}

// find returns the bridge, or says that it is none.
func (p Port) find(l *links) (*link, error) {
	b, err := l.byName(p.Bridge)
	switch {
	case err != nil:
		return nil, refusal("cannot ask the kernel about %s: %s.", p.Bridge, reason(err))
	case b == nil:
		return nil, refusal("there is no bridge %s. Make it and put the network card into it: ip link add %[1]s type bridge; ip link set %[1]s up; ip link set eth1 master %[1]s.", p.Bridge)
	case b.kind != bridgeKind:
		return nil, refusal("%s is no bridge: it is %s. Name the bridge that it is a port of, or make one: ip link add br0 type bridge; ip link set br0 up; ip link set %[1]s master br0.", p.Bridge, kindName(b.kind))
	}
	return b, nil
}

// fit returns the MTU of a port of a segment.
func (p Port) fit(segment, typed, most int) (int, error) {
	switch {
	case segment > most:
		return 0, refusal("the hosts of %s may send %d bytes, and the overlay carries %d: longer frames would vanish without a word. Type: ip link set %[1]s mtu %[3]d, and the same for its ports.", p.Bridge, segment, most)
	case typed != 0 && typed < segment:
		return 0, refusal("-M %d does not fit: the hosts of %s may send %d bytes, and the kernel would drop longer frames without a word. Leave -M out.", typed, p.Bridge, segment)
	case typed != 0:
		return typed, nil
	}
	return max(segment, leastMTU), nil
}

// segmentMTU returns the longest packet that the hosts behind a bridge may send to
// a port of it: that of the bridge, or what all its other ports carry. A bridge whose
// MTU nobody set has the least of all ports, which may be the device's own.
func segmentMTU(b link, ports []link) int {
	if len(ports) == 0 {
		return b.mtu
	}
	least := slices.MinFunc(ports, func(x, y link) int { return x.mtu - y.mtu })
	return max(b.mtu, least.mtu)
}

// stackedMost bounds how many interfaces are looked at below one.
const stackedMost = 8

// ownLine refuses a bridge that the machine itself is reached by.
func (p Port) ownLine(l *links, b *link) error {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		for _, index := range defaultInterfaces(family) {
			name, ok := l.leadsInto(index, b.index)
			if !ok {
				continue
			}
			if name != p.Bridge {
				name += ", which belongs to " + p.Bridge
			}
			return refusal("the default route of this machine leaves by %s: a loop, or a DHCP server behind another edge, could cut your own line to it, and its network card would belong to everybody's LAN. Bridge another card, or, if this LAN is the one that you mean to share (a machine with one card at home), type --bridge-force.", name)
		}
	}
	return nil
}

// defaultInterfaces returns by which interfaces the default routes leave.
func defaultInterfaces(family int) (list []int) {
	// An interrupted dump and a kernel without IPv6 have told what there is.
	_ = netlink.RouteListFilteredIter(family, &netlink.Route{}, netlink.RT_FILTER_DST, func(r netlink.Route) bool {
		if r.Type != unix.RTN_UNICAST {
			return true
		}
		list = append(list, r.LinkIndex)
		for _, hop := range r.MultiPath {
			list = append(list, hop.LinkIndex)
		}
		return len(list) < mostPorts
	})
	return list
}

// leadsInto reports whether an interface is a bridge, a port of it, or stacked on
// one of these, and returns the interface's name.
func (l *links) leadsInto(index, bridge int) (name string, ok bool) {
	for range stackedMost {
		i, err := l.byIndex(index)
		if err != nil || i == nil {
			return name, false
		}
		if name == "" {
			name = i.name
		}
		if i.index == bridge || i.master == bridge {
			return name, true
		}
		if i.lower == 0 {
			return name, false
		}
		index = i.lower
	}
	return name, false
}

// membership is the device as a port: what it is a port of, and what to restore
// when it is none any more.
type membership struct {
	Port
	bridge netlink.Link // as it was found last; nil: the device is no port
	before Former
}

// former returns what the interface has before it becomes a port. Nobody but an edge
// gives an interface the MAC of a port, so one that has it was left by an edge that was
// killed; what it had before that is not known any more.
func (d *Device) former() (b Former) {
	copy(b.MAC[:], d.netif.found.Attrs().HardwareAddr)
	if b.Killed = d.existing && b.MAC == d.mac; b.Killed {
		b.MAC = d.cfg.MAC
	}
	return b
}

// join makes the interface, which is not up yet if Open made it, a port.
func (d *Device) join() error {
	m := &d.port
	b, err := m.find(d.links)
	if err != nil {
		return err
	}
	if d.settings, err = applySettings(d.cfg.Name, quietSettings, m.before.Killed); err != nil {
		d.cfg.Log.Warn("IPv6 cannot be switched off on the device, so that the host speaks by it to the overlay", "device", d.cfg.Name, "err", err,
			"type", fmt.Sprintf("sysctl -w net.ipv6.conf.%s.disable_ipv6=1", d.cfg.Name))
	}
	own, err := d.links.byIndex(d.netif.found.Attrs().Index)
	if err != nil || own == nil {
		return refusal("cannot ask the kernel about %s: it was deleted meanwhile. Try again.", d.cfg.Name)
	}
	if own.master != 0 && own.master != b.index {
		return refusal("%s is a port of another bridge than %s already. Take it out: ip link set %[1]s nomaster.", d.cfg.Name, m.Bridge)
	}
	m.before.Joined, m.before.Cost = own.master == 0 || m.before.Killed, own.port.cost
	return d.enslave(b)
}

// enslave puts the interface into a bridge, unless it is there, and gives it its
// path cost.
func (d *Device) enslave(b *link) error {
	m := &d.port
	m.bridge = bridgeOf(b)
	if m.Address {
		d.netif.bridge = m.bridge
	}
	what := fmt.Sprintf("put %s into the bridge %s", d.cfg.Name, b.name)
	if err := d.netif.handle.LinkSetMaster(d.netif.found, m.bridge); err != nil {
		if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EINVAL) {
			return refusal("cannot %s: %s. Is %[3]s a port of another bridge, or its number of ports full?", what, reason(err), d.cfg.Name)
		}
		return d.netif.refused(what, err)
	}
	if err := d.links.setCost(d.netif.found.Attrs().Index, m.cost()); err != nil {
		return d.netif.refused(fmt.Sprintf("give %s the path cost %d in %s", d.cfg.Name, m.cost(), b.name), err)
	}
	return nil
}

// bridgeOf returns a bridge as netlink has it.
func bridgeOf(b *link) netlink.Link {
	return &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: b.name, Index: b.index}}
}

// leave restores what opening changed of an interface that stays. One that Open
// made goes, and with it everything but the addresses of the bridge, which
// removeAdded removes.
func (d *Device) leave() {
	if !d.existing {
		return
	}
	m, l := &d.port, d.netif
	restoreSettings(d.cfg.Name, d.settings)
	if d.alias {
		l.setAlias("")
	}
	if m.bridge == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if m.before.Joined {
		_ = l.handle.LinkSetNoMaster(l.found)
	} else if m.before.Cost != 0 {
		_ = d.links.setCost(l.found.Attrs().Index, m.before.Cost)
	}
	if m.before.MAC != d.mac {
		_ = l.handle.LinkSetHardwareAddr(l.found, m.before.MAC[:])
	}
}
