package main

import (
	"net/netip"
	"strconv"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/supernode"
	"hedgerow/transport"
)

// defaultPort is n2n's.
const defaultPort = 7654

// options is a command line that was understood.
type options struct {
	Port     uint16
	Second   secondPort
	Streams  streamChoice
	TURN     turnChoice
	Rules    rulesChoice
	HTTP     netip.AddrPort // of monitors; not valid: none
	Limits   supernode.Limits
	StateDir string
	Pool     netip.Prefix // zero: each community its own
	Control  string       // empty: in the runtime directory
	Log      cli.LogChoice
	Without  transport.Options // what the socket may not use, for tests and to measure against
}

// parseOptions reads the command line and the environment. Its error lists
// everything that is wrong.
func (cmd *command) parseOptions(c *ucli.Context) (options, error) {
	var faults cli.Faults
	o := options{Port: defaultPort, Log: cli.ParseLogChoice(c, &faults), Control: cmd.place.Option(c, "control", "SUPERNODE_CONTROL")}
	cmd.parsePorts(c, &o, &faults)
	o.Second = parseSecondPort(cmd.place.Option(c, "second-port", "SUPERNODE_SECOND_PORT"), &faults)
	o.Streams = cmd.parseStreams(c, &faults)
	o.TURN = cmd.parseTURN(c, &faults)
	o.Rules = cmd.parseRules(c, &faults)
	o.HTTP = cmd.parseHTTP(c, &faults)
	o.Limits = cmd.parseLimits(c, &faults)
	if s, given := cli.String(c, "offload"); given {
		o.parseOffload(s, &faults)
	}
	if s := cmd.place.Option(c, "pool", "SUPERNODE_POOL"); s != "" {
		o.parsePool(s, &faults)
	}
	var err error
	o.StateDir, err = cmd.place.StateDirOption(c, "SUPERNODE_STATE_DIR")
	faults.Add(err)
	return o, faults.Err()
}

// parsePorts reads -p and -l, which mean the same.
func (cmd *command) parsePorts(c *ucli.Context, o *options, faults *cli.Faults) {
	p, byP := cli.String(c, "p")
	l, byL := cli.String(c, "l")
	switch {
	case byP && byL && p != l:
		faults.Addf("-p %s and -l %s contradict each other: both are the port to listen on", p, l)
		return
	case byL:
		p = l
	case !byP:
		if p = cmd.place.Env("SUPERNODE_PORT"); p == "" {
			return
		}
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		faults.Addf("%q is not a port: give a number from 0 to 65535, such as -p %d", p, defaultPort)
		return
	}
	o.Port = uint16(n)
}

// parsePool reads --pool. An address inside the network stands for it.
func (o *options) parsePool(s string, faults *cli.Faults) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		faults.Addf("--pool %s is not a network such as 10.64.0.0/20", s)
		return
	}
	o.Pool = p.Masked()
	faults.Add(supernode.CheckPool(o.Pool))
}

// parseOffload reads --offload.
func (o *options) parseOffload(s string, faults *cli.Faults) {
	names, err := cli.Offloads(s, "gso", "gro", "batch")
	faults.Add(err)
	for _, name := range names {
		switch name {
		case "gso":
			o.Without.NoGSO = true
		case "gro":
			o.Without.NoGRO = true
		case "batch":
			o.Without.NoBatch = true
		}
	}
}
