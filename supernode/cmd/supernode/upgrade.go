package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/handover"
	"hedgerow/internal/localapi"
	"hedgerow/internal/service"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

const (
	// handoverVariable tells a process that another one hands over to it: it names the
	// files that it inherits.
	handoverVariable = "SUPERNODE_HANDOVER"
	// successorSilence is how long a successor may say nothing.
	successorSilence = 5 * time.Second
)

// The names under which sockets are handed over.
const (
	udpFile    = "udp"
	secondFile = "second"
	tcpFile    = "tcp"
	turnFile   = "turn"
	httpFile   = "http"
)

// upgradeCommand is "supernode upgrade [--binary PATH]".
func upgradeCommand(cmd *command) *ucli.Command {
	return &ucli.Command{
		Name: "upgrade", Usage: "replace the running supernode by a new one that goes on with its sockets and sessions",
		Flags: []ucli.Flag{
			&ucli.StringFlag{Name: "binary", Usage: "`PATH` of the new program; default: where the running one was started from"},
			cli.JSONFlag(), cli.ControlFlag(""),
		},
		Action: cmd.upgrade,
	}
}

func (cmd *command) upgrade(c *ucli.Context) error {
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	var u admin.Upgrade
	if binary, given := cli.String(c, "binary"); given {
		if u.Binary, err = filepath.Abs(binary); err != nil {
			return cli.Errorf(cli.Failure, "", "%w", err)
		}
	}
	done, err := admin.Socket(path).Upgrade(c.Context, u)
	if err != nil {
		return cli.CallError(program, path, err)
	}
	if cli.Bool(c, "json") {
		return cli.PrintJSON(cmd.streams.Out, done)
	}
	_, err = fmt.Fprintf(cmd.streams.Out, "supernode %s serves now, pid %d: it has %d edges and %d sessions. Nothing was read for %d ms; what came meanwhile has waited.\n",
		done.Version, done.Pid, done.Edges, done.Sessions, time.Duration(done.PauseS*float64(time.Second)).Milliseconds())
	return err
}

// inherit returns the process that hands over to this one, nil if none does.
func (cmd *command) inherit() (*handover.Predecessor, error) {
	names := cmd.place.Env(handoverVariable)
	if names == "" {
		return nil, nil
	}
	p, err := handover.Inherit(names)
	if err != nil {
		return nil, cli.Errorf(cli.Usage, "", "%s is set, and %w: it is for 'supernode upgrade' alone", handoverVariable, err)
	}
	return p, nil
}

// adopt is openOwn for what a predecessor hands over. Its sockets are those that there are,
// whatever the options say.
func (p *process) adopt() error {
	defer p.before.CloseFiles()
	var err error
	if p.socket, err = p.adoptUDP(udpFile, socketOptions(p.options, p.log)); err != nil {
		return err
	}
	if p.socket == nil {
		return cli.Errorf(cli.Failure, "", "the UDP port was not handed over")
	}
	if p.second, err = p.adoptUDP(secondFile, transport.Options{Log: p.log}); err != nil {
		return err
	}
	if p.second == nil { // if it was wanted it may be free by now
		if p.second, p.missing, err = openAlternate(p.options, p.socket.LocalAddr().Port(), false, p.log); err != nil {
			return err
		}
	}
	for f := p.before.Take(tcpFile); f != nil; f = p.before.Take(tcpFile) {
		l, err := p.adoptTCP(f)
		if err != nil {
			return err
		}
		p.listeners = append(p.listeners, l)
	}
	if f := p.before.Take(httpFile); f != nil {
		if p.http, err = p.adoptTCP(f); err != nil {
			return err
		}
	}
	if f := p.before.Take(turnFile); f != nil {
		conn, err := net.FilePacketConn(f)
		_ = f.Close()
		if err != nil {
			return cli.Errorf(cli.Failure, "", "use the TURN port that was handed over: %w", err)
		}
		p.service.OnClose(func() { _ = conn.Close() })
		p.turn = p.options.TURN.serveAt(conn)
	}
	return p.service.Inherit(p.before, p.cmd.place, p.options.Control, controlSocket)
}

// adoptTCP makes a listener of a file, which it closes.
func (p *process) adoptTCP(f *os.File) (net.Listener, error) {
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, cli.Errorf(cli.Failure, "", "use the TCP port that was handed over: %w", err)
	}
	p.service.OnClose(func() { _ = l.Close() })
	return l, nil
}

// adoptUDP takes a UDP socket from the predecessor; nil if it has none.
func (p *process) adoptUDP(name string, opts transport.Options) (*transport.UDP, error) {
	f := p.before.Take(name)
	if f == nil {
		return nil, nil
	}
	defer f.Close()
	u, err := transport.AdoptUDP(f, opts)
	if err != nil {
		return nil, cli.Errorf(cli.Failure, "", "%w", err)
	}
	p.service.OnClose(func() { _ = u.Close() })
	return u, nil
}

// server makes the supernode: a new one, or one that goes on where a predecessor stopped.
func (p *process) server(cfg supernode.Config) (*supernode.Server, error) {
	if p.before == nil {
		cfg.Tokens = p.invites
		s, err := supernode.New(cfg)
		if err != nil {
			return nil, service.StateError(err) // the options have been checked
		}
		return s, nil
	}
	state, err := p.before.State(cli.Release)
	if err != nil {
		return nil, cli.Errorf(cli.Failure, "", "%w", err)
	}
	if err := p.openInvites(); err != nil { // not before: they change with every edge that uses one
		return nil, err
	}
	cfg.Tokens = p.invites
	s, err := supernode.Resume(cfg, state, p.before.LetGo())
	if err == nil {
		err = p.before.Taken()
	}
	if err != nil {
		return nil, cli.Errorf(cli.Failure, "", "%w", err)
	}
	p.service.Own()
	return s, nil
}

// upgrader replaces a supernode by another process.
type upgrader struct {
	process *process
	server  *supernode.Server

	acting sync.RWMutex // held for reading by what changes something, and for one upgrade

	mu        sync.Mutex          // held for one upgrade
	successor *handover.Successor // nil: there is none, or none yet
}

// beside returns a handler that does upgrades beside what h does. What would change
// something meanwhile is refused: it would be done here, and a successor would not know.
func (u *upgrader) beside(h http.Handler) http.Handler {
	return admin.Upgradable(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			if !u.acting.TryRLock() {
				localapi.Refuse(w, errUpgrading)
				return
			}
			defer u.acting.RUnlock()
		}
		h.ServeHTTP(w, r)
	}), u.upgrade)
}

// errUpgrading says that it is not the time for an upgrade.
var errUpgrading = errors.New("an upgrade is under way: ask again in some seconds")

// upgrade is the action of the control socket. After an error this process serves on.
func (u *upgrader) upgrade(ctx context.Context, asked admin.Upgrade) (done admin.Upgraded, err error) {
	if uid, known := localapi.Caller(ctx); known && uid != 0 && uid != os.Geteuid() {
		return done, errors.New("only root and the user of the supernode may replace it")
	}
	if err := service.Replaceable(); err != nil {
		return done, err
	}
	if !u.mu.TryLock() {
		return done, errUpgrading
	}
	defer u.mu.Unlock()
	if u.successor != nil {
		return done, errUpgrading
	}
	if asked.Binary == "" {
		if asked.Binary, err = os.Executable(); err != nil {
			return done, fmt.Errorf("where this program is: %w", err)
		}
	}
	u.acting.Lock() // for good, if it succeeds
	if done, err = u.replace(asked.Binary); err != nil {
		u.acting.Unlock()
		u.process.log.Warn("the upgrade has failed, and this process serves on", "err", err)
		return done, fmt.Errorf("%w. The running supernode serves on as before", err)
	}
	u.process.log.Info("another process serves now", "pid", done.Pid, "version", done.Version)
	return done, nil
}

// replace starts a successor and hands over to it.
func (u *upgrader) replace(binary string) (done admin.Upgraded, err error) {
	files, err := u.process.files()
	defer func() {
		for _, f := range files {
			_ = f.File.Close()
		}
	}()
	if err != nil {
		return done, err
	}
	next, err := handover.Start(handover.Offer{
		Binary: binary, Args: os.Args, Variable: handoverVariable, Files: files, Silence: successorSilence,
	})
	if err != nil {
		return done, err
	}
	var stopped time.Time
	err = u.server.HandOver(func(state []byte) error {
		stopped = time.Now()
		if err := u.process.invites.Save(); err != nil {
			return fmt.Errorf("the invites cannot be written: %w", err)
		}
		return next.Give(state)
	})
	if err != nil {
		next.End()
		return done, err
	}
	u.successor = next
	u.process.service.HandedOver(next.Pid())
	status := u.server.Status()
	return admin.Upgraded{
		Pid: next.Pid(), Version: next.Release, Sessions: status.Sessions, Edges: status.Edges, PauseS: time.Since(stopped).Seconds(),
	}, nil
}

// letGo tells a successor that this process has closed its files.
func (u *upgrader) letGo() {
	if u.server == nil {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.successor != nil {
		u.successor.LetGo()
	}
}

// files returns what a successor inherits.
func (p *process) files() (files []handover.Named, err error) {
	add := func(name string, f *os.File, err error) error {
		if err == nil {
			files = append(files, handover.Named{Name: name, File: f})
		}
		return err
	}
	f, err := p.socket.File()
	if err := add(udpFile, f, err); err != nil {
		return files, err
	}
	if p.second != nil {
		f, err := p.second.File()
		if err := add(secondFile, f, err); err != nil {
			return files, err
		}
	}
	conns := make(map[string][]any)
	for _, l := range p.listeners {
		conns[tcpFile] = append(conns[tcpFile], l)
	}
	if p.turn != nil {
		conns[turnFile] = []any{p.turn.Conn}
	}
	if p.http != nil {
		conns[httpFile] = []any{p.http}
	}
	for name, list := range conns {
		for _, c := range list {
			of, ok := c.(syscall.Conn)
			if !ok {
				return files, fmt.Errorf("hand over %s: %w", name, errors.ErrUnsupported)
			}
			f, err := handover.Copy(of, name)
			if err := add(name, f, err); err != nil {
				return files, err
			}
		}
	}
	more, err := p.service.Files()
	return append(files, more...), err
}
