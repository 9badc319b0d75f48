package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
	"hedgerow/internal/render"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/transport"
)

// identityFile holds the edge's identity in its state directory.
const identityFile = "id"

// start is "edge" and "edge run". It opens what the edge needs in the order in
// which a person can mend it (options, keys, state, socket, device), so that
// nothing is created by a command line that was wrong.
func (cmd *command) start(c *ucli.Context) error {
	o, err := cmd.parseOptions(c)
	if err != nil {
		return err
	}
	log, err := cli.NewLog(cmd.streams.Err, o.Log.Verbosity, o.Log.Format)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal(c.Context, log)
	defer stop()
	keys, err := o.Key.load(ctx, o.Community, cmd.streams.In)
	if err != nil {
		return err
	}
	for _, w := range keys.warnings {
		if o.Log.Format == "json" {
			log.Warn(w)
		} else {
			fmt.Fprintln(cmd.streams.Err, "warning: "+w)
		}
	}
	m := &member{cmd: cmd, options: o, keys: keys, log: log}
	defer m.close()
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

	state   string // the community's own state directory
	id      *crypto.Identity
	device  *device
	sockets []*transport.UDP
	queues  []dataplane.Queue
	ways    edge.Ways
	control net.Listener
	report  *render.Reporter
	release []func() // in the order of opening
}

// open takes everything from the machine that the edge needs.
func (m *member) open() error {
	m.state = filepath.Join(m.options.StateDir, cli.FileName(m.keys.Name))
	unlock, err := cli.Lock(m.state)
	if err != nil {
		return stateError(m.keys.Name, err)
	}
	m.release = append(m.release, unlock)
	idPath := filepath.Join(m.state, identityFile)
	id, created, err := crypto.LoadIdentity(idPath)
	if err != nil {
		return stateError(m.keys.Name, err)
	}
	m.id = id
	with := m.options.Queues.Without.socket
	with.Log = m.log
	if m.sockets, err = openSockets(m.options.Port, m.options.Queues.Count, with, m.state); err != nil {
		return err
	}
	for _, s := range m.sockets {
		m.release = append(m.release, func() { _ = s.Close() })
	}
	if err := m.openControl(); err != nil {
		return err
	}
	if err := m.openDevice(); err != nil {
		return err
	}
	if err := m.openQueues(); err != nil {
		return err
	}
	m.openReport(idPath, created)
	return nil
}

// openReport begins to tell the user what happens.
func (m *member) openReport(idPath string, created bool) {
	words := render.Messages{Community: m.keys.Name, IdentityFile: idPath, Static: m.options.Address.Mode == edge.AddressStatic}
	if m.options.Address.Mode == edge.AddressPrefer {
		words.Preferred = m.options.Address.Prefix
	}
	m.report = render.NewReporter(render.ReporterConfig{
		Out: m.cmd.streams.Out, Log: m.log, LogOnly: m.options.Log.Format == "json", Messages: words,
	})
	m.report.Opened(render.Opened{
		Program: program, Version: cli.Release, Device: m.device.Name(), MAC: protocol.MAC(m.device.MAC()).String(), MTU: m.device.MTU(),
		ID: m.id.ShortID(), Created: created,
	})
}

// openDevice opens the TAP device with the address that the edge will have, so
// that it has the right one when its link goes up.
func (m *member) openDevice() error {
	mac := m.options.MAC
	if mac == ([6]byte{}) {
		mac = m.id.MAC(m.keys.ID())
	}
	d, err := openDevice(m.cmd.openTAP, tap.Config{
		Name: m.options.Device, MAC: mac, MTU: m.options.MTU, Backend: m.options.Queues.Backend, Queues: len(m.sockets),
		SuperFrame: dataplane.SuperFrame(m.options.MTU), Without: m.options.Queues.Without.device, OneFrame: m.options.Queues.Without.batch, Log: m.log,
	})
	if err != nil {
		return err
	}
	m.device = &device{tapDevice: d, log: m.log}
	m.release = append(m.release, func() { _ = d.Close() })
	return nil
}

// openControl makes the control socket.
func (m *member) openControl() error {
	path := m.options.Control
	if path == "" {
		dir, err := m.cmd.place.MakeRuntimeDir()
		if err != nil {
			return cli.Errorf(cli.Failure, "", "%w. Choose a place with --control PATH.", err)
		}
		path = filepath.Join(dir, cli.FileName(m.keys.Name)+".sock")
	}
	l, err := localapi.Listen(path)
	if errors.Is(err, localapi.ErrInUse) {
		return cli.Errorf(cli.Failure, "", "another edge of community %q runs on this machine (%w). For a second one type --control PATH and --state-dir DIR.", m.keys.Name, err)
	}
	if err != nil {
		code := cli.Failure
		if errors.Is(err, fs.ErrPermission) {
			code = cli.Permission
		}
		return cli.Errorf(code, "", "%w. Choose another place with --control PATH.", err)
	}
	// Without the group, or the right to give to it, the owner alone may ask.
	_ = localapi.ShareWith(path, program)
	m.control = l
	m.release = append(m.release, func() { _ = l.Close() })
	return nil
}

// close gives everything back, the last first.
func (m *member) close() {
	for i := len(m.release) - 1; i >= 0; i-- {
		m.release[i]()
	}
}

// run carries frames until ctx ends.
func (m *member) run(ctx context.Context) error {
	defer m.report.Close()
	e, err := edge.New(m.config())
	if err != nil {
		return cli.Errorf(cli.Usage, "", "%w", err)
	}
	// The socket answers until the edge has left the community.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := localapi.ServeListener(serving, m.control, control.Handler(e)); err != nil {
			m.log.Error("the control socket failed", "err", err)
		}
	}()
	watching := watchSignals(serving, m.log, e)
	err = e.Run(ctx)
	stop()
	<-served
	<-watching
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
		Address:    m.options.Address,
		MAC:        m.options.MAC,
		MTU:        m.device.MTU(),
		StateDir:   m.state,
		Device:     m.device,
		Queues:     m.queues,
		Ways:       m.ways,
		Nearby:     m.nearby(),
		Host: edge.Host{
			Interface:   m.device.Name(),
			Version:     cli.Release,
			Log:         m.log,
			Report:      m.report.Event,
			ClockOffset: m.options.Clock,
			BootClock:   bootClock(),
			Machine:     machine(),
		},
	}
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

// stateError gives a failure with the state directory its exit code.
func stateError(name string, err error) error {
	code := cli.Failure
	switch {
	case errors.Is(err, fs.ErrPermission):
		code = cli.Permission
	case errors.Is(err, cli.ErrLocked):
		return &cli.Error{Code: code, Err: err, Text: "another edge of community " + strconv.Quote(name) + " runs on this machine: " + err.Error() + ". For a second one type --state-dir DIR and --control PATH."}
	}
	return &cli.Error{Code: code, Text: err.Error() + ". Choose another place with --state-dir DIR.", Err: err}
}
