package main

import (
	"slices"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/config"
	"hedgerow/internal/obfs"
)

// runFlags are the options of "edge" and "edge run". Values are texts here and
// are parsed together later, so that all faults are reported at once.
func runFlags() []ucli.Flag {
	return slices.Concat([]ucli.Flag{
		&ucli.StringFlag{Name: "c", Aliases: []string{"community"}, Usage: "`NAME` of the community"},
		&ucli.StringFlag{Name: "k", Aliases: []string{"key"}, Usage: "`KEY` of the community (others may see it: prefer --key-file)"},
		&ucli.StringFlag{Name: "key-file", Usage: "read the key from `FILE`, or from standard input with -"},
		communityFileFlag(),
		&ucli.StringFlag{Name: "key-exec", Usage: "run `COMMAND` (program and arguments, no shell), which prints a community file"},
		&ucli.StringFlag{Name: "key-socket", Usage: "read the community file from the Unix socket at `PATH`; see docs/keys.md"},
		&ucli.StringSliceFlag{Name: "l", Aliases: []string{"supernode"}, Usage: "`HOST:PORT[#KEY]` of a supernode; may be repeated"},
		&ucli.StringFlag{Name: "a", Aliases: []string{"address"}, Usage: "`ADDRESS` to prefer (IP[/LEN]), static:IP[/LEN], or dhcp; default: a lease"},
		&ucli.StringSliceFlag{Name: "allow-lease", Usage: "take a lease in `NETWORK` though it is public or in use here; may be repeated"},
		&ucli.StringFlag{Name: "d", Aliases: []string{"device"}, Usage: "`NAME` of the TAP device; default: the first free one of edge0, edge1, ..."},
		&ucli.StringFlag{Name: "m", Aliases: []string{"mac"}, Usage: "hardware `ADDRESS`, or random; default: from the identity"},
		&ucli.StringSliceFlag{Name: "p2p", Usage: "a TAP device for one peer, meant by its identity (`PEER=DEVICE`), or for each (auto:mesh%d); may be repeated"},
		&ucli.StringFlag{Name: "on-up", Usage: "run `COMMAND` (program and arguments, no shell) when the peer of a --p2p device can be reached"},
		&ucli.StringFlag{Name: "on-down", Usage: "run `COMMAND` when it cannot any more"},
		&ucli.StringFlag{Name: "on-path-change", Usage: "run `COMMAND` at both, and when the path to it or its cost has changed"},
		&ucli.StringFlag{Name: "M", Aliases: []string{"mtu"}, Usage: "MTU of the device in `BYTES`; default: 1370, with --bridge what its hosts may send"},
		&ucli.StringFlag{Name: "bridge", Usage: "make the device a port of the existing bridge `NAME` (Linux): it gets the bridge's MTU and no address"},
		&ucli.BoolFlag{Name: "bridge-address", Usage: "give the edge's addresses to the bridge", DisableDefaultText: true},
		&ucli.StringFlag{Name: "bridge-cost", Usage: "path `COST` of the device in the bridge's spanning tree; default: 2000, worse than copper"},
		&ucli.BoolFlag{Name: "bridge-force", Usage: "join the bridge though this machine's default route leaves by it", DisableDefaultText: true},
		&ucli.StringFlag{Name: "vlan", Usage: "carry frames of the VLANs in `LIST` alone, such as 10,20; 0 is frames without a tag; default: all"},
		&ucli.BoolFlag{Name: "eapol", Usage: "carry 802.1X authentication (01:80:c2:00:00:03), which is a matter of one LAN", DisableDefaultText: true},
		&ucli.StringFlag{Name: "fdb-size", Usage: "`COUNT`[,COUNT] of stations that are remembered behind all edges, and behind one; default: 32768,8192"},
		&ucli.StringFlag{Name: "bridge-priority", Usage: "`N` among the bridges of one LAN, of which the lowest forwards; default: 32768"},
		&ucli.StringFlag{Name: "stp", Usage: "`WHAT` becomes of spanning tree messages of the bridge: forward or drop; default: drop, each LAN has its own tree"},
		&ucli.StringFlag{Name: "p", Aliases: []string{"port"}, Usage: "local UDP `PORT`, 0 for any; default: the one of last time"},
		&ucli.StringSliceFlag{Name: "stun", Usage: "`HOST:PORT` of a STUN server; may be repeated"},
		&ucli.StringSliceFlag{Name: "turn", Usage: "`URI` of a TURN server, turn:HOST[:PORT], for pairs without a direct path; may be repeated"},
		&ucli.StringFlag{Name: "turn-user", Usage: "`NAME` of the user there"},
		&ucli.StringFlag{Name: "turn-secret", Usage: "`SECRET` of that user (others may see it: prefer EDGE_TURN_SECRET)"},
		&ucli.BoolFlag{Name: "no-relay", Usage: "send no frame through a supernode, only directly or by TURN", DisableDefaultText: true},
		&ucli.StringSliceFlag{Name: "public-address", Aliases: []string{"advertise"}, Usage: "further `ADDRESS`[:PORT] at which others reach this edge, as by a forwarded port; without PORT that of -p; may be repeated"},
		&ucli.BoolFlag{Name: "no-port-mapping", Usage: "do not ask the router to map the UDP port (PCP, NAT-PMP, UPnP)", DisableDefaultText: true},
		&ucli.BoolFlag{Name: "no-lan", Usage: "do not look for members on the same LAN", DisableDefaultText: true},
		&ucli.BoolFlag{Name: "t", Aliases: []string{"tls"}, Usage: "reach supernodes by TLS alone; default: where UDP is blocked", DisableDefaultText: true},
		&ucli.StringFlag{Name: "http-proxy", Usage: "`URL` of the proxy for TLS, http://[USER:PASSWORD@]HOST:PORT, or off; default: that of HTTPS_PROXY"},
		&ucli.StringFlag{Name: "state-dir", Usage: "keep identity and state in `DIR`/COMMUNITY"},
		cli.ControlFlag(""),
		&ucli.StringFlag{Name: "tos", Usage: "inherit: packets have the DSCP of the frames in them, so that the network outside can put calls before transfers, and see which they are (Linux); default: none has one. ECN needs no option"},
		&ucli.StringFlag{Name: "padding", Usage: "make packets longer, so that their lengths tell less: off, light (short ones, by up to 64 bytes) or full (four lengths); default: off"},
		&ucli.StringFlag{Name: "name", Usage: "`NAME` that others see; default: the host's name"},
		&ucli.BoolFlag{Name: "insecure-no-encryption", Usage: "send everything in clear: for experiments only", DisableDefaultText: true},
		&ucli.StringFlag{Name: "tap-backend", Usage: "`NAME` of the backend of the TAP device: auto, native (Linux: super-frames, queues) or water; default: auto"},
		&ucli.StringFlag{Name: "queues", Usage: "`COUNT` of queues, each served by a thread of its own; default: one for each processor, 4 at most"},
		&ucli.StringFlag{Name: "test-clock-offset", Hidden: true},
		&ucli.StringFlag{Name: "offload", Usage: "do without what a driver, a virtual machine or a path does wrong: `LIST` of NAME=off, where NAME is vnet, csum, tso or uso (device) or gso, gro or batch (UDP sockets); default: all that the kernel has"},
	}, []ucli.Flag{config.FileFlag()}, obfs.Flags(obfsVariable), userFlags(), guardFlags(), routeFlags(), cli.LogFlags())
}

// readFlags are the options of the sub-commands that ask a running edge.
func readFlags() []ucli.Flag {
	return []ucli.Flag{
		cli.JSONFlag(),
		cli.ControlFlag("; default: the only one"),
	}
}

func keygenFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "community", Aliases: []string{"c"}, Usage: "`NAME` of the community"},
		&ucli.StringFlag{Name: "epochs", Value: "12", Usage: "`COUNT` of keys that follow each other"},
		&ucli.StringFlag{Name: "every", Value: "30d", Usage: "`TIME` that each key is used: 30d, 2w, 36h; 0 for one key without an end"},
		&ucli.StringFlag{Name: "o", Aliases: []string{"output"}, Usage: "write to the new `FILE`; default: standard output"},
	}
}
