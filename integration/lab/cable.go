//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
)

// Beside the internet a lab may have islands: machines with cables to each other
// and no other link. Between two of them there is no router, no rule and no
// connection table, so a measurement there is of the product and the kernel's
// plain path.

// Island adds a host without any link.
func (l *Lab) Island(name string) (*Host, error) {
	n, err := l.namespace(name)
	if err != nil {
		return nil, fmt.Errorf("lab %s: island %s: %w", l.name, name, err)
	}
	return &Host{Namespace: n}, nil
}

// Cable joins two hosts by a veth pair of MTU 1500 and gives its ends these
// addresses, such as 192.0.2.1/24 and 192.0.2.2/24. The link of a is named b,
// and that of b is named a. Offloads are as the kernel makes them: on, unless
// the lab has them off (DisableOffloads).
func (l *Lab) Cable(a, b *Host, atA, atB string) error {
	ends := []struct {
		end
		host *Host
		text string
	}{
		{end{a.Namespace, b.Name()}, a, atA},
		{end{b.Namespace, a.Name()}, b, atB},
	}
	if err := l.connect(ends[0].end, ends[1].end); err != nil {
		return fmt.Errorf("lab %s: %w", l.name, err)
	}
	for _, e := range ends {
		p, err := netip.ParsePrefix(e.text)
		if err != nil {
			return fmt.Errorf("lab %s: cable: %w", l.name, err)
		}
		if err := e.address(p); err != nil {
			return fmt.Errorf("lab %s: cable: %w", l.name, err)
		}
		e.host.moved(append(e.host.Addrs(), p.Addr()))
	}
	return nil
}

// KeepOrder makes the links that the host gets from now on keep the order of
// each flow, as a network card does. A veth delivers a packet on the processor
// on which it was sent; when the sender moves to another one, its packets there
// may overtake those that wait here. With receive packet steering, the kernel
// chooses a processor by the flow instead, from those given. It needs Linux 6.3.
func (h *Host) KeepOrder(cpus ...int) error {
	if err := h.Sysctl("net/core/rps_default_mask", cpuMask(cpus)); err != nil {
		return fmt.Errorf("%s: keep the order of flows: %w", h.Name(), err)
	}
	return nil
}

// cpuMask writes a set of processors as the kernel reads it: words of 32 bits
// in hexadecimal, the highest first.
func cpuMask(cpus []int) string {
	words := make([]uint32, slices.Max(cpus)/32+1)
	for _, cpu := range cpus {
		words[len(words)-1-cpu/32] |= 1 << (cpu % 32)
	}
	var text []string
	for _, w := range words {
		text = append(text, fmt.Sprintf("%08x", w))
	}
	return strings.Join(text, ",")
}

// VXLANLink is the name of the link that VXLAN makes, and vxlanMTU is its MTU in
// bytes: a link's MTU less the outer IPv4, UDP and VXLAN headers and the inner
// Ethernet header.
const (
	VXLANLink = "vxlan0"
	vxlanMTU  = linkMTU - 20 - 8 - 8 - 14
)

// The identifier and the port (RFC 7348) of the lab's VXLANs.
const (
	vxlanID   = 1
	vxlanPort = 4789
)

// VXLAN makes the kernel's own layer-2 overlay between two hosts that a cable
// joins, and gives its ends these addresses. It does not encrypt.
func (l *Lab) VXLAN(a, b *Host, atA, atB string) error {
	for _, e := range []struct {
		here, there *Host
		text        string
	}{{a, b, atA}, {b, a, atB}} {
		p, err := netip.ParsePrefix(e.text)
		if err == nil {
			err = e.here.tunnel(e.there, p)
		}
		if err != nil {
			return fmt.Errorf("lab %s: VXLAN: %w", l.name, err)
		}
	}
	return nil
}

// tunnel makes this host's end of a VXLAN to another host.
func (h *Host) tunnel(to *Host, address netip.Prefix) error {
	if !h.Addr().IsValid() || !to.Addr().IsValid() {
		return fmt.Errorf("%s and %s have no cable with IPv4", h.Name(), to.Name())
	}
	under, err := (end{h.Namespace, to.Name()}).link()
	if err != nil {
		return err
	}
	link := &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{Name: VXLANLink, MTU: vxlanMTU},
		VxlanId:   vxlanID, Port: vxlanPort,
		VtepDevIndex: under.Attrs().Index,
		SrcAddr:      h.Addr().AsSlice(), Group: to.Addr().AsSlice(),
		Learning: true,
	}
	if err := h.links.LinkAdd(link); err != nil {
		return fmt.Errorf("%s: %s (has this kernel vxlan?): %w", h.Name(), VXLANLink, err)
	}
	inner := end{h.Namespace, VXLANLink}
	if err := inner.up(); err != nil {
		return err
	}
	return inner.address(address)
}
