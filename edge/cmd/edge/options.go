package main

import (
	"crypto/rand"
	"path/filepath"
	"runtime"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/internal/cli"
	"hedgerow/internal/config"
	"hedgerow/internal/obfs"
	"hedgerow/tap"
)

// mostSTUN bounds how many STUN servers one edge talks to.
const mostSTUN = 8

// options is a command line that was understood.
type options struct {
	Community  communityChoice
	Supernodes []edge.Supernode
	Reach      edge.Reach
	Stream     streamChoice
	Nearby     nearbyChoice
	Address    edge.Address
	Ethernet   edge.Ethernet // its Bridge and MTU are as the device turns out to be
	Device     deviceChoice
	Links      linkChoice
	StateDir   string // without the community's own directory
	Control    string // empty: in the runtime directory
	Name       string
	Queues     queueChoice
	Clock      time.Duration
	Log        cli.LogChoice
}

// communityChoice is which community the edge is a member of, and where its keys come from.
type communityChoice struct {
	Name string // empty when only the community file names it
	Key  keyChoice
	Obfs obfs.Key // of its supernodes; none: what is known of each
}

// deviceChoice says what the TAP device is beside what Ethernet says.
type deviceChoice struct {
	Name   string // empty: the first free one
	Bridge tap.Port
}

// configuration is what "edge run" is configured by.
func (cmd *command) configuration() config.Program {
	return config.Program{
		Name:    program,
		Env:     cmd.place.Env,
		Flags:   runFlags,
		Default: cmd.defaultFile,
		Aliases: map[string][]string{"key": {"N2N_KEY"}, "community": {"N2N_COMMUNITY"}},
		Reads:   []string{"key", "community", "obfs-key"},
		Choices: []config.Choice{
			{Options: []string{"k", "key-file", "community-file", "key-exec", "key-socket", "insecure-no-encryption"}},
			{Options: []string{"obfs-key", "obfs-key-file"}},
			{Options: []string{"password-file"}, Variables: []string{"EDGE_PASSWORD"}},
		},
		Parse: func(c *ucli.Context) error {
			_, err := cmd.parseOptions(c)
			return err
		},
	}
}

// defaultFile returns the file of the community that is named, if nothing else is given.
func (cmd *command) defaultFile(c *ucli.Context) string {
	for _, f := range runFlags() {
		if name := f.Names()[0]; name != "c" && name != "v" && cli.Given(c, name) {
			return ""
		}
	}
	name := communityName(c, cmd.place.Env)
	if cmd.etc == "" || name == "" {
		return ""
	}
	return filepath.Join(cmd.etc, program, cli.FileName(name)+".toml")
}

// parseOptions reads the command line, the environment and the file of configuration. Its
// error lists everything that is wrong.
func (cmd *command) parseOptions(c *ucli.Context) (o options, err error) {
	err = cmd.configuration().Overlay(c, func() error {
		o, err = cmd.readOptions(c)
		return err
	})
	return o, err
}

// readOptions reads the options, wherever they were given.
func (cmd *command) readOptions(c *ucli.Context) (options, error) {
	var o options
	var faults cli.Faults
	var err error
	o.Log = cli.ParseLogChoice(c, &faults)
	o.StateDir, err = cmd.place.StateDirOption(c, "")
	faults.Add(err)
	joined := joinedIn(o.StateDir, communityName(c, cmd.place.Env))
	o.Community.Key, err = chooseKey(c, cmd.place.Env, joined)
	faults.Add(err)
	o.Community.Name, err = chooseCommunity(c, cmd.place.Env, o.Community.Key.kind == keyCommunityFile)
	faults.Add(err)
	o.Control, _ = cli.String(c, "control")
	o.Supernodes = parseSupernodes(c, joined, &faults)
	o.Community.Obfs, err = obfs.Read(c, cmd.place.Env, obfsVariable)
	faults.Add(err)
	parseUser(c, cmd.place, o.Supernodes, &faults)
	o.parseSTUN(c, &faults)
	o.Stream.parse(c, &faults)
	o.Reach.StreamOnly = c.Bool("t")
	o.parseNearby(c, &faults)
	cmd.parseTURN(c, &o, &faults)
	o.parseAddresses(c, &faults)
	o.parseDevice(c, &faults)
	o.Links.parse(c, o.Device.Name, &faults)
	parseGuard(c, &o.Ethernet, &faults)
	if len(o.Ethernet.Hubs) > 0 && o.Community.Key.kind == keyInsecure {
		faults.Add(crypto.ErrOpenHubs)
	}
	o.parseSegment(c, &faults)
	parseRoutes(c, &o.Address.Subnets, &faults)
	o.checkRoutes(&faults)
	cmd.parseSelf(c, &o, &faults)
	return o, faults.Err()
}

// parseSTUN reads --stun.
func (o *options) parseSTUN(c *ucli.Context, faults *cli.Faults) {
	for _, s := range cli.Strings(c, "stun") {
		server, err := parseSTUN(s)
		faults.Add(err)
		o.Reach.STUN = append(o.Reach.STUN, server)
	}
	if n := len(o.Reach.STUN); n > mostSTUN {
		faults.Addf("--stun was given %d times: %d servers are the most", n, mostSTUN)
	}
}

// parseAddresses reads -a and --allow-lease. An option that was given an empty value is at
// fault in this and in parseDevice.
func (o *options) parseAddresses(c *ucli.Context, faults *cli.Faults) {
	var err error
	if s, ok := cli.String(c, "a"); ok {
		o.Address, err = parseAddress(s)
		faults.Add(err)
	}
	for _, s := range cli.Strings(c, "allow-lease") {
		allowed, err := parseNetwork(s)
		if faults.Add(err); err == nil {
			o.Address.Allow = append(o.Address.Allow, allowed)
		}
	}
	if len(o.Address.Allow) > 0 && (o.Address.Mode == edge.AddressNone || o.Address.Mode == edge.AddressStatic) {
		faults.Addf("--allow-lease has no meaning with -a dhcp and -a static:IP, which take no lease: leave one of the two out")
	}
}

// parseDevice reads -d, -m, -M, what concerns bridges, --vlan, --eapol, --fdb-size, -p and
// what concerns the queues.
func (o *options) parseDevice(c *ucli.Context, faults *cli.Faults) {
	var err error
	if s, ok := cli.String(c, "d"); ok {
		o.Device.Name = s
		faults.Add(checkDevice(s))
	}
	if s, ok := cli.String(c, "m"); ok {
		if s == "random" {
			o.Ethernet.MAC = randomMAC()
		} else {
			o.Ethernet.MAC, err = parseMAC(s)
			faults.Add(err)
		}
	}
	if s, ok := cli.String(c, "M"); ok {
		o.Ethernet.MTU, err = parseMTU(s)
		faults.Add(err)
	}
	o.parseBridge(c, faults)
	if s, ok := cli.String(c, "vlan"); ok {
		o.Ethernet.Filter.VLANs, err = parseVLANs(s)
		faults.Add(err)
	}
	o.Ethernet.Filter.EAPOL = c.Bool("eapol")
	if s, ok := cli.String(c, "fdb-size"); ok {
		o.Ethernet.Stations, err = parseFDBSize(s)
		faults.Add(err)
	}
	backend, _ := cli.String(c, "tap-backend")
	count, _ := cli.String(c, "queues")
	left, _ := cli.String(c, "offload")
	o.Queues, err = parseQueues(backend, count, left)
	faults.Add(err)
	if s, ok := cli.String(c, "p"); ok {
		o.Queues.Port.Asked = true
		o.Queues.Port.Number, err = parsePort(s)
		faults.Add(err)
	}
}

// parseSelf reads --name and the hidden options.
func (cmd *command) parseSelf(c *ucli.Context, o *options, faults *cli.Faults) {
	typed, _ := cli.String(c, "name")
	host, _ := cmd.hostname() // without one the identity stands in
	var err error
	o.Name, err = edgeName(typed, host)
	faults.Add(err)
	if s, ok := cli.String(c, "test-clock-offset"); ok {
		o.Clock, err = time.ParseDuration(s)
		if err != nil {
			faults.Addf("--test-clock-offset %s is not a length of time", s)
		}
	}
}

// checkRoutes reports options that do not go with those of routes.
func (o *options) checkRoutes(faults *cli.Faults) {
	r := &o.Address.Subnets
	if r.Accept.Exit != "" && o.Nearby.Underlay.Mark == 0 {
		faults.Addf("--exit needs --mark N, such as --mark 76, by which rules keep the edge's own packets out of the overlay (docs/routing.md)")
	}
	if r.Accept.None() {
		return
	}
	if o.Address.Bare {
		faults.Addf("--accept-routes and --exit need an address, and a port of a bridge has none: type --bridge-address to give %s one", o.Device.Bridge.Bridge)
	}
	if runtime.GOOS != "linux" {
		faults.Addf("--accept-routes and --exit are there on Linux alone, and this is %s", runtime.GOOS)
	}
}

// randomMAC returns a locally administered, individual address.
func randomMAC() [6]byte {
	var mac [6]byte
	_, _ = rand.Read(mac[:]) // never fails
	mac[0] = mac[0]&^1 | 2
	return mac
}
