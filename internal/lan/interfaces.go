package lan

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strings"

	"hedgerow/internal/interfaces"
)

// maxInterfaces bounds the interfaces announced on.
const maxInterfaces = 16

// An iface is an interface to announce on, with its addresses.
type iface struct {
	net.Interface
	addresses []netip.Addr
}

// eligible returns the interfaces that Announce uses.
func eligible(exclude func(ifname string) bool) ([]iface, error) {
	all, err := interfaces.List()
	if err != nil {
		return nil, err
	}
	var ifaces []iface
	for _, i := range all {
		if len(i.Addresses) == 0 || !broadcasts(i.Flags) || exclude != nil && exclude(i.Name) {
			continue
		}
		l := iface{Interface: i.Interface}
		for _, a := range i.Addresses {
			l.addresses = append(l.addresses, a.Addr())
		}
		ifaces = append(ifaces, l)
	}
	return choose(ifaces), nil
}

// broadcasts reports whether an interface is up and of the kind on which others
// may be found.
func broadcasts(flags net.Flags) bool {
	const need = net.FlagUp | net.FlagBroadcast | net.FlagMulticast
	return flags&need == need && flags&(net.FlagLoopback|net.FlagPointToPoint) == 0
}

// choose sorts the interfaces and cuts them down to maxInterfaces. A host with
// containers has an interface for each, with a link-local address at most.
func choose(ifaces []iface) []iface {
	rank := func(l iface) int {
		for _, a := range l.addresses {
			if a.Is4() || !a.IsLinkLocalUnicast() {
				return 0
			}
		}
		return 1
	}
	slices.SortStableFunc(ifaces, func(a, b iface) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Index, b.Index))
	})
	return ifaces[:min(len(ifaces), maxInterfaces)]
}

// has reports whether the interface has an address of a family to send from.
func (l *iface) has(ipv4 bool) bool {
	return slices.ContainsFunc(l.addresses, func(a netip.Addr) bool { return a.Is4() == ipv4 })
}

// A view is the knowledge of the interfaces that receiving needs.
type view struct {
	names map[int]string // of the joined interfaces, by their indices
	own   map[netip.Addr]bool
}

func newView(ifaces []iface) *view {
	v := &view{names: make(map[int]string), own: make(map[netip.Addr]bool)}
	for _, l := range ifaces {
		v.names[l.Index] = l.Name
		for _, a := range l.addresses {
			v.own[a] = true
		}
	}
	return v
}

// sameInterfaces reports whether both are of the same interfaces.
func (v *view) sameInterfaces(w *view) bool { return v.list() == w.list() }

// list returns the names for display.
func (v *view) list() string {
	var names []string
	for _, name := range v.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
