package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// patience is how long anything may take beyond what was planned before it
// counts as broken.
const patience = 15 * time.Second

// A side is one end of what is measured.
type side struct {
	host *lab.Host
	site *lab.Host    // where its edge runs, on a bridge that the host is on; nil: on the host
	addr netip.Addr   // by which the other side reaches it
	edge *rig.Program // nil where there is none
}

func (s *side) at(port uint16) netip.AddrPort { return netip.AddrPortFrom(s.addr, port) }

// A scene is the namespaces of one variant, with its programs in them.
type scene struct {
	life  context.Context // of the programs
	lab   *lab.Lab
	rig   rig.Rig
	a, b  side
	super *rig.Program // nil where there is none
	cpus  []int        // whose time is counted
	run   uint64       // trials of datagrams so far
	order bool         // the cables keep the order of flows
}

// stage makes the scene of a variant. The caller closes it, also after an
// error.
func stage(ctx context.Context, c settings, v variant) (s *scene, err error) {
	s = &scene{life: ctx, rig: rig.Rig{Programs: c.programs}, cpus: c.cpus, order: c.keepOrder}
	if s.rig.Dir, err = os.MkdirTemp("", "hedgerow-bench-"); err != nil {
		return s, err
	}
	if s.lab, err = lab.New(v.name); err != nil {
		return s, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	if err := v.build(ctx, s, v); err != nil {
		return s, err
	}
	return s, s.meet(ctx, v)
}

// close ends every program and takes namespaces and files away.
func (s *scene) close() error {
	for _, p := range s.programs() {
		// The lab ends what does not end by itself.
		_ = p.Signal(os.Interrupt)
	}
	var err error
	if s.lab != nil {
		err = s.lab.Close()
	}
	if s.rig.Dir == "" {
		return err
	}
	return errors.Join(err, os.RemoveAll(s.rig.Dir))
}

// programs are the edges and the supernode.
func (s *scene) programs() (list []*rig.Program) {
	for _, p := range []*rig.Program{s.super, s.a.edge, s.b.edge} {
		if p != nil {
			list = append(list, p)
		}
	}
	return list
}

func (s *scene) pids() (list []int) {
	for _, p := range s.programs() {
		list = append(list, p.Pid())
	}
	return list
}

// logs is what the programs said, for one who wonders what went wrong.
func (s *scene) logs() (text string) {
	for _, p := range s.programs() {
		text += fmt.Sprintf("\n%s said:\n%s", p.Name, p.Log())
	}
	return text
}

// islands makes the two hosts.
func (s *scene) islands() (err error) {
	if s.a.host, err = s.island("a"); err != nil {
		return err
	}
	s.b.host, err = s.island("b")
	return err
}

func (s *scene) island(name string) (*lab.Host, error) {
	h, err := s.lab.Island(name)
	if err == nil && s.order {
		err = h.KeepOrder(s.cpus...)
	}
	return h, err
}

// Addresses of the cables (RFC 5737), and those inside.
const (
	cableA, cableB = "192.0.2.1", "192.0.2.2"
	relayA, superA = "192.0.2.1", "192.0.2.2"
	superB, relayB = "198.51.100.2", "198.51.100.1"
	innerA, innerB = "10.77.0.1", "10.77.0.2"
	bits           = "/24"
	superPort      = ":7654"
	bridge         = "br0"
)

// inside says by which addresses the sides reach each other.
func (s *scene) inside(a, b string) {
	s.a.addr, s.b.addr = netip.MustParseAddr(a), netip.MustParseAddr(b)
}

// buildCable is a cable and nothing else.
func buildCable(_ context.Context, s *scene, _ variant) error {
	if err := s.islands(); err != nil {
		return err
	}
	s.inside(cableA, cableB)
	return s.lab.Cable(s.a.host, s.b.host, cableA+bits, cableB+bits)
}

// buildVXLAN is a cable with the kernel's VXLAN on it.
func buildVXLAN(ctx context.Context, s *scene, v variant) error {
	if err := buildCable(ctx, s, v); err != nil {
		return err
	}
	s.inside(innerA, innerB)
	return s.lab.VXLAN(s.a.host, s.b.host, innerA+bits, innerB+bits)
}

// buildDirect is two edges on a cable. Their supernode runs beside the first
// one and has nothing to do.
func buildDirect(ctx context.Context, s *scene, v variant) error {
	if err := buildCable(ctx, s, v); err != nil {
		return err
	}
	return s.enter(ctx, v, s.a.host, cableA+superPort, cableA+superPort)
}

// buildLANs is two hosts without hedgerow, each with a cable to a machine whose bridge
// an edge joins, and a cable between these two.
func buildLANs(ctx context.Context, s *scene, v variant) (err error) {
	if err := s.islands(); err != nil {
		return err
	}
	s.inside(innerA, innerB)
	for _, e := range []*side{&s.a, &s.b} {
		if e.site, err = s.island(e.host.Name() + "-site"); err != nil {
			return err
		}
		if err := e.plug(ctx, v.mtu); err != nil {
			return err
		}
	}
	if err := s.lab.Cable(s.a.site, s.b.site, cableA+bits, cableB+bits); err != nil {
		return err
	}
	return s.enter(ctx, v, s.a.site, cableA+superPort, cableA+superPort)
}

// plug makes a bridge on the site of a side, and a cable of an MTU from it to the host.
func (s *side) plug(ctx context.Context, mtu int) error {
	at := []struct {
		host *lab.Host
		text string
	}{
		{s.site, fmt.Sprintf(`ip link add %[1]s type bridge mcast_snooping 0
			ip link add lan0 mtu %[2]d type veth peer name lan0 mtu %[2]d netns %[3]s
			ip link set lan0 master %[1]s; ip link set lan0 up; ip link set %[1]s up`, bridge, mtu, s.host.Path())},
		{s.host, fmt.Sprintf("ip addr add %v%s dev lan0; ip link set lan0 up", s.addr, bits)},
	}
	for _, c := range at {
		if out, err := c.host.Command(ctx, "sh", "-ec", c.text).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", c.host.Name(), err, out)
		}
	}
	return nil
}

// buildRelay is two edges that each have a cable to the supernode's host, which
// forwards nothing.
func buildRelay(ctx context.Context, s *scene, v variant) error {
	if err := s.islands(); err != nil {
		return err
	}
	middle, err := s.island("super")
	if err != nil {
		return err
	}
	if err := s.lab.Cable(s.a.host, middle, relayA+bits, superA+bits); err != nil {
		return err
	}
	if err := s.lab.Cable(s.b.host, middle, relayB+bits, superB+bits); err != nil {
		return err
	}
	return s.enter(ctx, v, middle, superA+superPort, superB+superPort)
}

// enter starts a supernode on a host, and an edge on each side that finds it by
// that address.
func (s *scene) enter(ctx context.Context, v variant, at *lab.Host, forA, forB string) (err error) {
	keys, err := s.keys(v.transform)
	if err != nil {
		return err
	}
	if s.super, err = s.rig.Supernode(s.life, at, "super"); err != nil {
		return err
	}
	if err := s.super.Await(ctx, "listening on"); err != nil {
		return err
	}
	s.inside(innerA, innerB)
	ends := []struct {
		*side
		name, super string
	}{{&s.a, "a", forA}, {&s.b, "b", forB}}
	for _, e := range ends {
		machine, more := e.host, []string{"-l", e.super, "-a", "static:" + e.addr.String() + bits}
		if e.site != nil {
			machine, more = e.site, []string{"-l", e.super, "--bridge", bridge}
		}
		if e.edge, err = s.rig.Edge(s.life, machine, e.name, slices.Concat(more, keys, v.args)...); err != nil {
			return err
		}
	}
	for _, p := range []*rig.Program{s.a.edge, s.b.edge} {
		if err := p.Await(ctx, "ready"); err != nil {
			return err
		}
	}
	return nil
}

// keys writes a community file whose one key is used with a transform, and
// returns the arguments that name it. Without a transform there is no key.
func (s *scene) keys(transform string) ([]string, error) {
	if transform == "" {
		return []string{"-c", "bench", "--insecure-no-encryption"}, nil
	}
	c, err := crypto.GenerateCommunity("bench", 1, 0, time.Now(), rand.Reader)
	if err != nil {
		return nil, err
	}
	c.Epochs[0].Transform, c.Epochs[0].ChaCha = transform, transform == crypto.TransformChaCha
	text, err := c.AppendText(nil)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(s.rig.Dir, "community")
	return []string{"--community-file", path}, os.WriteFile(path, text, 0o600)
}

// meet waits until the sides reach each other by the path of the variant.
func (s *scene) meet(ctx context.Context, v variant) error {
	if err := s.greet(ctx); err != nil || v.path == "" {
		return err
	}
	if _, err := s.rig.AwaitPath(ctx, s.a.edge, s.b.edge.Name, v.path); err != nil {
		return err
	}
	_, err := s.rig.AwaitPath(ctx, s.b.edge, s.a.edge.Name, v.path)
	return err
}

// greet pings until there is an answer.
func (s *scene) greet(ctx context.Context) error {
	for {
		short, cancel := context.WithTimeout(ctx, patience/100)
		_, err := s.a.host.Ping(short, s.b.addr)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the two sides do not reach each other: %w", err)
		}
	}
}

// memory is what the larger edge has resident and had at most, in MB.
func (s *scene) memory() (now, most float64, err error) {
	for _, p := range []*rig.Program{s.a.edge, s.b.edge} {
		n, m, err := memory(p.Pid())
		if err != nil {
			return 0, 0, err
		}
		now, most = max(now, n), max(most, m)
	}
	return now, most, nil
}
