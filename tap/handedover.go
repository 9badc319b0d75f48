package tap

import "net/netip"

// HandedOver is a device that another process goes on with: what Open found and changed, so
// that Close there restores it. It says nothing that is secret.
type HandedOver struct {
	Name     string
	Existing bool
	MAC      [6]byte // as Device.MAC
	OwnMAC   [6]byte // the interface's, another one of a port
	MTU      int
	Features Features
	Added    []netip.Prefix
	Port     Port
	Former   Former
	Settings [][2]string // of IPv6, to restore
	Alias    bool
	Queues   int
}

// Former is what an interface that existed had before it became a port.
type Former struct {
	Joined bool // it was no port
	Killed bool // an edge that was killed left it as a port
	Cost   int
	MAC    [6]byte
}
