package main

import (
	"net/netip"

	"hedgerow/integration/lab"
)

// special are the cells whose two sides are not just apart.
func special() []cell {
	first := apart(open, apdf, wantDirect)
	first.name, first.opener = first.name+", B first", byB
	six := apart(withIPv6(random, "2001:db8:a::/64"), withIPv6(random, "2001:db8:b::/64"), wantDirect)
	six.name += ", IPv6"
	return []cell{
		apart(open, open, wantDirect),
		apart(open, apdf, wantDirect),
		first,
		six,
		{name: "same router", want: wantDirect, lay: together(lab.PortRestricted, false)},
		{name: "same router, isolated", want: wantRelay, lay: together(lab.PortRestricted, true)},
		{name: "same router, isolated, hairpin", want: wantDirect, lay: together(lab.EndpointIndependentHairpin, true)},
		{name: "overlapping homes", want: wantDirect, lay: overlapping},
		{name: "same carrier, apdf x apdf", want: wantDirect, lay: sameCarrier(lab.PortRestricted, lab.PortRestricted)},
		{name: "same carrier, random x apdf", want: wantBirthday, lay: sameCarrier(lab.SymmetricRandom, lab.PortRestricted)},
		{name: "two carriers, apdf x apdf", want: wantDirect, lay: twoCarriers(lab.PortRestricted, lab.PortRestricted)},
	}
}

func withIPv6(s side, prefix string) side {
	s.more = append(s.more, prefix)
	return s
}

// linkLocal is where a host finds another one on its own segment.
var linkLocal = netip.MustParsePrefix("fe80::/10")

// at is the prefix of one address.
func at(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// together is two hosts of one home, isolated from each other or not. Those who
// are can meet at the router's public address only, the others meet at home.
func together(kind lab.Kind, isolated bool) func(*lab.Lab) (ground, error) {
	return func(l *lab.Lab) (g ground, err error) {
		r, err := l.Router("home", "198.51.100.1", kind)
		if err != nil {
			return g, err
		}
		g.routers, g.direct = []*lab.Router{r}, []netip.Prefix{lab.DefaultLAN, linkLocal}
		if isolated {
			g.direct = []netip.Prefix{at(r.WAN())}
			if err := r.SetIsolation(true); err != nil {
				return g, err
			}
		}
		if g.a, err = r.Host("a"); err != nil {
			return g, err
		}
		g.b, err = r.Host("b")
		return g, err
	}
}

// overlapping is two homes with the same network. Where B is in its home, a
// third edge is in that of A, with the same address and port: the address that
// B has at home leads A to the wrong one.
func overlapping(l *lab.Lab) (g ground, err error) {
	homeA, err := l.Router("home-a", "198.51.100.1", lab.PortRestricted)
	if err != nil {
		return g, err
	}
	homeB, err := l.Router("home-b", "198.51.100.2", lab.PortRestricted)
	if err != nil {
		return g, err
	}
	g.routers, g.direct = []*lab.Router{homeA, homeB}, []netip.Prefix{at(homeA.WAN()), at(homeB.WAN())}
	if g.a, err = homeA.Host("a"); err != nil {
		return g, err
	}
	if g.decoy, err = homeA.Host("decoy"); err != nil {
		return g, err
	}
	if _, err = homeB.Host("other"); err != nil {
		return g, err
	}
	g.b, err = homeB.Host("b")
	return g, err
}

// sameCarrier is two subscribers of one carrier, who meet at its public address
// or, when their routers can, within its network.
func sameCarrier(a, b lab.Kind) func(*lab.Lab) (ground, error) {
	return func(l *lab.Lab) (g ground, err error) {
		c, err := l.Carrier("carrier", "203.0.113.50", lab.PortReplacingHairpin)
		if err != nil {
			return g, err
		}
		g.routers, g.direct = []*lab.Router{c}, []netip.Prefix{at(c.WAN()), lab.CarrierLAN}
		if err := g.enter(c, "a", a, &g.a); err != nil {
			return g, err
		}
		return g, g.enter(c, "b", b, &g.b)
	}
}

// twoCarriers is a subscriber each of two carriers.
func twoCarriers(a, b lab.Kind) func(*lab.Lab) (ground, error) {
	return func(l *lab.Lab) (g ground, err error) {
		for _, s := range []struct {
			name, wan string
			kind      lab.Kind
			host      **lab.Host
		}{{"a", "203.0.113.50", a, &g.a}, {"b", "203.0.113.51", b, &g.b}} {
			c, err := l.Carrier("carrier-"+s.name, s.wan, lab.PortReplacingHairpin)
			if err != nil {
				return g, err
			}
			g.routers, g.direct = append(g.routers, c), append(g.direct, at(c.WAN()))
			if err := g.enter(c, s.name, s.kind, s.host); err != nil {
				return g, err
			}
		}
		return g, nil
	}
}

// enter makes the home of a subscriber, and its host.
func (g *ground) enter(c *lab.Router, name string, kind lab.Kind, host **lab.Host) error {
	r, err := c.Router("home-"+name, kind)
	if err != nil {
		return err
	}
	g.routers = append(g.routers, r)
	*host, err = r.Host(name)
	return err
}
