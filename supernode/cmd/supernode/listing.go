package main

import (
	"context"
	"encoding/hex"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/render"
	"hedgerow/supernode/admin"
)

// idBytes is the length of a community's id.
const idBytes = 16

// listFlags are the options of "supernode communities" and "supernode edges". The community
// is one of them: see cli.ArgumentOption.
func listFlags() []ucli.Flag {
	return []ucli.Flag{cli.JSONFlag(), cli.WatchFlag(), cli.ControlFlag(""), &ucli.StringFlag{Name: communityOption, Hidden: true}}
}

const communityOption = "community"

// communities is "supernode communities [COMMUNITY]".
func (cmd *command) communities(c *ucli.Context) error {
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	word := c.String(communityOption)
	return cli.Document[admin.Communities]{
		Show: render.SupernodeCommunities, Changes: render.SupernodeCommunityChanges, Get: func(ctx context.Context) (admin.Communities, error) {
			all, err := admin.Socket(path).Communities(ctx)
			if err != nil || word == "" {
				return all, askError(path, err)
			}
			one, err := named(all.Communities, word)
			all.Communities = []admin.CommunityStatus{one}
			return all, err
		},
	}.Run(c, cmd.streams.Out)
}

// edges is "supernode edges [COMMUNITY]".
func (cmd *command) edges(c *ucli.Context) error {
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	id, err := findCommunity(c, path)
	if err != nil {
		return err
	}
	return cli.Document[admin.Edges]{
		Show: render.SupernodeEdges, Changes: render.SupernodeEdgeChanges, Get: func(ctx context.Context) (admin.Edges, error) {
			all, err := admin.Socket(path).Edges(ctx, id)
			return all, askError(path, err)
		},
	}.Run(c, cmd.streams.Out)
}

// findCommunity returns the id of the community that the command line names; empty: none
// is named.
func findCommunity(c *ucli.Context, socket string) (string, error) {
	word := c.String(communityOption)
	if word == "" {
		return "", nil
	}
	if b, err := hex.DecodeString(word); err == nil && len(b) == idBytes {
		return strings.ToLower(word), nil
	}
	all, err := admin.Socket(socket).Communities(c.Context)
	if err != nil {
		return "", askError(socket, err)
	}
	one, err := named(all.Communities, word)
	return one.ID, err
}

// named returns the community with a label, or the only one whose id begins so.
func named(list []admin.CommunityStatus, word string) (admin.CommunityStatus, error) {
	var found []admin.CommunityStatus
	for _, c := range list {
		if c.Label == word {
			return c, nil
		}
		if strings.HasPrefix(c.ID, strings.ToLower(word)) {
			found = append(found, c)
		}
	}
	switch len(found) {
	case 0:
		return admin.CommunityStatus{}, cli.Errorf(cli.Failure, "", "no community here is called %q or has an id that begins so: 'supernode communities' lists them. A supernode does not know the names that edges give with -c.", word)
	case 1:
		return found[0], nil
	}
	return admin.CommunityStatus{}, cli.Errorf(cli.Failure, "", "the ids of %d communities begin with %q: type more of it.", len(found), word)
}

// askError puts into words why the supernode did not answer; nil stays nil.
func askError(socket string, err error) error {
	if err == nil {
		return nil
	}
	return cli.CallError(program, socket, err)
}
