package main

import (
	"log/slog"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/underlay"
	"hedgerow/internal/cli"
	"hedgerow/nat/turn"
)

// parseTURN reads --turn with its user and secret, which serve for all of them.
func (cmd *command) parseTURN(c *ucli.Context, o *options, faults *cli.Faults) {
	user := cmd.place.Option(c, "turn-user", "EDGE_TURN_USER")
	secret := cmd.place.Option(c, "turn-secret", "EDGE_TURN_SECRET")
	servers := cli.Strings(c, "turn")
	for _, s := range servers {
		host, port, err := turn.ParseURI(s)
		if err != nil {
			faults.Addf("--turn %s: %v", s, err)
			continue
		}
		o.Reach.TURN = append(o.Reach.TURN, underlay.TURNServer{Host: host, Port: port, User: user, Password: secret})
	}
	switch {
	case len(servers) > mostTURN:
		faults.Addf("--turn was given %d times: %d servers are the most", len(servers), mostTURN)
	case len(servers) > 0 && (user == "" || secret == ""):
		faults.Addf("--turn needs --turn-user NAME and --turn-secret SECRET, or EDGE_TURN_USER and EDGE_TURN_SECRET")
	case len(servers) == 0 && c.IsSet("turn-user"):
		faults.Addf("--turn-user without --turn: name the server, such as --turn turn:turn.example:3478")
	}
	o.Reach.NoRelay = c.Bool("no-relay")
}

// mostTURN bounds how many TURN servers one edge uses.
const mostTURN = 4

// newTURNClient makes the client of a TURN server.
func newTURNClient(log *slog.Logger) func(underlay.TURNConfig) (underlay.TURNClient, underlay.TURNReceiver, error) {
	return func(cfg underlay.TURNConfig) (underlay.TURNClient, underlay.TURNReceiver, error) {
		c, err := turn.NewClient(turn.ClientConfig{
			Server: cfg.Server, User: cfg.User, Password: cfg.Password, Send: cfg.Send, Receive: cfg.Receive, Log: log,
		})
		if err != nil { // a nil *Client in an interface would not be nil
			return nil, nil, err
		}
		return c, c, nil
	}
}
