//go:build linux

package lab

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
)

// WAN returns the router's first IPv4 address on its WAN link: its public one,
// unless it is behind a carrier's router.
func (r *Router) WAN() netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.wan[0]
}

// subscribe connects the router to the internet, or to the home of its carrier.
func (r *Router) subscribe() error {
	inside := end{r.Namespace, WANLink}
	// When the address changes, the old one is the first of its network.
	if err := r.Sysctl("net/ipv4/conf/all/promote_secondaries", "1"); err != nil {
		return err
	}
	if r.carrier == nil {
		return r.lab.subscribe(inside, r.wan)
	}
	addrs, err := r.carrier.plug(inside)
	if err != nil {
		return err
	}
	r.wan = []netip.Addr{first(addrs, netip.Addr.Is4)}
	return nil
}

// Renumber gives the router another first address on its WAN link, as after a
// new dial-in. Every mapping is forgotten. On the internet the route follows;
// behind a carrier the address is one of the carrier's home.
func (r *Router) Renumber(to netip.Addr) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.renumber(to); err != nil {
		return fmt.Errorf("router %s: renumber to %s: %w", r.name, to, err)
	}
	r.wan[0] = to
	return nil
}

func (r *Router) renumber(to netip.Addr) error {
	old := r.wan[0]
	if !to.Is4() || to == old {
		return fmt.Errorf("it is no other IPv4 address than %s", old)
	}
	inside := end{r.Namespace, WANLink}
	prefix := func(a netip.Addr) netip.Prefix { return host(a) }
	if r.carrier != nil {
		p := r.carrier.lan[slices.IndexFunc(r.carrier.lan, isIPv4)]
		if !p.Contains(to) {
			return fmt.Errorf("the carrier's network is %s", p.Masked())
		}
		prefix = func(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, p.Bits()) }
	}
	// Add the new one first: with its last address a link loses its routes.
	if err := inside.address(prefix(to)); err != nil {
		return err
	}
	if err := inside.withdraw(prefix(old)); err != nil {
		return err
	}
	if r.carrier == nil {
		outside := end{r.lab.internet.Namespace, r.name}
		if err := outside.route(host(to), netip.Addr{}); err != nil {
			return err
		}
		if err := outside.unroute(host(old), netip.Addr{}); err != nil {
			return err
		}
	}
	if err := r.kind.translateTo(r.Namespace, to); err != nil {
		return err
	}
	return r.links.ConntrackTableFlush(netlink.ConntrackTable)
}

// The queue and the burst of a line with a rate, in bytes: a home router's, and
// some forty full datagrams.
const (
	lineQueue = 1 << 20
	lineBurst = 64 << 10
)

// SetRate limits the line to the internet to so many bytes per second in each
// direction, Ethernet headers included, behind queues that drop the excess. 0
// ends it. A carrier's subscriber has no line of its own.
func (r *Router) SetRate(rate uint64) error {
	if r.carrier != nil {
		return fmt.Errorf("router %s: it has no line to the internet", r.name)
	}
	for _, e := range []end{{r.Namespace, WANLink}, {r.lab.internet.Namespace, r.name}} {
		if err := e.limit(rate); err != nil {
			return fmt.Errorf("router %s: %d bytes a second on %s: %w", r.name, rate, e.name, err)
		}
	}
	return nil
}

// limit sets the rate of packets that leave by the end.
func (e end) limit(rate uint64) error {
	link, err := e.link()
	if err != nil {
		return err
	}
	bucket := &netlink.Tbf{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
	}}
	if rate == 0 {
		return e.space.links.QdiscDel(bucket)
	}
	bucket.Rate, bucket.Limit, bucket.Buffer = rate, lineQueue, netlink.Xmittime(rate, lineBurst)
	return e.space.links.QdiscReplace(bucket)
}
