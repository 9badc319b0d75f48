package main

import (
	"fmt"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/internal/cli"
	"hedgerow/protocol"
)

// chooseCommunity returns the community's name, which a community file may
// give instead.
func chooseCommunity(c *ucli.Context, env cli.Environment, fromFile bool) (string, error) {
	name := communityName(c, env)
	if name == "" {
		if fromFile {
			return "", nil
		}
		return "", fmt.Errorf("no community: name it with -c NAME")
	}
	// This constructor is cheap, and it knows which names are possible.
	_, err := crypto.InsecureCommunity(name)
	return name, err
}

// communityName returns the name of the option or of the environment; empty: neither names
// a community.
func communityName(c *ucli.Context, env cli.Environment) string {
	name, _ := cli.String(c, "c")
	if name == "" {
		name, _ = env.First("EDGE_COMMUNITY", "N2N_COMMUNITY")
	}
	return name
}

// parseSupernodes reads -l. Without it the supernodes are those that 'edge join' has
// written; with it these say what key and token those of -l have, if it does not.
func parseSupernodes(c *ucli.Context, joined joinedDir, faults *cli.Faults) (list []edge.Supernode) {
	known, err := joined.readSupernodes()
	faults.Add(err)
	seen := map[string]bool{}
	for _, s := range cli.Strings(c, "l") {
		sn, err := parseSupernode(s)
		faults.Add(err)
		switch {
		case err != nil:
		case seen[sn.Name]:
			faults.Addf("-l %s was given twice", sn.Name)
		default:
			list = append(list, withJoined(sn, known))
		}
		seen[sn.Name] = true
	}
	switch n := len(seen); {
	case n == 0 && len(known) > 0:
		return known
	case n == 0 && err == nil:
		faults.Addf("no supernode: say where it is with -l HOST:PORT")
	case n > protocol.MaxEdgeSupernodes:
		faults.Addf("-l was given %d times: %d supernodes are the most", n, protocol.MaxEdgeSupernodes)
	}
	return list
}
