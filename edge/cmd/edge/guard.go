package main

import (
	"fmt"
	"strconv"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/bridge"
	"hedgerow/internal/cli"
)

// guardFlags are the options about what others may send.
func guardFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "storm", Usage: "`PPS`: broadcasts and multicasts a second that one host may send, or off; default: 200. Others limit what comes to them by their own"},
		&ucli.StringFlag{Name: "hubs", Usage: "`IDENTITY`,...: all other members exchange frames with these alone, and not with each other; the same at every member. A community file has a line hubs = for it"},
		&ucli.BoolFlag{Name: "transparent", Usage: "carry every frame as a cable would: multicasts to all edges, whoever has joined their group, and every ARP request and IPv6 neighbour solicitation", DisableDefaultText: true},
		&ucli.StringFlag{Name: "accept-bridges", Usage: "`WHOM`: take frames of hosts behind all, none, or the bridges with these identities (ID,...); default: all"},
		&ucli.StringFlag{Name: "accept-dhcp", Usage: "`WHOM`: take answers of DHCP servers at all, bridges, none, or ID,...; default: all with -a dhcp, else bridges on a bridge and none on others"},
		&ucli.StringFlag{Name: "accept-ra", Usage: "`WHOM`: take IPv6 router advertisements of all, bridges, none, or ID,...; default: bridges on a bridge, else none"},
	}
}

// parseGuard reads the options about what others may send.
func parseGuard(c *ucli.Context, e *edge.Ethernet, faults *cli.Faults) {
	var err error
	e.Transparent = c.Bool("transparent")
	if s, ok := cli.String(c, "storm"); ok {
		e.Storm, err = parseStorm(s)
		faults.Add(err)
	}
	if s, ok := cli.String(c, "hubs"); ok {
		if e.Hubs, err = crypto.ParseHubs(s); err != nil {
			faults.Addf("--hubs: %v", err)
		}
	}
	for _, a := range []struct {
		name string
		to   *bridge.Whom
	}{{"accept-bridges", &e.Accept.Bridges}, {"accept-dhcp", &e.Accept.DHCP}, {"accept-ra", &e.Accept.Routers}} {
		s, ok := cli.String(c, a.name)
		if !ok {
			continue
		}
		if *a.to, err = bridge.ParseWhom(s); err != nil {
			faults.Addf("--%s: %v", a.name, err)
		}
	}
}

// parseStorm reads the value of --storm.
func parseStorm(s string) (int, error) {
	if s == "off" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > bridge.MostStorm {
		return 0, fmt.Errorf("--storm %s is neither off nor a number of frames a second from 1 to %d", s, bridge.MostStorm)
	}
	return n, nil
}
