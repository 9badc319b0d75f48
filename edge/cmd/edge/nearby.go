package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strconv"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/cli"
	"hedgerow/internal/lan"
	"hedgerow/internal/netwatch"
	"hedgerow/nat/address"
	"hedgerow/nat/portmap"
	"hedgerow/transport"
)

// nearbyChoice says which of the local network's services are used.
type nearbyChoice struct {
	NoLAN     bool
	NoMapping bool
	Underlay  transport.Binding // of what goes by it
}

// parseUnderlay reads --mark and --underlay-interface.
func (n *nearbyChoice) parseUnderlay(c *ucli.Context, faults *cli.Faults) {
	b := &n.Underlay
	if s, ok := cli.String(c, "mark"); ok {
		mark, err := strconv.ParseUint(s, 0, 32)
		if err != nil || mark == 0 {
			faults.Addf("--mark %s is not a firewall mark such as 76 or 0x4c", s)
		}
		b.Mark = uint32(mark)
	}
	if s, ok := cli.String(c, "underlay-interface"); ok {
		faults.Add(checkDeviceOf("--underlay-interface", s))
		b.Interface = s
	}
	if *b != (transport.Binding{}) && runtime.GOOS != "linux" {
		faults.Addf("--mark and --underlay-interface are there on Linux alone, and this is %s", runtime.GOOS)
	}
}

// resolver returns what looks names up past the overlay; nil: the system's own.
func (m *member) resolver() underlay.Resolver {
	if m.options.Nearby.Underlay == (transport.Binding{}) {
		return nil
	}
	return underlay.NewResolver(m.options.Nearby.Underlay.Control)
}

// parseNearby reads --public-address, --no-lan, --no-port-mapping and --tos.
func (o *options) parseNearby(c *ucli.Context, faults *cli.Faults) {
	for _, s := range cli.Strings(c, "public-address") {
		a, ok := parsePublic(s)
		if !ok {
			faults.Addf("--public-address %s is no address such as 198.51.100.7, 198.51.100.7:7777 or [2001:db8::7]:7777", s)
			continue
		}
		o.Reach.Advertise = append(o.Reach.Advertise, a)
	}
	o.Nearby.NoLAN = c.Bool("no-lan")
	o.Nearby.NoMapping = c.Bool("no-port-mapping")
	if s, ok := cli.String(c, "tos"); ok {
		o.parseTOS(s, faults)
	}
	if s, ok := cli.String(c, "padding"); ok {
		var err error
		o.Reach.Padding, err = dataplane.ParsePadding(s)
		if err != nil {
			faults.Addf("--padding %s is not known: type off, light or full", s)
		}
	}
	o.Nearby.parseUnderlay(c, faults)
}

// parseTOS reads --tos.
func (o *options) parseTOS(s string, faults *cli.Faults) {
	switch {
	case s != "inherit":
		faults.Addf("--tos %s is not known: type --tos inherit, or leave it out", s)
	case runtime.GOOS != "linux":
		faults.Addf("--tos is there on Linux alone, and this is %s", runtime.GOOS)
	}
	o.Reach.InheritTOS = true
}

// parsePublic reads an address with a port or without, which is port 0 then.
func parsePublic(s string) (a netip.AddrPort, ok bool) {
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		ip, err := netip.ParseAddr(s)
		return netip.AddrPortFrom(ip.Unmap(), 0), err == nil && !ip.IsUnspecified()
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()), a.Port() != 0 && !a.Addr().IsUnspecified()
}

// network returns what the edge gets to know of its local networks.
func (m *member) network() underlay.LocalNetwork {
	n := underlay.LocalNetwork{Watch: func(ctx context.Context, changed func()) error {
		return netwatch.Watch(ctx, netwatch.Config{Exclude: m.overlay, Log: m.log}, func(netwatch.Change) { changed() })
	}, Routers: netwatch.Routers}
	if !m.options.Nearby.NoMapping {
		n.Mapper = m.portMapper()
	}
	if m.options.Nearby.NoLAN {
		return n
	}
	c, err := lan.Open(lan.Config{Exclude: m.overlay, Log: m.log})
	if err != nil {
		m.log.Warn(lanRefusal(lan.DefaultPort, err))
		return n
	}
	m.service.OnClose(func() { _ = c.Close() })
	n.LAN = c
	return n
}

// lanRefusal is the sentence about a port of the LAN that was refused with err.
func lanRefusal(port uint16, err error) string {
	why := err.Error()
	if e, ok := transport.InUse(port, err); ok {
		why = fmt.Sprintf("UDP port %d is taken by %s. End that and start this edge anew, or type --no-lan. [E16]", port, e.By())
	}
	return "members on the same LAN will be found by the supernode only: " + why
}

// portMapper keeps the port of our data socket mapped, or is nil.
func (m *member) portMapper() underlay.PortMapper {
	mapper, err := portmap.New(portmap.Config{
		Port: m.estate.sockets[0].LocalAddr().Port(), Gateway: portmap.SystemGateway(m.overlay), Secret: m.routerSecret(), Log: m.log,
	})
	if err != nil {
		m.log.Warn("no port mapping", "why", err)
		return nil
	}
	return portMapper{mapper}
}

// portMapper is a portmap.Mapper whose log says why there is no mapping.
type portMapper struct{ *portmap.Mapper }

func (p portMapper) Run(ctx context.Context, report func(external netip.AddrPort)) {
	p.Mapper.Run(ctx, func(m portmap.Mapping) { report(m.External) })
}

// routerSecret lets a router recognise the edge after a restart.
func (m *member) routerSecret() [32]byte {
	return sha256.Sum256(append([]byte("hedgerow/1 port mapping"), m.id.Seed[:]...))
}

// overlay reports whether an interface is none of the underlay: it leads into an overlay,
// as our devices, what is stacked on them, such as its bridge, and other tunnels, or the
// user has named another one. What is announced there would reach the other members
// through the overlay itself, or not at all.
func (m *member) overlay(ifname string) bool {
	if only := m.options.Nearby.Underlay.Interface; only != "" {
		return ifname != only
	}
	return !m.device.stack.Underlay(ifname)
}

// kept asks the system again what it was asked already only when its network may have
// changed: an edge that nobody uses looks at it every half a minute.
func kept[A any](ask func() A) func() A {
	again := netwatch.Kept(func(struct{}) (A, error) { return ask(), nil })
	return func() A {
		a, _ := again(struct{}{}) // there is no error
		return a
	}
}

// keptAddresses is kept for a list of addresses.
func keptAddresses(ask func() ([]netip.Addr, error)) func() ([]netip.Addr, error) {
	again := netwatch.Kept(func(struct{}) ([]netip.Addr, error) { return ask() })
	return func() ([]netip.Addr, error) {
		list, err := again(struct{}{})
		return slices.Clone(list), err
	}
}

// keptNetworks is kept for the network that shares addresses with a prefix, if there is one.
func keptNetworks(ask func(netip.Prefix) (edge.Network, bool, error)) edge.NetworkFinder {
	type found struct {
		network edge.Network
		ok      bool
	}
	again := netwatch.Kept(func(p netip.Prefix) (f found, err error) {
		f.network, f.ok, err = ask(p)
		return f, err
	})
	return func(p netip.Prefix) (edge.Network, bool) {
		f, _ := again(p) // after an error it is asked again, and what was found counts
		return f.network, f.ok
	}
}

// routes says to which internet this host has a route past the overlay.
func (m *member) routes() underlay.Routes {
	return underlay.Routes{IPv4: m.device.stack.Internet(4), IPv6: m.device.stack.Internet(6)}
}

// addresses returns those of this host at which others may reach it. Those of docker0 and
// its like lead to the containers of this host only, and everywhere else to others.
func (m *member) addresses() ([]netip.Addr, error) {
	return address.OfInterfaces(func(ifname string) bool {
		return m.overlay(ifname) || ifname != m.options.Nearby.Underlay.Interface && m.device.stack.Inner(ifname)
	})
}
