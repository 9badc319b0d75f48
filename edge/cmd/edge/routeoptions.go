package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/subnet"
	"hedgerow/internal/cli"
	"hedgerow/protocol"
)

// routeFlags are the options about networks behind edges.
func routeFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringSliceFlag{Name: "r", Aliases: []string{"route"}, Usage: "tell others that `NETWORKS` (192.168.7.0/24,...) are behind this edge; 0.0.0.0/0 makes it a gateway to the internet; may be repeated"},
		&ucli.StringFlag{Name: "accept-routes", Usage: "send packets to networks behind other edges (Linux): `WHICH` are all, none, or identities and networks, of which both have to fit (ID,NETWORK,...); default: none"},
		&ucli.StringFlag{Name: "exit", Usage: "accept a default route from the edge with this identity (`ID`); needs --mark"},
		&ucli.StringFlag{Name: "mark", Usage: "firewall mark `N` of everything that the edge sends past the overlay (Linux)"},
		&ucli.StringFlag{Name: "underlay-interface", Usage: "send nothing past the overlay but by the interface `NAME` (Linux)"},
	}
}

// parseRoutes reads -r, --accept-routes and --exit.
func parseRoutes(c *ucli.Context, r *edge.Subnets, faults *cli.Faults) {
	var given []string
	for _, list := range cli.Strings(c, "r") {
		given = append(given, strings.Split(list, ",")...)
	}
	for _, s := range given {
		n, err := parseRoute(s)
		if faults.Add(err); err != nil {
			continue
		}
		if slices.Contains(r.Announce, n) {
			faults.Addf("-r %s was given twice", n)
			continue
		}
		r.Announce = append(r.Announce, n)
	}
	if n := len(r.Announce); n > protocol.MaxRoutes {
		faults.Addf("-r was given %d networks: %d are the most", n, protocol.MaxRoutes)
	}
	if s, ok := cli.String(c, "accept-routes"); ok {
		var err error
		if r.Accept, err = subnet.ParsePolicy(s); err != nil {
			faults.Addf("--accept-routes: %v", err)
		}
	}
	if s, ok := cli.String(c, "exit"); ok {
		var known bool
		if r.Accept.Exit, known = crypto.ParseID(s); !known {
			faults.Addf("--exit %s is no identity such as 9f3a-71c2-e0b4, which 'edge peers' shows", s)
		}
	}
}

// parseRoute reads a network of -r. In n2n the option has no value and lets packets be
// forwarded, which is the kernel's matter here.
func parseRoute(s string) (netip.Prefix, error) {
	n, err := netip.ParsePrefix(strings.TrimSpace(s))
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("-r %s is not a network: type those behind this edge, such as -r 192.168.7.0/24 (n2n's -r is the kernel's: sysctl -w net.ipv4.ip_forward=1)", s)
	}
	if why := subnet.Fault(n); why != "" && !subnet.IsDefault(n) {
		return netip.Prefix{}, fmt.Errorf("-r %s %s", s, why)
	}
	return n, nil
}
