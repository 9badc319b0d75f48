package main

import (
	"strconv"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge"
	"hedgerow/internal/cli"
)

// parseSegment reads --bridge-priority and --stp.
func (o *options) parseSegment(c *ucli.Context, faults *cli.Faults) {
	priority, ranked := cli.String(c, "bridge-priority")
	if ranked {
		n, err := strconv.ParseUint(priority, 10, 16)
		if err != nil || n == 0 {
			faults.Addf("--bridge-priority %s is no priority from 1 to 65535; the lowest forwards, and %d is the default", priority, edge.DefaultPriority)
		}
		o.Ethernet.Priority = uint16(n)
	}
	stp, trees := cli.String(c, "stp")
	switch {
	case !trees, stp == "drop":
	case stp == "forward":
		o.Ethernet.BPDUs = true
	default:
		faults.Addf("--stp %s: type forward, to carry the messages of spanning trees to the other members, or drop", stp)
	}
	if bridge, _ := cli.String(c, "bridge"); bridge == "" && (ranked || trees) {
		faults.Addf("--bridge-priority and --stp are for bridges: name the bridge that the device joins with --bridge NAME")
	}
}
