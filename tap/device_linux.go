package tap

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	maxName         = MaxName
	forbiddenInName = "/:% \t\u00a0"
	nodePath        = "/dev/net/tun"
)

// Device is an open TAP device of Linux. Its methods are safe for concurrent
// use.
type Device struct {
	cfg      Config
	existing bool
	netif    *netif
	links    *links // for Watch and the bridge
	mac      [6]byte
	port     membership
	settings []ipv6Setting // to restore of an interface that stays
	alias    bool          // it has our alias, and had none
	features Features
	queues   []*Queue
	file     *os.File // water's, which owns the descriptor of the only queue; nil natively

	left      atomic.Bool   // another process has it
	closed    chan struct{} // closed when Close begins
	closeOnce sync.Once
	closeErr  error
}

// Open opens the TAP device cfg.Name, or makes it, gives it MAC and MTU and sets
// it up. The MAC is set before the interface is up, so that the IPv6 link-local
// address is made of the right one. Open changes nothing of an existing device,
// made by an administrator for a user without privileges, that has the wanted
// properties, and then needs no capability; such a device keeps its persist flag
// and its kind, with one queue or several, and stays after Close.
//
// The device lives in the network namespace of the calling thread, and stays
// bound to it whichever thread uses it later. A failure is an *OpenError and
// leaves no descriptor behind, and of an interface that was there nothing changed
// but what setting it up sets.
func Open(cfg Config) (*Device, error) {
	return opener{node: nodePath, kernel: linuxKernel}.open(cfg)
}

// opener is Open with the parts that a test replaces.
type opener struct {
	node   string // path of the TUN/TAP device node
	kernel kernel
}

func (o opener) open(cfg Config) (*Device, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	netif, err := findInterface(cfg.Name)
	if err != nil {
		return nil, err
	}
	d, err := o.attach(cfg, netif)
	if err != nil {
		netif.close()
		return nil, err
	}
	if cfg.NoCarrier { // before it is up, so that nothing is sent
		if err := d.SetCarrier(false); err != nil {
			cfg.Log.Warn("the TAP device seems to be connected although it is not", "device", cfg.Name, "err", err)
		}
	}
	if err := d.setUp(); err != nil {
		if !d.existing {
			netif.delete()
		}
		d.Close()
		return nil, err
	}
	if !d.existing {
		netif.lengthenQueue()
	}
	if d.alias = cfg.Alias != "" && netif.found.Attrs().Alias == ""; d.alias {
		netif.setAlias(cfg.Alias)
	}
	return d, nil
}

// setUp gives the interface its properties, makes it a port if it is to be one, and
// sets it up at last: nothing of it is to be heard before.
func (d *Device) setUp() (err error) {
	if d.links, err = openLinks(); err != nil {
		return &OpenError{Errno: errnoOf(err), Sentence: fmt.Sprintf("cannot ask the kernel about interfaces (netlink): %s.", reason(err))}
	}
	if d.cfg.Port.Bridge == "" {
		if d.cfg.MAC, err = d.netif.shape(d.cfg.MAC, d.cfg.MTU); err != nil {
			return err
		}
		d.mac = d.cfg.MAC
		d.hear()
		return d.netif.raise()
	}
	d.port.Port, d.mac = d.cfg.Port, portMAC(d.cfg.MAC)
	d.port.before = d.former()
	if _, err = d.netif.shape(d.mac, d.cfg.MTU); err != nil {
		return err
	}
	if err = d.join(); err != nil {
		return err
	}
	return d.netif.raise()
}

// hear says which router advertisements the host takes that come by the interface, before
// it is up.
func (d *Device) hear() {
	var err error
	d.settings, err = applySettings(d.cfg.Name, routerSettings(d.cfg.Name, d.cfg.Routers), false)
	if err == nil || !d.cfg.Routers && withoutIPv6(d.cfg.Name) {
		return // a host takes none where it has no IPv6
	}
	verb, value := "not be kept from", "0"
	if d.cfg.Routers {
		verb, value = "not be made", "2"
	}
	command := fmt.Sprintf("sysctl -w net.ipv6.conf.%s.accept_ra=%s", d.cfg.Name, value)
	if errors.Is(err, unix.EROFS) { // a container's: who starts it may set what new devices have
		command = "docker run --sysctl net.ipv6.conf.default.accept_ra=" + value
	}
	d.cfg.Log.Warn("the host can "+verb+" taking router advertisements that come by the device", "device", d.cfg.Name, "err", err, "type", command)
}

// attach opens the device through the backend that cfg names and binds netif to
// it. The device owns what it returns: Close closes everything, but netif is the
// caller's when attach fails.
func (o opener) attach(cfg Config, netif *netif) (*Device, error) {
	multi, err := netif.checkKind()
	if err != nil {
		return nil, err
	}
	existing := netif.exists()
	w := wish{cfg: cfg, existing: existing, multi: multi || !existing && cfg.Queues > 1}
	d := &Device{cfg: cfg, existing: existing, netif: netif, closed: make(chan struct{})}
	var notes []string
	switch cfg.Backend {
	case BackendWater:
		err = o.openWater(d, w)
	case BackendNative:
		notes, err = o.openNative(d, w)
	default:
		notes, err = o.openNative(d, w)
		if err != nil && waterMayDo(err) {
			native := err
			if err = o.openWater(d, w); err == nil {
				notes = []string{"everything (" + native.Error() + "); using water"}
			}
		}
	}
	if err != nil {
		return nil, netif.explain(err)
	}
	if err := netif.find(); err != nil {
		d.release()
		return nil, netif.refused("open "+cfg.Name, err)
	}
	if len(notes) > 0 {
		cfg.Log.Warn("the TAP device is slower than it could be: the kernel refuses a part of it",
			"device", cfg.Name, "refused", notes)
	}
	return d, nil
}

// wish is the features and the number of queues that an open asks the kernel
// for.
type wish struct {
	cfg      Config
	existing bool
	multi    bool // with IFF_MULTI_QUEUE, which an existing device has or has not
}

// Name returns the interface's name as it was when the device was opened.
func (d *Device) Name() string { return d.cfg.Name }

// MAC returns the interface's hardware address after Open set it up, and of a port
// the address that Config gave.
func (d *Device) MAC() [6]byte { return d.cfg.MAC }

// MTU returns the MTU in bytes that Open gave the interface.
func (d *Device) MTU() int { return d.cfg.MTU }

// Features returns the features that the kernel granted; 0 with BackendWater.
func (d *Device) Features() Features { return d.features }

// Queues returns the queues, at least one, and fewer than Config.Queues where
// the backend is water, the device existed with a single queue, or the kernel
// refused more. The kernel keeps a flow on one queue: on the one that frames of
// its other direction were last written to.
func (d *Device) Queues() []*Queue { return slices.Clone(d.queues) }

// Dropped returns how many frames were lost on all queues: in WriteBatch because
// the interface was down, the kernel had no memory, or the frame was malformed,
// and in ReadBatch because the kernel could not describe them.
func (d *Device) Dropped() (sum uint64) {
	for _, q := range d.queues {
		sum += q.dropped.Load()
	}
	return sum
}

// Close waits for the batches that run, makes further ones fail with ErrClosed
// and detaches from the interface, which disappears when Open made it. From one
// that stays, because it was there before, it removes the addresses that
// SetAddress added. Further calls return the result of the first.
//
// Close does not wake a caller that waits for a queue's descriptor: the waiting
// must have ended before, since the number may belong to another file at once.
func (d *Device) Close() error {
	d.closeOnce.Do(func() {
		close(d.closed)
		if !d.left.Load() {
			d.restore()
		}
		d.closeErr = d.release()
		d.netif.close()
		if d.links != nil {
			d.links.close()
		}
	})
	return d.closeErr
}

// restore removes what Open and SetAddress have added to interfaces that stay.
func (d *Device) restore() {
	if d.existing || d.port.Bridge != "" {
		d.netif.removeAdded()
	}
	d.leave()
}

// release closes the descriptors, each once no batch uses it.
func (d *Device) release() (err error) {
	fds := make([]int, 0, len(d.queues))
	for _, q := range d.queues {
		fds = append(fds, q.retire())
	}
	if d.features != 0 && d.existing && !d.left.Load() {
		// The next program that opens the device may not use vnet headers.
		_ = linuxKernel.offload(fds[0], 0)
	}
	if d.file != nil {
		return d.file.Close()
	}
	for _, fd := range fds {
		if closeErr := unix.Close(fd); err == nil {
			err = closeErr
		}
	}
	return err
}

func (d *Device) isClosed() bool {
	select {
	case <-d.closed:
		return true
	default:
		return false
	}
}
