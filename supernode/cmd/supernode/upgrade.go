package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/handover"
	"hedgerow/internal/service"
	"hedgerow/internal/upgrade"
	"hedgerow/supernode"
	"hedgerow/transport"
)

// handoverVariable tells a process that another one hands over to it: it names the files
// that it inherits.
const handoverVariable = "SUPERNODE_HANDOVER"

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
	return upgrade.Command(program, "sockets and sessions", cmd.streams.Out, cmd.findSocket, cli.ControlFlag(""))
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
		cfg.Proofs = p.ledgers.proofs()
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
	if err := p.openLedgers(); err != nil { // not before: they change with every edge that uses one
		return nil, err
	}
	cfg.Proofs = p.ledgers.proofs()
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

// upgrader returns what replaces the supernode by another process.
func (p *process) upgrader(s *supernode.Server) *upgrade.Upgrader {
	return upgrade.New(upgrade.Config{
		Program: program, Variable: handoverVariable, Service: p.service, Log: p.log, Files: p.files,
		HandOver: func(give func(state []byte) error) error {
			return s.HandOver(func(state []byte) error {
				if err := p.ledgers.invites.Save(); err != nil {
					return fmt.Errorf("the invites cannot be written: %w", err)
				}
				_ = p.ledgers.users.Save() // else passwords are looked at again
				return give(state)
			})
		},
		Count: func() (sessions, edges int) {
			status := s.Status()
			return status.Sessions, status.Edges
		},
	})
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
	if f, ok, err := p.options.Obfs.File(); ok || err != nil {
		if err != nil {
			return files, err
		}
		files = append(files, f)
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
	return files, nil
}
