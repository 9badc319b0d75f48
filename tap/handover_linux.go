package tap

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// HandOver returns a description of the device, and a descriptor of each of its queues. The
// device goes on as before, until Leave. The error is ErrClosed for one that is closed.
func (d *Device) HandOver() (h HandedOver, files []*os.File, err error) {
	d.netif.mu.Lock()
	defer d.netif.mu.Unlock()
	if d.isClosed() {
		return h, nil, ErrClosed
	}
	h = HandedOver{
		Name: d.cfg.Name, Existing: d.existing, MAC: d.cfg.MAC, OwnMAC: d.mac, MTU: d.cfg.MTU, Features: d.features, Added: d.netif.added,
		Port: d.port.Port, Former: d.port.before, Alias: d.alias, Queues: len(d.queues),
	}
	for _, s := range d.settings {
		h.Settings = append(h.Settings, [2]string{s.name, s.value})
	}
	for _, q := range d.queues {
		fd, err := unix.FcntlInt(uintptr(q.Fd()), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return h, files, fmt.Errorf("hand over the TAP device %s: %w", d.cfg.Name, err)
		}
		files = append(files, os.NewFile(uintptr(fd), d.cfg.Name))
	}
	return h, files, nil
}

// Closed reports whether Close was called.
func (d *Device) Closed() bool { return d.isClosed() }

// Leave has Close leave the interface as it is: another process has it.
func (d *Device) Leave() { d.left.Store(true) }

// Keep ends what Adopt and Leave begin: Close restores what Open has changed.
func (d *Device) Keep() { d.left.Store(false) }

// Adopt opens a device of the queues that another process has opened, as it described it. The
// interface stays as it is. cfg is what Open would be called with; name, addresses and MTU are
// those that the interface has. The files are not used any more afterwards, and may be closed.
// Until Keep, Close leaves the interface as it is: the other process may go on.
func Adopt(cfg Config, h HandedOver, files []*os.File) (*Device, error) {
	cfg = cfg.withDefaults()
	cfg.Name, cfg.MAC, cfg.MTU, cfg.Port = h.Name, h.MAC, h.MTU, h.Port
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	netif, err := findInterface(cfg.Name)
	if err != nil {
		return nil, err
	}
	d := &Device{
		cfg: cfg, existing: h.Existing, netif: netif, mac: h.OwnMAC, port: membership{Port: h.Port, before: h.Former}, alias: h.Alias,
		features: h.Features, closed: make(chan struct{}),
	}
	d.Leave()
	netif.added = h.Added
	for _, s := range h.Settings {
		d.settings = append(d.settings, ipv6Setting{s[0], s[1]})
	}
	if err := d.adopt(files); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// adopt opens the queues, and finds the bridge that the device is a port of.
func (d *Device) adopt(files []*os.File) (err error) {
	if !d.netif.exists() {
		return refusal("%s was handed over, and there is no such interface.", d.cfg.Name)
	}
	if d.links, err = openLinks(); err != nil {
		return &OpenError{Errno: errnoOf(err), Sentence: fmt.Sprintf("cannot ask the kernel about interfaces (netlink): %s.", reason(err))}
	}
	for _, f := range files {
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			err = unix.SetNonblock(fd, true)
			d.queues = append(d.queues, newQueue(d, fd))
		}
		if err != nil || nameOf(fd) != d.cfg.Name {
			return refusal("a queue of %s was handed over, and is none.", d.cfg.Name)
		}
	}
	if len(d.queues) == 0 {
		return refusal("no queue of %s was handed over.", d.cfg.Name)
	}
	if d.cfg.Port.Bridge == "" {
		return nil
	}
	b, err := d.port.find(d.links)
	if err != nil {
		return err
	}
	d.port.bridge = bridgeOf(b)
	if d.port.Address {
		d.netif.bridge = d.port.bridge
	}
	return nil
}

// nameOf returns the name of the interface that a descriptor is a queue of, empty: of none.
func nameOf(fd int) string {
	r, err := unix.NewIfreq("x")
	if err != nil || unix.IoctlIfreq(fd, unix.TUNGETIFF, r) != nil {
		return ""
	}
	return r.Name()
}
