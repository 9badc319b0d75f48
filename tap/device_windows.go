package tap

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/songgao/water"
)

// Names of adapters on Windows are free text of the Control Panel (NDIS: 256
// characters); netsh reads them in quotes, so only quotes are forbidden.
const (
	maxName         = 255
	forbiddenInName = `"`
)

// openWater opens the adapter through the TAP-Windows driver.
func openWater(cfg Config) (*water.Interface, error) {
	ifce, err := water.New(water.Config{
		DeviceType: water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{
			ComponentID:   "tap0901",
			InterfaceName: cfg.Name,
		},
	})
	if err != nil {
		return nil, &OpenError{Errno: errnoOf(err), Sentence: fmt.Sprintf("cannot open the TAP adapter %q: %v. Install the TAP-Windows driver (it comes with OpenVPN), name an adapter so in the Control Panel, and run as administrator.", cfg.Name, err)}
	}
	return ifce, nil
}

// setUp sets the MTU. The MAC cannot be changed while the adapter runs, so setUp
// fails if another one is wanted: peers would not find this edge.
func (d *Device) setUp() error {
	mac, err := d.currentMAC()
	if err != nil {
		return &OpenError{Errno: errnoOf(err), Sentence: fmt.Sprintf("cannot read the MAC of %q: %v.", d.cfg.Name, err)}
	}
	if d.cfg.MAC != ([6]byte{}) && d.cfg.MAC != mac {
		return &OpenError{Sentence: fmt.Sprintf("the TAP adapter %q has the MAC %s and Windows cannot change it while it runs. Use -m %s, or set \"MAC Address\" to %s in the adapter's advanced properties.", d.cfg.Name, macString(mac), macString(mac), macString(d.cfg.MAC))}
	}
	d.cfg.MAC = mac
	for _, family := range []string{"ipv4", "ipv6"} {
		err := run([]string{"netsh", "interface", family, "set", "subinterface", d.cfg.Name, "mtu=" + strconv.Itoa(d.cfg.MTU), "store=active"})
		if err != nil && family == "ipv4" { // IPv6 may be off, or the MTU below its 1280
			return &OpenError{Sentence: fmt.Sprintf("cannot give %q an MTU of %d: %v.", d.cfg.Name, d.cfg.MTU, err)}
		}
	}
	return nil
}

// addressCommand is netsh's command to add or remove an address.
func addressCommand(name string, p netip.Prefix, add bool) []string {
	a := p.Addr().String()
	switch {
	case add && p.Addr().Is4():
		mask := net.IP(net.CIDRMask(p.Bits(), 32)).String()
		return []string{"netsh", "interface", "ipv4", "add", "address", "name=" + name, "address=" + a, "mask=" + mask, "store=active"}
	case add:
		return []string{"netsh", "interface", "ipv6", "add", "address", "interface=" + name, "address=" + p.String(), "store=active"}
	case p.Addr().Is4():
		return []string{"netsh", "interface", "ipv4", "delete", "address", "name=" + name, "address=" + a, "store=active"}
	}
	return []string{"netsh", "interface", "ipv6", "delete", "address", "interface=" + name, "address=" + a, "store=active"}
}
