package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/service"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

// controlSocket is the name of the control socket in a runtime directory.
const controlSocket = "supernode.sock"

// start is "supernode" and "supernode run". It opens what it needs in the order
// in which the user can correct it: options, port, state, control socket.
func (cmd *command) start(c *ucli.Context) error {
	o, err := cmd.parseOptions(c)
	if err != nil {
		return err
	}
	log, err := cli.NewLog(cmd.streams.Err, o.Log)
	if err != nil {
		return err
	}
	ctx, stop := service.UntilSignal(c.Context, log, "stopping")
	defer stop()
	p := &process{cmd: cmd, options: o, log: log, service: service.New(service.Config{
		Program: program, Instance: program, Second: "-p PORT, --state-dir DIR and --control PATH", Log: log,
	})}
	defer p.service.Close()
	if err := p.open(); err != nil {
		return err
	}
	return p.run(ctx)
}

// process is one supernode while it is put together and runs.
type process struct {
	cmd     *command
	options options
	log     *slog.Logger
	service *service.Service

	socket    *transport.UDP
	second    *transport.UDP  // nil: none
	listeners []net.Listener  // of TCP, for streams
	turn      *supernode.TURN // nil: none
	id        *crypto.Identity
}

// open opens everything on the machine that the supernode needs.
func (p *process) open() (err error) {
	if err := p.openPorts(); err != nil {
		return err
	}
	if p.turn, err = p.options.TURN.open(); err != nil {
		return err
	}
	if p.turn != nil {
		p.service.OnClose(func() { _ = p.turn.Conn.Close() })
	}
	if err := p.service.Lock(p.options.StateDir); err != nil {
		return err
	}
	if p.id, _, err = p.service.Identity(filepath.Join(p.options.StateDir, supernode.IdentityFile)); err != nil {
		return err
	}
	return p.service.OpenControl(p.cmd.place, p.options.Control, controlSocket)
}

// portTries is how often the system chooses a port for -p 0.
const portTries = 30

// openPorts opens the ports of UDP and of streams. Where the system chooses the
// first one, it chooses again if those that follow from it are in use.
func (p *process) openPorts() error {
	for try := 1; ; try++ {
		again := p.options.Port == 0 && try < portTries
		err := p.openPortsOnce(again)
		if err == nil || !again || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		p.service.Close()
	}
}

// openPortsOnce fails without a second port: always if the user asked for it, and
// otherwise only if strict.
func (p *process) openPortsOnce(strict bool) (err error) {
	if p.socket, err = openSocket(p.options, p.log); err != nil {
		return err
	}
	p.service.OnClose(func() { _ = p.socket.Close() })
	first := p.socket.LocalAddr().Port()
	if p.second, err = openAlternate(p.options, first, strict, p.log); err != nil {
		return err
	}
	if p.second != nil {
		p.service.OnClose(func() { _ = p.second.Close() })
	}
	if p.listeners, err = p.options.Streams.listen(first); err != nil {
		return err
	}
	for _, l := range p.listeners {
		p.service.OnClose(func() { _ = l.Close() })
	}
	return nil
}

// run serves until ctx ends.
func (p *process) run(ctx context.Context) error {
	cfg := supernode.Config{
		Conn: p.socket, Identity: p.id, StateDir: p.options.StateDir, Pool: p.options.Pool,
		TURN: p.turn, Log: p.log, Version: cli.Release,
	}
	if p.second != nil { // a nil *UDP in an interface would not be nil
		cfg.Alternate = p.second
	}
	if len(p.listeners) > 0 {
		if err := p.addStreams(&cfg); err != nil {
			return err
		}
	}
	s, err := supernode.New(cfg)
	if err != nil {
		return service.StateError(err) // the options have been checked
	}
	p.announce()
	if err := p.service.Run(ctx, admin.Handler(s), s.Run); err != nil {
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	return nil
}

// addStreams puts the streams beside the socket.
func (p *process) addStreams(cfg *supernode.Config) error {
	sides := transport.NewSides()
	streams, err := p.newStreams(sides)
	if err != nil {
		return err
	}
	conn, err := sides.Reader(p.socket, true)
	if err != nil {
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	cfg.Conn, cfg.Streams = conn, streams
	p.service.OnClose(func() { _ = conn.Close() })
	return nil
}

// announce prints where the supernode listens and what edges may pin.
func (p *process) announce() {
	at := p.socket.LocalAddr()
	out := p.cmd.streams.Out
	fmt.Fprintf(out, "supernode %s  listening on UDP %s\n", cli.Release, at)
	for _, l := range p.listeners {
		fmt.Fprintf(out, "streams    listening on TCP %s (TLS)\n", l.Addr())
	}
	if p.turn != nil {
		fmt.Fprintf(out, "turn       listening on UDP %s, edges come to %s\n", p.turn.Conn.LocalAddr(), p.turn.Address)
	}
	fmt.Fprintf(out, "identity   edges pin it with -l HOST:%d#%s\n", at.Port(), supernode.KeyText(p.id.Static))
}

// openSocket opens the UDP socket; a port that is in use is E16.
func openSocket(o options, log *slog.Logger) (*transport.UDP, error) {
	opts := o.Without
	opts.Log = log
	opts.KeepProcessor = o.Streams.Off // otherwise the reader of socket and streams does it
	conn, err := transport.ListenUDP(o.Port, opts)
	if err != nil {
		return nil, cli.Failed(err, "")
	}
	return conn, nil
}
