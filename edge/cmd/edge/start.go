package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/internal/cli"
	"hedgerow/internal/handover"
	"hedgerow/internal/netwatch"
	"hedgerow/internal/render"
	"hedgerow/internal/service"
	"hedgerow/internal/stack"
	"hedgerow/internal/upgrade"
	"hedgerow/internal/vmgen"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/transport"
)

// handoverVariable tells a process that another one hands over to it: it names the files
// that it inherits.
const handoverVariable = "EDGE_HANDOVER"

// The names under which sockets are handed over.
const (
	udpFile   = "udp"
	guardFile = "guard"
)

// start is "edge" and "edge run". It opens what the edge needs in the order in
// which the user can correct it (options, keys, state, socket, device), so that
// nothing is created by a command line that was wrong.
func (cmd *command) start(c *ucli.Context) (err error) {
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
	ctx, stop := service.UntilSignal(c.Context, log, "leaving the community")
	defer stop()
	if before != nil {
		defer func() {
			if err != nil {
				before.Fail(err)
			}
		}()
	}
	if before != nil {
		o.Community.Obfs.Inherit(before)
	}
	useObfs(o.Supernodes, o.Community.Obfs)
	cli.Warn(cmd.streams.Err, log, o.Log, o.Community.Obfs.Warnings)
	key, in := o.Community.Key.inherit(before, cmd.streams.In)
	keys, err := key.load(ctx, o.Community.Name, in)
	if err != nil {
		return err
	}
	cli.Warn(cmd.streams.Err, log, o.Log, keys.warnings)
	m := &member{cmd: cmd, options: o, keys: keys, log: log, estate: estate{before: before, devices: openDevices{open: cmd.openTAP}}, own: new(bridge.Sockets), service: service.New(service.Config{
		Program: program, Instance: "edge of community " + strconv.Quote(keys.Name), Second: "--state-dir DIR and --control PATH", Log: log,
	})}
	defer m.service.Close()
	defer m.estate.devices.close()
	if err := m.open(); err != nil {
		return err
	}
	return m.run(ctx)
}

// member is one edge while it is put together and runs.
type member struct {
	cmd     *command
	options options
	keys    community
	log     *slog.Logger
	service *service.Service
	estate  estate

	state      string // the community's own state directory
	id         *crypto.Identity
	notes      []string // about the start, for status
	device     *device
	own        *bridge.Sockets // those of the underlay
	queues     []dataplane.Queue
	links      memberLinks
	transports underlay.Transports
	report     *render.Reporter
}

// estate is what a successor gets, and a predecessor has left.
type estate struct {
	before  *handover.Predecessor // nil: there is none
	devices openDevices
	sockets []*transport.UDP
}

// memberLinks are the edge's links, and what the user has run when they change.
type memberLinks struct {
	edge.Links
	hooks *hooks // nil: nothing
}

// open opens everything on the machine that the edge needs.
func (m *member) open() error {
	m.state = filepath.Join(m.options.StateDir, cli.FileName(m.keys.Name))
	with := m.options.Queues.Without.socket
	with.Log, with.Binding = m.log, m.options.Nearby.Underlay
	if m.estate.before == nil {
		if err := m.service.Lock(m.state); err != nil {
			return err
		}
	} else if err := m.adopt(with); err != nil {
		return err
	}
	identity := m.cmd.identityDir(m.state)
	found, err := identity.open()
	if err != nil {
		return service.StateError(err)
	}
	m.id = found.id
	if found.left != "" {
		m.note(fmt.Sprintf("the state directory %s comes from another machine: this edge has a new identity, %s, and the old one is kept in %s. "+
			"If no other machine uses that one, stop this edge and type: %s identity adopt -c %s", m.state, found.id.ShortID(), found.left, program, strconv.Quote(m.keys.Name)))
	}
	if m.estate.before == nil {
		if m.estate.sockets, err = openSockets(m.options.Queues.Port, m.options.Queues.Count, with, m.state); err != nil {
			return err
		}
	}
	for _, s := range m.estate.sockets {
		m.own.OpenUDP(s.LocalAddr().Port())
		m.service.OnClose(func() { _ = s.Close() })
	}
	if m.estate.before == nil {
		if err := m.service.OpenControl(m.cmd.place, m.options.Control, m.controlSocket()); err != nil {
			return err
		}
	}
	if err := m.openDevice(); err != nil {
		return err
	}
	if err := m.openQueues(); err != nil {
		return err
	}
	if err := m.openLinks(); err != nil {
		return err
	}
	m.openReport(identity.file(), found.created)
	return nil
}

// controlSocket returns the name of the control socket in a runtime directory.
func (m *member) controlSocket() string { return cli.FileName(m.keys.Name) + ".sock" }

// note says a sentence about the start in the log, and keeps it for status.
func (m *member) note(text string) {
	m.log.Warn(text)
	m.notes = append(m.notes, text)
}

// openReport begins to show the user what happens.
func (m *member) openReport(idPath string, created bool) {
	words := render.Messages{Community: m.keys.Name, IdentityFile: idPath, Static: m.options.Address.Mode == edge.AddressStatic}
	if m.options.Address.Mode == edge.AddressPrefer {
		words.Preferred = m.options.Address.Prefix
	}
	m.report = render.NewReporter(render.ReporterConfig{
		Out: m.cmd.streams.Out, Log: m.log, LogOnly: m.options.Log.JSON(), Messages: words,
	})
	m.report.Opened(render.Opened{
		Program: program, Version: cli.Release, Device: m.device.Name(), MAC: protocol.MAC(m.device.MAC()).String(), MTU: m.device.MTU(),
		ID: m.id.ShortID(), Created: created,
	})
}

// openDevice opens the TAP device with the address that the edge will have, so
// that it has the right one when its interface goes up.
func (m *member) openDevice() error {
	mtu, err := m.options.mtu()
	if err != nil {
		return err
	}
	mac := m.options.Ethernet.MAC
	if mac == ([6]byte{}) {
		mac = m.id.MAC(m.keys.ID())
	}
	d, err := openDevice(m.estate.devices.openTAP, tap.Config{
		Name: m.options.Device.Name, MAC: mac, MTU: mtu, Port: m.options.Device.Bridge, Backend: m.options.Queues.Backend, Queues: len(m.estate.sockets),
		Without: m.options.Queues.Without.device, OneFrame: m.options.Queues.Without.batch, Log: m.log, Alias: stack.Alias,
		Routers: !m.options.Ethernet.Accept.Defaults(false, false).Routers.Equal(bridge.Nobody),
	})
	if err != nil {
		return err
	}
	index := 0 // not known
	if ifi, err := net.InterfaceByName(d.Name()); err == nil {
		index = ifi.Index
	}
	own := stack.New(index)
	own.From(m.options.Nearby.Underlay.Mark, m.options.Nearby.Underlay.Interface)
	own.Told(netwatch.Changes)
	m.device = &device{tapDevice: d, stack: own, bridge: m.options.Device.Bridge.Bridge, log: m.log}
	m.service.OnClose(func() { _ = d.Close() })
	m.device.watches.add(d, tap.Watching{Behind: m.options.Address.Subnets.Announce, Most: edge.MaxMTU, Fixed: m.options.Ethernet.MTU != 0, Log: m.log})
	return nil
}

// openLinks opens the devices of the links that were named.
func (m *member) openLinks() (err error) {
	o := &linkDevices{
		choice: m.options.Links, open: m.estate.devices.openTAP, watches: &m.device.watches, accept: m.options.Ethernet.Accept, own: [crypto.LinkPrefixLen]byte(m.id.ID), cid: m.keys.ID(),
		like: tap.Config{
			MTU: m.device.MTU(), Backend: m.options.Queues.Backend, Without: m.options.Queues.Without.device,
			OneFrame: m.options.Queues.Without.batch, Log: m.log, Alias: stack.Alias,
		},
	}
	m.links.Links, err = o.links(func(d edge.LinkDevice) { m.service.OnClose(func() { _ = d.Close() }) })
	if m.options.Links.Hooks.any() {
		m.links.hooks = newHooks(m.options.Links.Hooks, m.log)
		m.links.Changed = m.links.hooks.changed
	}
	return err
}

// run carries frames until ctx ends.
func (m *member) run(ctx context.Context) error {
	defer m.report.Close()
	e, err := m.edge()
	if err != nil {
		return err
	}
	// The socket answers until the edge has left the community.
	beside := []func(context.Context){m.device.watches.run, func(ctx context.Context) { watchSignals(ctx, m.log, e) }}
	if m.links.hooks != nil {
		beside = append(beside, m.links.hooks.run)
	}
	err = m.serve(ctx, e, beside...)
	return m.ended(ctx, err)
}

// config is the edge's configuration.
func (m *member) config() edge.Config {
	return edge.Config{
		Community:  m.keys.Community,
		Keys:       m.keys.source,
		Identity:   m.id,
		Name:       m.options.Name,
		Supernodes: m.options.Supernodes,
		Reach:      m.options.Reach,
		Address:    m.address(),
		Ethernet:   m.ethernet(),
		Links:      m.links.Links,
		StateDir:   m.state,
		Device:     m.device,
		Queues:     m.queues,
		Transports: m.transports,
		Network:    m.network(),
		Host: edge.Host{
			Interface:   m.device.Name(),
			Own:         edge.Own{Stack: m.device.stack, Routes: kept(m.routes), NeedsSource: m.device.stack.NeedsSource, Sockets: m.own, Device: m.device.watches.condition},
			Addresses:   keptAddresses(m.addresses),
			Networks:    keptNetworks(m.device.networks),
			Resolver:    m.resolver(),
			Version:     cli.Release,
			Notes:       m.notes,
			Log:         m.log,
			Report:      m.report.Event,
			ClockOffset: m.options.Clock,
			BootClock:   bootClock(),
			Machine:     machine(),
			Watch:       edge.Watch{Forks: forks(), Clock: vmgen.WatchSet, Phase: m.device.watches.at},
		},
	}
}

// address returns the choice of addresses. Routes are set on Linux alone.
func (m *member) address() edge.Address {
	a := m.options.Address
	if runtime.GOOS == "linux" {
		a.Subnets.Table = m.device
	}
	return a
}

// ethernet returns what the edge is on the community's Ethernet, with the device that it
// has got.
func (m *member) ethernet() edge.Ethernet {
	e := m.options.Ethernet
	e.MTU, e.Bridge = m.device.MTU(), m.options.Device.Bridge.Bridge != ""
	return e
}

// ended gives the end of Run its exit code.
func (m *member) ended(ctx context.Context, err error) error {
	switch {
	case err == nil, ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return nil
	case errors.Is(err, edge.ErrAddressTaken):
		return &cli.Error{Code: cli.Refused, ID: "E11", Text: m.report.Refusal(), Err: err}
	case errors.Is(err, edge.ErrScheduleEnded):
		return cli.Errorf(cli.Failure, "", "the key schedule of %q has ended and says fail: make a new community file with 'edge keygen' and give it to every member.", m.keys.Name)
	case errors.Is(err, tap.ErrDeleted):
		return cli.Errorf(cli.Failure, "", "somebody deleted %s while it was in use: start the edge again.", m.device.Name())
	}
	return cli.Errorf(cli.Failure, "", "%w", err)
}

// upgradeCommand is "edge upgrade [--binary PATH]".
func (cmd *command) upgradeCommand() *ucli.Command {
	return upgrade.Command(program, "device, sockets and sessions", cmd.streams.Out, cmd.socket, cli.ControlFlag("; default: the only one"))
}

// adopt takes from a predecessor what open would open on the machine, but for the devices.
func (m *member) adopt(with transport.Options) (err error) {
	defer m.estate.before.CloseFiles()
	if err := m.service.Inherit(m.estate.before, m.cmd.place, m.options.Control, m.controlSocket()); err != nil {
		return err
	}
	var files []*os.File
	defer func() { closeAll(files) }()
	for f := m.estate.before.Take(udpFile); f != nil; f = m.estate.before.Take(udpFile) {
		files = append(files, f)
	}
	guard := m.estate.before.Take(guardFile)
	if guard != nil {
		defer guard.Close()
	}
	if len(files) == 0 {
		return cli.Errorf(cli.Failure, "", "the UDP port was not handed over")
	}
	if m.estate.sockets, err = transport.AdoptUDPGroup(files, guard, with); err == nil {
		err = m.estate.devices.inherit(m.estate.before)
	}
	if err != nil {
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	m.options.Device.Name = m.estate.devices.inherited[0].Name
	return nil
}

// files returns what a successor inherits.
func (m *member) files() (files []handover.Named, err error) {
	for _, s := range m.estate.sockets {
		f, err := s.File()
		if err != nil {
			return files, err
		}
		files = append(files, handover.Named{Name: udpFile, File: f})
	}
	if m.keys.text != "" {
		f, err := handover.Text(keyText, []byte(m.keys.text))
		if err != nil {
			return files, err
		}
		files = append(files, handover.Named{Name: keyText, File: f})
	}
	if f, ok, err := m.options.Community.Obfs.File(); ok || err != nil {
		if err != nil {
			return files, err
		}
		files = append(files, f)
	}
	guard, err := m.estate.sockets[0].Guard()
	if err != nil {
		return files, err
	}
	if guard != nil {
		files = append(files, handover.Named{Name: guardFile, File: guard})
	}
	return m.estate.devices.files(files)
}

// edge makes the edge: a new one, or one that goes on where a predecessor stopped.
func (m *member) edge() (*edge.Edge, error) {
	if m.estate.before == nil {
		e, err := edge.New(m.config())
		if err != nil {
			return nil, cli.Errorf(cli.Usage, "", "%w", err)
		}
		return e, nil
	}
	state, err := m.estate.before.State(cli.Release)
	var e *edge.Edge
	if err == nil {
		e, err = edge.Resume(m.config(), state)
	}
	if err == nil {
		err = m.estate.before.Taken()
	}
	if err != nil {
		return nil, cli.Errorf(cli.Failure, "", "%w", err)
	}
	m.service.Own()
	m.estate.devices.keep()
	return e, nil
}

// upgrader returns what replaces the edge by another process.
func (m *member) upgrader(e *edge.Edge) *upgrade.Upgrader {
	var sessions, members int
	return upgrade.New(upgrade.Config{
		Program: program, Variable: handoverVariable, Service: m.service, Log: m.log, Files: m.files,
		HandOver: func(give func(state []byte) error) error {
			return edge.HandOver(context.Background(), e, func(state []byte, ss, ms int) error {
				err := give(state)
				if err == nil {
					sessions, members = ss, ms
					m.estate.devices.leave()
				}
				return err
			})
		},
		Count: func() (int, int) { return sessions, members },
	})
}

// serve carries frames until ctx ends or another process does, and answers on the socket.
func (m *member) serve(ctx context.Context, e *edge.Edge, beside ...func(context.Context)) error {
	u := m.upgrader(e)
	work := func(ctx context.Context) error {
		defer u.LetGo()
		return e.Run(ctx)
	}
	return m.service.Run(ctx, u.Beside(control.Handler(e)), work, beside...)
}
