package main

import (
	"cmp"
	"strconv"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge"
	"hedgerow/internal/cli"
	"hedgerow/tap"
)

// parseBridge reads --bridge and what goes with it. A port has no address of its own:
// without --bridge-address the edge does not ask for one.
func (o *options) parseBridge(c *ucli.Context, faults *cli.Faults) {
	b := &o.Device.Bridge
	name, named := cli.String(c, "bridge")
	if named && name == "" {
		faults.Addf("--bridge was given nothing: type the name of a bridge")
	}
	b.Bridge = name
	b.Address, b.Force = c.Bool("bridge-address"), c.Bool("bridge-force")
	cost, costs := cli.String(c, "bridge-cost")
	if costs {
		n, err := strconv.Atoi(cost)
		if err != nil || n < 1 || n > tap.MaxCost {
			faults.Addf("--bridge-cost %s is not a path cost from 1 to %d", cost, tap.MaxCost)
		}
		b.Cost = n
	}
	if b.Bridge == "" {
		if b.Address || b.Force || costs {
			faults.Addf("--bridge-address, --bridge-cost and --bridge-force say how a bridge is joined: name it with --bridge NAME")
		}
		return
	}
	if b.Address {
		return
	}
	if o.Address.Mode != edge.AddressLease && o.Address.Mode != edge.AddressNone {
		faults.Addf("-a has no meaning with --bridge, since a port of a bridge has no address: leave it out, or type --bridge-address to give %s the address", b.Bridge)
	}
	o.Address = edge.Address{Mode: edge.AddressNone, Bare: true}
}

// mtu returns the MTU of the device to open. It refuses a bridge that cannot be joined
// before anything is made.
func (o *options) mtu() (int, error) {
	if o.Device.Bridge.Bridge != "" {
		n, err := o.Device.Bridge.MTU(o.Ethernet.MTU, edge.MaxMTU)
		return n, deviceError(err)
	}
	return cmp.Or(o.Ethernet.MTU, edge.DefaultMTU), nil
}
