package main

import (
	"strconv"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
)

const (
	// pingsUntilDirect is how many pings --until-direct sends without
	// -c.
	pingsUntilDirect = 60
	// mostPings bounds -c.
	mostPings = 1_000_000
)

// pingFlags are the options of "edge ping". The peer is one of them: see
// cli.ArgumentOption.
func pingFlags() []ucli.Flag {
	return append(readFlags(),
		&ucli.StringFlag{Name: "c", Aliases: []string{"count"}, Usage: "send `COUNT` pings; default: until interrupted, 60 with --until-direct"},
		&ucli.StringFlag{Name: "i", Aliases: []string{"interval"}, Usage: "`TIME` between them: 200ms, 0.2; default: 1s"},
		&ucli.StringFlag{Name: "s", Aliases: []string{"size"}, Usage: "as long as a frame of `BYTES`; default: 64"},
		&ucli.BoolFlag{Name: "until-direct", Usage: "end with the first answer that came directly", DisableDefaultText: true},
		&ucli.StringFlag{Name: "peer", Hidden: true},
	)
}

// pingChoice is a command line of "edge ping" that was understood.
type pingChoice struct {
	request     control.PingRequest
	count       int // 0: until interrupted
	every       time.Duration
	untilDirect bool
	json        bool
}

func parsePing(c *ucli.Context) (pingChoice, error) {
	o := pingChoice{every: time.Second, untilDirect: c.Bool("until-direct"), json: c.Bool("json")}
	var faults cli.Faults
	// These mean something else to the command itself, so its own are asked for.
	o.request.Peer = c.String("peer")
	if o.request.Peer == "" {
		faults.Addf("no peer: type edge ping PEER, with a name, address or identity that 'edge peers' shows")
	}
	if o.untilDirect {
		o.count = pingsUntilDirect
	}
	if s := c.String("c"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > mostPings {
			faults.Addf("-c %s is not a number of pings from 1 to %d", s, mostPings)
		}
		o.count = n
	}
	if s := c.String("i"); s != "" {
		d, err := time.ParseDuration(s)
		if f, notNumber := strconv.ParseFloat(s, 64); notNumber == nil {
			d, err = time.Duration(f*float64(time.Second)), nil
		}
		if err != nil || d < 0 || d > time.Hour {
			faults.Addf("-i %s is not a time between pings, such as 200ms or 0.2", s)
		}
		o.every = d
	}
	if s := c.String("s"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			faults.Addf("--size %s is not the length of a frame in bytes", s)
		}
		o.request.Size = n
	}
	return o, faults.Err()
}
