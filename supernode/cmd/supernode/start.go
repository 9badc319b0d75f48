package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/handover"
	"hedgerow/internal/service"
	"hedgerow/internal/upgrade"
	"hedgerow/internal/vmgen"
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
	before, err := upgrade.Inherit(program, handoverVariable, cmd.place.Env(handoverVariable))
	if err != nil {
		return err
	}
	if before != nil {
		o.Obfs.Inherit(before)
	}
	cli.Warn(cmd.streams.Err, log, o.Log, o.Obfs.Warnings)
	activated := service.TakeActivated()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
	ctx, stop := service.UntilSignal(c.Context, log, "stopping")
	defer stop()
	for ; ; before = nil {
		p := &process{cmd: cmd, options: o, log: log, before: before, activated: activated, service: service.New(service.Config{
			Program: program, Instance: program, Second: "-p PORT, --state-dir DIR and --control PATH", Log: log,
		})}
		forked, err := p.serve(ctx)
		if !forked || err != nil {
			return err
		}
		// A copy of this machine has the counters of every session, too. A start has none,
		// counts one more boot, and sends a RESET to whoever is registered.
		log.Warn("this machine was restored, cloned or suspended, or its clock set forward: all sessions begin anew")
		o.Port = p.socket.LocalAddr().Port()
	}
}

// heapGrowth is by how much, in per cent, the heap grows before garbage is collected. It is
// half of what Go does by itself: most of the heap is edges, which stay, little becomes
// garbage, and a small machine has to hold what is in between. GOGC in the environment is
// what the operator wants.
const heapGrowth = 50

// watchForks calls forked whenever this machine may be a copy of another one.
func watchForks(ctx context.Context, forked func()) {
	var told sync.WaitGroup
	told.Go(func() { _ = vmgen.Watch(ctx, forked) }) // without it the clock has to do
	vmgen.WatchClock(ctx, vmgen.WatchSet, forked)
	told.Wait()
}

// serve opens everything and runs until ctx ends, or until the machine may be a copy.
func (p *process) serve(ctx context.Context) (forked bool, err error) {
	defer p.service.Close()
	if p.before != nil {
		defer func() {
			if err != nil {
				p.before.Fail(err)
			}
		}()
	}
	if err := p.open(); err != nil {
		return false, err
	}
	running, end := context.WithCancel(ctx)
	defer end()
	var copied atomic.Bool
	var watching sync.WaitGroup
	if p.cmd.forks != nil {
		watching.Go(func() { p.cmd.forks(running, func() { copied.Store(true); end() }) })
	}
	err = p.run(running)
	end()
	watching.Wait()
	return copied.Load() && ctx.Err() == nil, err
}

// process is one supernode while it is put together and runs.
type process struct {
	cmd     *command
	options options
	log     *slog.Logger
	service *service.Service
	before  *handover.Predecessor // nil: there is none

	activated service.Activated

	socket    *transport.UDP
	second    *transport.UDP  // nil: none
	listeners []net.Listener  // of TCP, for streams
	turn      *supernode.TURN // nil: none
	http      net.Listener    // of TCP, for monitors; nil: none
	missing   string          // a sentence about what was not to be had; empty: nothing
	id        *crypto.Identity
	rules     *ruleBook
	ledgers   ledgers
}

// open opens everything on the machine that the supernode needs.
func (p *process) open() (err error) {
	if p.before != nil {
		err = p.adopt()
	} else {
		err = p.openOwn()
	}
	if err != nil {
		return err
	}
	if p.id, err = supernode.LoadIdentity(p.options.StateDir); err != nil {
		return service.StateError(err)
	}
	if p.rules, err = openRules(p.options.Rules, p.options.StateDir, p.log); err != nil || p.before != nil {
		return err
	}
	if err := p.openLedgers(); err != nil {
		return err
	}
	return p.service.OpenControl(p.cmd.place, p.options.Control, controlSocket)
}

// openLedgers reads what lets edges in that no rule does.
func (p *process) openLedgers() (err error) {
	if p.ledgers, err = openLedgers(p.options.StateDir, p.log); err != nil {
		return service.StateError(err)
	}
	return nil
}

// openOwn opens the ports, and takes the lock of the state directory.
func (p *process) openOwn() (err error) {
	if err := p.openPorts(); err != nil {
		return err
	}
	p.leaveUnused()
	if p.turn, err = p.options.TURN.open(); err != nil {
		return err
	}
	if p.turn != nil {
		p.service.OnClose(func() { _ = p.turn.Conn.Close() })
	}
	if err := p.openHTTP(); err != nil {
		return err
	}
	return p.service.Lock(p.options.StateDir)
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
	if p.socket, err = p.openFirst(); err != nil {
		return err
	}
	p.service.OnClose(func() { _ = p.socket.Close() })
	first := p.socket.LocalAddr().Port()
	if p.second, p.missing, err = p.openSecond(first, strict); err != nil {
		return err
	}
	if p.missing != "" {
		p.log.Warn(p.missing)
	}
	if p.second != nil {
		p.service.OnClose(func() { _ = p.second.Close() })
	}
	if p.listeners, err = p.openListeners(first); err != nil {
		return err
	}
	for _, l := range p.listeners {
		p.service.OnClose(func() { _ = l.Close() })
	}
	return nil
}

// openFirst opens the UDP port, or uses that of the service manager.
func (p *process) openFirst() (*transport.UDP, error) {
	if f := p.activated.Find(false, secondFile, true); f != nil {
		return adoptActivated(f, socketOptions(p.options, p.log))
	}
	return openSocket(p.options, p.log)
}

// openSecond opens the second UDP port, or uses that of the service manager.
func (p *process) openSecond(first uint16, strict bool) (u *transport.UDP, missing string, err error) {
	if f := p.activated.Find(false, secondFile, false); f != nil {
		u, err = adoptActivated(f, transport.Options{Log: p.log})
		return u, "", err
	}
	return openAlternate(p.options, first, strict, p.log)
}

// openListeners opens the TCP ports, or uses those of the service manager.
func (p *process) openListeners(first uint16) (listeners []net.Listener, err error) {
	files := p.activated.All(true, secondFile)
	if len(files) == 0 || p.options.Streams.Off {
		return p.options.Streams.listen(p.options.Address, first)
	}
	for _, f := range files {
		l, err := net.FileListener(f)
		if err != nil {
			for _, opened := range listeners {
				_ = opened.Close()
			}
			return nil, cli.Errorf(cli.Failure, "", "use the TCP port of the service manager: %w", err)
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// leaveUnused says which sockets of the service manager nothing here uses, and closes them. The
// service manager has them open still, so that what comes there waits for nobody.
func (p *process) leaveUnused() {
	used := []*os.File{p.activated.Find(false, secondFile, true), p.activated.Find(false, secondFile, false)}
	if !p.options.Streams.Off {
		used = append(used, p.activated.All(true, secondFile)...)
	}
	for _, s := range p.activated {
		if !slices.Contains(used, s.File) {
			p.log.Warn("a socket of the service manager is not used: remove it from its unit; a supernode has one UDP port, one with the name second, and any number for streams", "unit", s.Name, "address", s.Address(), "stream", s.Stream)
			_ = s.File.Close()
		}
	}
}

// adoptActivated uses a UDP port of the service manager.
func adoptActivated(f *os.File, opts transport.Options) (*transport.UDP, error) {
	u, err := transport.AdoptUDP(f, opts)
	if err != nil {
		return nil, cli.Errorf(cli.Failure, "", "use the UDP port of the service manager: %w", err)
	}
	return u, nil
}

// run serves until ctx ends.
func (p *process) run(ctx context.Context) error {
	cfg := supernode.Config{
		Conn: p.socket, StateDir: p.options.StateDir, Pool: p.options.Pool, Limits: p.options.Limits,
		TURN: p.turn, Rules: p.rules.rules, Log: p.log, Version: cli.Release, Cover: supernode.Cover{ObfsKey: p.options.Obfs.Bytes},
	}
	if p.second != nil { // a nil *UDP in an interface would not be nil
		cfg.Alternate = p.second
	}
	if len(p.listeners) > 0 {
		if err := p.addStreams(&cfg); err != nil {
			return err
		}
	}
	s, err := p.server(cfg)
	if err != nil {
		return err
	}
	s.Note(func() string { return p.missing })
	s.Note(p.service.ControlNote)
	p.announce()
	p.log.Info("started", "version", cli.Release, "pid", os.Getpid(), "key", supernode.KeyText(p.id.Static))
	p.log.Info("configuration", p.configuration()...)
	began := time.Now()
	defer func() { p.log.Info("stopped", "after", time.Since(began).Round(time.Second)) }()
	g := governed{s, p.rules, invitations{s, p.ledgers.invites, p.rules, p.socket.LocalAddr().Port(), p.options.Obfs.Bytes}}
	u := p.upgrader(s)
	moving := admin.Movable(admin.Handler(g, g), moveServer(s, p.socket.LocalAddr().Port()))
	handler := admin.Copyable(admin.Rotatable(moving, rotateServer(s)), func(ctx context.Context) ([]byte, error) {
		b, err := copyOf(ctx, s, p.ledgers.invites, p.rules.content())
		p.log.Info("a backup was asked for, which has the private key", "bytes", len(b), "err", err)
		return b, err
	})
	work := func(ctx context.Context) error {
		defer u.LetGo()
		return s.Run(ctx)
	}
	monitored := func(ctx context.Context) { p.serveHTTP(ctx, s) }
	if err := p.service.Run(ctx, u.Beside(handler), work, g.watchSignals, monitored, p.ledgers.invites.Run, p.ledgers.users.Run); err != nil {
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
	if p.http != nil {
		fmt.Fprintf(out, "monitors   http://%s/metrics\n", p.http.Addr())
	}
	fmt.Fprintf(out, "identity   edges pin it with -l %s#%s\n", p.reachedAt(at), supernode.KeyText(p.id.Static))
}

// reachedAt returns where edges reach the supernode, which listens at an address, as far as
// it knows.
func (p *process) reachedAt(at netip.AddrPort) string {
	host := cmp.Or(p.options.Public, "HOST")
	if p.options.Public == "" && !at.Addr().IsUnspecified() {
		host = at.Addr().String()
	}
	return net.JoinHostPort(host, strconv.Itoa(int(at.Port())))
}

// openSocket opens the UDP socket; a port that is in use is E16.
func openSocket(o options, log *slog.Logger) (*transport.UDP, error) {
	conn, err := transport.ListenUDP(o.Port, socketOptions(o, log))
	if err != nil {
		return nil, cli.Failed(err, "")
	}
	return conn, nil
}

// socketOptions are the options of the UDP socket.
func socketOptions(o options, log *slog.Logger) transport.Options {
	opts := o.Without
	opts.Log, opts.Address = log, o.Address
	opts.KeepProcessor = o.Streams.Off // otherwise the reader of socket and streams does it
	return opts
}
