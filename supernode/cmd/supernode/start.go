package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

// controlSocket is the name of the control socket in a runtime directory.
const controlSocket = "supernode.sock"

// start is "supernode" and "supernode run". It opens what it needs in the order
// in which a person can mend it: options, port, state, control socket.
func (cmd *command) start(c *ucli.Context) error {
	o, err := cmd.parseOptions(c)
	if err != nil {
		return err
	}
	log, err := cli.NewLog(cmd.streams.Err, o.Verbosity, o.LogFormat)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(c.Context, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second signal is no longer caught and ends the process at once.
	defer context.AfterFunc(ctx, stop)()
	p := &process{cmd: cmd, options: o, log: log}
	defer p.close()
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

	socket    *transport.UDP
	second    *transport.UDP  // nil: none
	listeners []net.Listener  // of TCP, for streams
	turn      *supernode.TURN // nil: none
	id        *crypto.Identity
	control   net.Listener
	release   []func() // in the order of opening
}

// open takes everything from the machine that the supernode needs.
func (p *process) open() (err error) {
	if err := p.openPorts(); err != nil {
		return err
	}
	if p.turn, err = p.options.TURN.open(); err != nil {
		return err
	}
	if p.turn != nil {
		p.release = append(p.release, func() { _ = p.turn.Conn.Close() })
	}
	unlock, err := cli.Lock(p.options.StateDir)
	if err != nil {
		return stateError(err)
	}
	p.release = append(p.release, unlock)
	if p.id, _, err = crypto.LoadIdentity(filepath.Join(p.options.StateDir, supernode.IdentityFile)); err != nil {
		return stateError(err)
	}
	return p.openControl()
}

// portTries is how often the system chooses a port for -p 0.
const portTries = 30

// openPorts opens the ports of UDP and of streams. Where the system chooses the
// first one, it chooses again if those that follow from it are taken.
func (p *process) openPorts() error {
	for try := 1; ; try++ {
		again := p.options.Port == 0 && try < portTries
		err := p.openPortsOnce(again)
		if err == nil || !again || !errors.Is(err, syscall.EADDRINUSE) {
			return err
		}
		p.close()
		p.release = nil
	}
}

// openPortsOnce fails for want of a second port that nobody asked for only if
// strict.
func (p *process) openPortsOnce(strict bool) (err error) {
	if p.socket, err = openSocket(p.options, p.log); err != nil {
		return err
	}
	p.release = append(p.release, func() { _ = p.socket.Close() })
	first := p.socket.LocalAddr().Port()
	if p.second, err = openAlternate(p.options, first, strict, p.log); err != nil {
		return err
	}
	if p.second != nil {
		p.release = append(p.release, func() { _ = p.second.Close() })
	}
	if p.listeners, err = p.options.Streams.listen(first); err != nil {
		return err
	}
	for _, l := range p.listeners {
		p.release = append(p.release, func() { _ = l.Close() })
	}
	return nil
}

// openControl makes the control socket.
func (p *process) openControl() error {
	path := p.options.Control
	if path == "" {
		dir, err := p.cmd.place.MakeRuntimeDir()
		if err != nil {
			return cli.Errorf(cli.Failure, "", "%w. Choose a place with --control PATH.", err)
		}
		path = filepath.Join(dir, controlSocket)
	}
	l, err := localapi.Listen(path)
	if errors.Is(err, localapi.ErrInUse) {
		return cli.Errorf(cli.Failure, "", "another supernode runs on this machine (%w). For a second one type -p PORT, --state-dir DIR and --control PATH.", err)
	}
	if err != nil {
		return cli.Errorf(codeOf(err), "", "%w. Choose another place with --control PATH.", err)
	}
	p.control = l
	p.release = append(p.release, func() { _ = l.Close() })
	return nil
}

// close gives everything back, the last first.
func (p *process) close() {
	for i := len(p.release) - 1; i >= 0; i-- {
		p.release[i]()
	}
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
		return stateError(err) // the options have been checked
	}
	p.announce()
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := localapi.ServeListener(serving, p.control, admin.Handler(s)); err != nil {
			p.log.Error("the control socket failed", "err", err)
		}
	}()
	err = s.Run(ctx)
	stop()
	<-served
	if err != nil {
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
	p.release = append(p.release, func() { _ = conn.Close() })
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

// openSocket opens the UDP socket; a port that is taken is E16.
func openSocket(o options, log *slog.Logger) (*transport.UDP, error) {
	opts := o.Without
	opts.Log = log
	opts.KeepProcessor = o.Streams.Off // else that is for who waits for both
	conn, err := transport.ListenUDP(o.Port, opts)
	if err != nil {
		return nil, &cli.Error{Code: codeOf(err), Text: err.Error(), Err: err}
	}
	return conn, nil
}

// stateError gives a failure with the state directory its exit code.
func stateError(err error) error {
	return cli.Errorf(codeOf(err), "", "%w. Choose another place with --state-dir DIR.", err)
}

func codeOf(err error) cli.Code {
	if errors.Is(err, fs.ErrPermission) {
		return cli.Permission
	}
	return cli.Failure
}
