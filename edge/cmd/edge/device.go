package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"

	"hedgerow/edge"
	"hedgerow/edge/subnet"
	"hedgerow/internal/cli"
	"hedgerow/internal/handover"
	"hedgerow/internal/stack"
	"hedgerow/tap"
)

// defaultStem begins the names of devices that the user did not name, and defaultTries
// is how many of them are tried.
const (
	defaultStem  = "edge"
	defaultTries = 32
)

// tapDevice is what the command needs of a TAP device beyond edge.Device.
type tapDevice interface {
	edge.Device
	Name() string
	MAC() [6]byte
	MTU() int
	Queues() []*tap.Queue
	SetCarrier(up bool) error
	Watch(context.Context, tap.Watching)
	SetRoutes([]tap.Route) error
}

// tapOpener opens a TAP device.
type tapOpener func(tap.Config) (tapDevice, error)

// openTAP is the tapOpener of the operating system.
func openTAP(cfg tap.Config) (tapDevice, error) {
	d, err := tap.Open(cfg)
	if err != nil {
		return nil, err // a nil *tap.Device in the interface would not be nil
	}
	return d, nil
}

// openDevice opens the device that was asked for, or the first free one.
func openDevice(open tapOpener, cfg tap.Config) (tapDevice, error) {
	if cfg.Name != "" {
		d, err := open(cfg)
		return d, deviceError(err)
	}
	var err error
	for n := range defaultTries {
		cfg.Name = fmt.Sprintf("%s%d", defaultStem, n)
		var d tapDevice
		if d, err = open(cfg); err == nil {
			return d, nil
		}
		// Busy, or no TAP at all: it belongs to another process. Any other failure
		// would be the same under another name.
		var fault *tap.OpenError
		if !errors.As(err, &fault) || fault.Code != "E04" && fault.Code != "E05" {
			break
		}
	}
	return nil, deviceError(err)
}

// deviceError gives an error of package tap its exit code.
func deviceError(err error) error {
	if err == nil {
		return nil
	}
	var fault *tap.OpenError
	if !errors.As(err, &fault) {
		return cli.Errorf(cli.Failure, "", "cannot open the TAP device: %w", err)
	}
	code := cli.Failure
	switch fault.Code {
	case "E01", "E02", "E03":
		code = cli.Permission
	case "E05", "E30":
		code = cli.Usage
	}
	return &cli.Error{Code: code, ID: fault.Code, Text: fault.Sentence, Err: err}
}

// device is the TAP device as the edge gets it: SetAddress warns of an
// address range that is in use on another interface (E59).
type device struct {
	tapDevice
	stack   *stack.Stack
	bridge  string // of which it is a port by the user's word; empty: of none
	log     *slog.Logger
	watches watches

	mu     sync.Mutex
	warned netip.Prefix // the last range that was warned of
}

// SetAddress gives the device an address with its prefix length. The IPv6
// range follows from the community's secret, so only a second member on this
// machine can have it, too, and the user cannot choose another one.
func (d *device) SetAddress(prefix netip.Prefix) error {
	if prefix.Addr().Is4() {
		d.warnOverlap(prefix)
	}
	return d.tapDevice.SetAddress(prefix)
}

// warnOverlap warns once of a range whose traffic the kernel would send
// elsewhere, or take away from another network.
func (d *device) warnOverlap(prefix netip.Prefix) {
	other, overlaps, _ := d.networks(prefix) // what is found counts
	if !overlaps {
		return
	}
	d.mu.Lock()
	first := d.warned != prefix.Masked()
	d.warned = prefix.Masked()
	d.mu.Unlock()
	if first {
		d.log.Warn(overlapSentence(prefix, other))
	}
}

// overlapSentence is E59.
func overlapSentence(prefix netip.Prefix, other edge.Network) string {
	return fmt.Sprintf("%s overlaps %s (%s): traffic would go the wrong way. Pick another range with -a or on the supernode. [E59]",
		prefix.Masked(), other.Interface, other.Prefix)
}

// networks looks for what an edge.NetworkFinder does. It leaves out the device and what is
// stacked on it, such as a bridge, which may have the overlay's address in its place. The error
// is that of tap.Overlap.
func (d *device) networks(prefix netip.Prefix) (other edge.Network, ok bool, err error) {
	ifname, network, ok, err := tap.Overlap(prefix, d.holds)
	return edge.Network{Interface: ifname, Prefix: network}, ok, err
}

// holds reports whether an interface is the device, stacked on it, or the bridge that it
// is a port of, also while somebody has taken it out of that.
func (d *device) holds(ifindex int) bool {
	if d.stack.Holds(ifindex) {
		return true
	}
	bridge, err := net.InterfaceByName(d.bridge)
	return d.bridge != "" && err == nil && bridge.Index == ifindex
}

// exitTable is the kernel's table in which a default route by the overlay is set: the
// user's rules lead there, and never the underlay (docs/routing.md, "A gateway to the
// internet").
const exitTable = 7655

// SetRoutes makes these the only routes by the device that an edge has set.
func (d *device) SetRoutes(list []subnet.Route) error {
	routes := make([]tap.Route, 0, len(list))
	for _, r := range list {
		x := tap.Route{Prefix: r.Prefix, Via: r.Via}
		if subnet.IsDefault(r.Prefix) {
			x.Table = exitTable
		}
		routes = append(routes, x)
	}
	if err := d.tapDevice.SetRoutes(routes); err != nil {
		return err
	}
	for _, r := range list {
		if is4 := r.Prefix.Addr().Is4(); subnet.IsDefault(r.Prefix) && !tap.HasRule(is4, exitTable) {
			return exitUnused(is4)
		}
	}
	return nil
}

// exitUnused says that nothing leads to a default route that was accepted.
func exitUnused(is4 bool) error {
	command := "ip -6 rule"
	if is4 {
		command = "ip rule"
	}
	return fmt.Errorf("no rule leads to the default route in table %d, so that nothing goes to the gateway. Type: %s add priority 5000 lookup main suppress_prefixlength 0; %[2]s add priority 5001 not fwmark N lookup %[1]d, with the N of --mark", exitTable, command)
}

// Networks returns those of this host and its routes, but for the device's.
func (d *device) Networks() []subnet.Network {
	var list []subnet.Network
	for _, n := range tap.Networks(d.holds) {
		list = append(list, subnet.Network(n))
	}
	return list
}

// The names under which devices are handed over.
const (
	devicesFile = "devices" // what there is to know of them, as JSON
	queueFile   = "queue"   // of all, in their order
)

// openDevices are the TAP devices of this process, and those that a predecessor has handed
// over and nobody has asked for yet.
type openDevices struct {
	open tapOpener

	mu        sync.Mutex
	list      []*tap.Device
	inherited []inheritedDevice // the community's is the first
	kept      bool              // this process serves
}

type inheritedDevice struct {
	tap.HandedOver
	queues []*os.File
}

// openTAP is a tapOpener: a device that was handed over is not opened anew.
func (o *openDevices) openTAP(cfg tap.Config) (tapDevice, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var d tapDevice
	var err error
	if i := slices.IndexFunc(o.inherited, func(h inheritedDevice) bool { return h.Name == cfg.Name }); i >= 0 {
		h := o.inherited[i]
		o.inherited = slices.Delete(o.inherited, i, i+1)
		defer closeAll(h.queues)
		var adopted *tap.Device
		if adopted, err = tap.Adopt(cfg, h.HandedOver, h.queues); err == nil {
			d = adopted
			if o.kept {
				adopted.Keep()
			}
		}
	} else {
		d, err = o.open(cfg)
	}
	if opened, ok := d.(*tap.Device); ok {
		o.list = slices.DeleteFunc(o.list, func(d *tap.Device) bool { return d.Closed() })
		o.list = append(o.list, opened)
	}
	return d, err
}

// inherit reads which devices a predecessor has handed over.
func (o *openDevices) inherit(p *handover.Predecessor) error {
	f := p.Take(devicesFile)
	if f == nil {
		return errors.New("the TAP device was not handed over")
	}
	defer f.Close()
	var list []tap.HandedOver
	err := json.NewDecoder(io.NewSectionReader(f, 0, 1<<20)).Decode(&list)
	if err != nil || len(list) == 0 {
		return errors.New("what was handed over of the TAP device is damaged")
	}
	for _, h := range list {
		d := inheritedDevice{HandedOver: h}
		for range h.Queues {
			if f := p.Take(queueFile); f != nil {
				d.queues = append(d.queues, f)
			}
		}
		o.inherited = append(o.inherited, d)
	}
	return nil
}

// files appends what a successor inherits of the devices.
func (o *openDevices) files(files []handover.Named) ([]handover.Named, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var list []tap.HandedOver
	for _, d := range o.list {
		h, queues, err := d.HandOver()
		for _, f := range queues {
			files = append(files, handover.Named{Name: queueFile, File: f})
		}
		switch {
		case errors.Is(err, tap.ErrClosed):
			continue
		case err != nil:
			return files, err
		}
		list = append(list, h)
	}
	b, err := json.Marshal(list)
	if err != nil {
		return files, err
	}
	f, err := handover.Text(devicesFile, b)
	if err != nil {
		return files, err
	}
	return append(files, handover.Named{Name: devicesFile, File: f}), nil
}

// leave has all devices stay as they are: another process has them.
func (o *openDevices) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, d := range o.list {
		d.Leave()
	}
}

// keep has this process restore what they changed: it is the one that serves.
func (o *openDevices) keep() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = true
	for _, d := range o.list {
		d.Keep()
	}
}

// close closes what was handed over and nobody wants: the device of a peer that is gone.
func (o *openDevices) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.inherited {
		closeAll(h.queues)
	}
	o.inherited = nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}
