package main

import (
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/config"
	"hedgerow/internal/obfs"
	"hedgerow/supernode"
	"hedgerow/transport"
)

// defaultPort is n2n's.
const defaultPort = 7654

// options is a command line that was understood.
type options struct {
	Address  netip.Addr // that it listens on; not valid: every one
	Port     uint16
	Public   string // the name or address by which edges reach it; empty: who knows
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
	Obfs     obfs.Key
	Without  transport.Options // what the socket may not use, for tests and to measure against
}

// configuredBy is what "supernode run" is configured by.
func (cmd *command) configuredBy() config.Program {
	return config.Program{
		Name:    program,
		Env:     cmd.place.Env,
		Flags:   runFlags,
		Default: cmd.defaultFile,
		Reads:   []string{"obfs-key"},
		Choices: []config.Choice{
			{Options: []string{"p", "l"}},
			{Options: []string{"obfs-key", "obfs-key-file"}},
		},
		Parse: func(c *ucli.Context) error {
			_, err := cmd.parseOptions(c)
			return err
		},
	}
}

// defaultFile returns the file that is read if it is there and no other is named.
func (cmd *command) defaultFile(*ucli.Context) string {
	if cmd.etc == "" {
		return ""
	}
	return filepath.Join(cmd.etc, program+".toml")
}

// parseOptions reads the command line, the environment and the file of configuration. Its
// error lists everything that is wrong.
func (cmd *command) parseOptions(c *ucli.Context) (o options, err error) {
	err = cmd.configuredBy().Overlay(c, func() error {
		o, err = cmd.readOptions(c)
		return err
	})
	return o, err
}

// readOptions reads the options, wherever they were given.
func (cmd *command) readOptions(c *ucli.Context) (options, error) {
	var faults cli.Faults
	o := options{Port: defaultPort, Log: cli.ParseLogChoice(c, &faults), Control: cmd.place.Option(c, "control", "SUPERNODE_CONTROL")}
	cmd.parsePorts(c, &o, &faults)
	o.Second = parseSecondPort(cmd.place.Option(c, "second-port", "SUPERNODE_SECOND_PORT"), &faults)
	o.Streams = cmd.parseStreams(c, &faults)
	o.Public = cmd.parsePublic(c, &faults)
	o.TURN = cmd.parseTURN(c, &o, &faults)
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
	o.Obfs, err = obfs.Read(c, cmd.place.Env, obfsVariable)
	faults.Add(err)
	o.StateDir, err = cmd.place.StateDirOption(c, "SUPERNODE_STATE_DIR")
	faults.Add(err)
	return o, faults.Err()
}

// parsePorts reads -p and -l, which mean the same.
func (cmd *command) parsePorts(c *ucli.Context, o *options, faults *cli.Faults) {
	given := slices.Concat(cli.Strings(c, "p"), cli.Strings(c, "l"))
	if len(given) == 0 {
		given = append(given, cmd.place.Env("SUPERNODE_PORT"))
	}
	text := given[0]
	for _, other := range given[1:] {
		if other != text {
			faults.Addf("-p and -l with %s and %s contradict each other: both are where to listen, and that is one address, or every one", text, other)
			return
		}
	}
	if text == "" {
		return
	}
	address, port, ok := parseAddress(text)
	if !ok {
		faults.Addf("%q is not a port, nor an address with one: give a number from 0 to 65535, such as -p %d, or -p 203.0.113.1:%[2]d", text, defaultPort)
	}
	o.Address, o.Port = address, port
}

// parseAddress reads ADDR:PORT, or a port alone with or without a colon, which is that of
// every address.
func parseAddress(text string) (address netip.Addr, port uint16, ok bool) {
	host, number, err := net.SplitHostPort(text)
	if err != nil {
		host, number = "", text
	}
	if err = nil; host != "" {
		address, err = netip.ParseAddr(host)
	}
	n, portErr := strconv.ParseUint(number, 10, 16)
	return address.Unmap(), uint16(n), err == nil && portErr == nil
}

// parsePublic reads --public-address.
func (cmd *command) parsePublic(c *ucli.Context, faults *cli.Faults) string {
	text := cmd.place.Option(c, "public-address", "SUPERNODE_PUBLIC_ADDRESS")
	if text == "" {
		return ""
	}
	a, err := netip.ParseAddr(text)
	switch {
	case err == nil && (a.IsUnspecified() || a.IsMulticast() || a.Zone() != ""):
		faults.Addf("--public-address %s is the address of no host", text)
	case err != nil && !hostName.MatchString(text):
		faults.Addf("--public-address %s is neither an address nor the name of a host: give it without a port, such as vps.example", text)
	}
	return text
}

// hostName matches the name of a host (RFC 1123, section 2.1).
var hostName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?$`)

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
