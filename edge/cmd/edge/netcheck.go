package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/netcheck"
	"hedgerow/internal/cli"
	"hedgerow/internal/obfs"
	"hedgerow/internal/render"
	"hedgerow/internal/stack"
	"hedgerow/nat/portmap"
	"hedgerow/protocol"
	"hedgerow/transport/stream"
)

// netcheckFlags are the options of "edge netcheck".
func netcheckFlags() []ucli.Flag {
	return append(append(readFlags(), obfs.Flags(obfsVariable)...),
		&ucli.StringSliceFlag{Name: "l", Aliases: []string{"supernode"}, Usage: "`HOST:PORT` of a supernode; may be repeated; default: those of the running edge"},
		&ucli.StringSliceFlag{Name: "stun", Usage: "`HOST:PORT` of a STUN server; may be repeated"},
		&ucli.StringFlag{Name: "http-proxy", Usage: "`URL` of the proxy for TLS, http://[USER:PASSWORD@]HOST:PORT, or off; default: that of HTTPS_PROXY"},
	)
}

// netcheck is "edge netcheck".
func (cmd *command) netcheck(c *ucli.Context) error {
	cfg, err := cmd.netcheckConfig(c)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	report := cmd.probe(ctx, cfg)
	if ctx.Err() != nil {
		return cli.Errorf(cli.Failure, "", "interrupted before it was over.")
	}
	if c.Bool("json") {
		err = cli.PrintJSON(cmd.streams.Out, report)
	} else {
		err = render.Netcheck(cmd.streams.Out, report)
	}
	if err == nil && !report.Reachable() {
		err = cli.Errorf(cli.Unreachable, "", "no server answered.")
	}
	return err
}

// netcheckConfig reads the command line. The running edge is asked for what it
// does not say.
func (cmd *command) netcheckConfig(c *ucli.Context) (netcheck.Config, error) {
	var proxy streamChoice
	var faults cli.Faults
	names, obfuscated, device := cli.Strings(c, "l"), []string(nil), ""
	key, err := obfs.Read(c, cmd.place.Env, obfsVariable)
	faults.Add(err)
	if len(names) == 0 {
		if names, obfuscated, device, err = cmd.supernodesOf(c); err != nil {
			return netcheck.Config{}, err
		}
	} else if len(key.Bytes) > 0 {
		obfuscated = names
	}
	cli.Warn(cmd.streams.Err, nil, cli.LogChoice{}, key.Warnings)
	cfg := netcheck.Config{Host: netcheck.System(), Map: func(ctx context.Context) portmap.Report {
		return portmap.Probe(ctx, portmap.Config{Gateway: portmap.SystemGateway(func(ifname string) bool {
			return ifname == device || stack.IsTunnel(ifname)
		})})
	}}
	for _, name := range names {
		sn, err := parseSupernode(name)
		faults.Add(err)
		server := netcheck.Server{Name: sn.Name, Host: sn.Host, Port: sn.Port, Obfuscated: slices.Contains(obfuscated, name)}
		server.Closed = server.Obfuscated && len(key.Bytes) == 0
		cfg.Supernodes = append(cfg.Supernodes, server)
	}
	for _, name := range cli.Strings(c, "stun") {
		server, err := parseSTUN(name)
		faults.Add(err)
		host, port, _ := net.SplitHostPort(server)
		n, _ := strconv.ParseUint(port, 10, 16) // parseSTUN has looked
		cfg.STUN = append(cfg.STUN, netcheck.Server{Name: name, Host: host, Port: uint16(n)})
	}
	if n := len(cfg.Supernodes); n > protocol.MaxEdgeSupernodes {
		faults.Addf("-l was given %d times: %d supernodes are the most", n, protocol.MaxEdgeSupernodes)
	}
	if n := len(cfg.STUN); n > mostSTUN {
		faults.Addf("--stun was given %d times: %d servers are the most", n, mostSTUN)
	}
	proxy.parse(c, &faults)
	if len(key.Bytes) > 0 {
		cfg.Covers = obfsCovers{new(dataplane.Covers), crypto.HelloMask(key.Bytes)}
		proxy.Path = crypto.ObfsStreamPath(key.Bytes)
	}
	cfg.Dial = proxy.try
	return cfg, faults.Err()
}

// obfsCovers hide STUN under one obfuscation key.
type obfsCovers struct {
	*dataplane.Covers
	mask *crypto.Mask
}

// Add is of netcheck.Covers.
func (c obfsCovers) Add(server netip.AddrPort) { c.Set(server, c.mask) }

// supernodesOf asks the running edge for its supernodes, for which of them it has an
// obfuscation key, and for the name of its device. With STUN servers to ask there need be none.
func (cmd *command) supernodesOf(c *ucli.Context) (names, obfuscated []string, device string, err error) {
	_, named := cli.String(c, "control")
	alone := len(cli.Strings(c, "stun")) > 0
	if !named && len(cmd.place.Sockets()) == 0 {
		if alone {
			return nil, nil, "", nil
		}
		return nil, nil, "", cli.Errorf(cli.Usage, "", "no supernode to ask, and no edge is running here that has one: name one with -l HOST:PORT")
	}
	socket, err := cmd.socket(c)
	if err != nil {
		return nil, nil, "", err
	}
	v, err := socket.Status(c.Context)
	switch {
	case err != nil && alone && !named:
		return nil, nil, "", nil
	case err != nil:
		return nil, nil, "", callError(socket, err)
	}
	for _, sn := range v.Supernodes {
		if names = append(names, sn.Name); sn.Obfuscated {
			obfuscated = append(obfuscated, sn.Name)
		}
	}
	return names, obfuscated, v.Device, nil
}

// try opens a stream to a supernode at one port and closes it.
func (s *streamChoice) try(ctx context.Context, to netcheck.Server, port uint16) error {
	conn, err := stream.Dial(ctx, stream.DialConfig{
		Host: to.Host, Port: to.Port, Path: s.pathOf(to), Ports: []uint16{port}, Proxy: s.Proxy, NoProxy: s.Direct, Deliver: func([]byte) {},
	})
	if err != nil {
		return err
	}
	conn.Close()
	return nil
}

// pathOf returns the path of streams to a supernode; empty: the usual one.
func (s *streamChoice) pathOf(to netcheck.Server) string {
	if !to.Obfuscated {
		return ""
	}
	return s.Path
}
