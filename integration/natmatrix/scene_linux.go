package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

const (
	// patience is how long both edges may take until they are registered.
	patience = 60 * time.Second
	// rest is what an edge has after that to learn its own addresses.
	rest = 250 * time.Millisecond
	// poll is how often an edge is asked.
	poll = 20 * time.Millisecond
	// hops is how many routers the internet is: more than the TTL of a primer,
	// which has to die between the two homes.
	hops = 8
)

// Where the supernodes are (RFC 5737), and the edges on the overlay.
var (
	superAddrs = []string{"203.0.113.1", "203.0.113.2"}
	overlayA   = netip.MustParsePrefix("10.77.0.1/24")
	overlayB   = netip.MustParsePrefix("10.77.0.2/24")
	overlayC   = netip.MustParsePrefix("10.77.0.3/24")
)

const superPort = ":7654"

// An end is one of the two edges.
type end struct {
	*rig.Program
	overlay netip.Addr
}

// A scene is the lab of one run with its programs.
type scene struct {
	lab      *lab.Lab
	rig      rig.Rig
	ground   ground
	a, b     end
	programs []*rig.Program
}

// stage makes the scene of a cell and waits until both edges are registered.
// The caller closes it, also after an error.
func stage(ctx context.Context, programs rig.Programs, c cell) (s *scene, err error) {
	s = &scene{rig: rig.Rig{Programs: programs}}
	if s.rig.Dir, err = os.MkdirTemp("", "hedgerow-natmatrix-"); err != nil {
		return s, err
	}
	if s.lab, err = lab.New(c.name); err != nil {
		return s, err
	}
	if err := s.lab.Internet().SetHops(hops); err != nil {
		return s, err
	}
	if s.ground, err = c.lay(s.lab); err != nil {
		return s, err
	}
	ready, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.startSupernodes(ctx, ready, c.streams); err != nil {
		return s, err
	}
	if err := s.startEdges(ctx); err != nil {
		return s, err
	}
	for _, p := range s.programs[len(superAddrs):] {
		if err := registered(ready, p); err != nil {
			return s, err
		}
	}
	select {
	case <-time.After(rest):
		return s, nil
	case <-ctx.Done():
		return s, ctx.Err()
	}
}

// close ends every program and takes namespaces and files away.
func (s *scene) close() error {
	var err error
	if s.lab != nil {
		err = s.lab.Close()
	}
	if s.rig.Dir == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(s.rig.Dir))
}

// startSupernodes starts them and waits until they listen.
func (s *scene) startSupernodes(life, ready context.Context, streams bool) error {
	var more []string
	if streams {
		more = []string{"--tls-listen", "0.0.0.0:443"}
	}
	for i, address := range superAddrs {
		name := fmt.Sprint("super", i+1)
		host, err := s.lab.Host(name, address)
		if err != nil {
			return err
		}
		p, err := s.rig.Supernode(life, host, name, more...)
		if err != nil {
			return err
		}
		s.programs = append(s.programs, p)
	}
	for _, p := range s.programs {
		if err := p.Await(ready, "listening on"); err != nil {
			return err
		}
	}
	return nil
}

// startEdges starts the two edges, and the decoy where there is one. B and the
// decoy have the same port then.
func (s *scene) startEdges(life context.Context) (err error) {
	keys, err := s.keys()
	if err != nil {
		return err
	}
	start := func(h *lab.Host, overlay netip.Prefix, more ...string) (end, error) {
		args := []string{"--community-file", keys, "-a", "static:" + overlay.String(), "-v"}
		for _, a := range superAddrs {
			args = append(args, "-l", a+superPort)
		}
		p, err := s.rig.Edge(life, h, h.Name(), append(args, more...)...)
		if err != nil {
			return end{}, err
		}
		s.programs = append(s.programs, p)
		return end{p, overlay.Addr()}, nil
	}
	var same []string
	if s.ground.decoy != nil {
		same = []string{"-p", "7777"}
		if _, err = start(s.ground.decoy, overlayC, same...); err != nil {
			return err
		}
	}
	if s.a, err = start(s.ground.a, overlayA); err != nil {
		return err
	}
	s.b, err = start(s.ground.b, overlayB, same...)
	return err
}

// keys writes a community file. A passphrase would cost each edge a second.
func (s *scene) keys() (path string, err error) {
	c, err := crypto.GenerateCommunity("natmatrix", 1, 0, time.Now(), rand.Reader)
	if err != nil {
		return "", err
	}
	text, err := c.AppendText(nil)
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.rig.Dir, "community")
	return path, os.WriteFile(path, text, 0o600)
}

// registered waits until an edge is registered with all its supernodes.
func registered(ctx context.Context, p *rig.Program) error {
	var last control.Status
	for {
		status, err := control.Socket(p.Socket).Status(ctx)
		if err == nil {
			last = status
			missing := len(superAddrs)
			for _, sn := range status.Supernodes {
				if sn.State == control.StateRegistered {
					missing--
				}
			}
			if missing == 0 {
				return nil
			}
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return fmt.Errorf("%s is not registered after %v: %+v", p.Name, patience, last.Supernodes)
		}
	}
}

// peer asks an edge for one of its peers; the zero Peer: it is not known.
func (e end) peer(ctx context.Context, name string) (control.Peer, error) {
	peers, err := control.Socket(e.Socket).Peers(ctx)
	for _, p := range peers {
		if p.Name == name {
			return p, err
		}
	}
	return control.Peer{}, err
}

// logs is what the programs said, for one who wonders what went wrong.
func (s *scene) logs() (text string) {
	for _, p := range s.programs {
		text += fmt.Sprintf("\n%s said:\n%s", p.Name, p.Log())
	}
	return text
}
