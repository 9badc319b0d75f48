package tap

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/songgao/water"
	"golang.org/x/sys/unix"
)

const (
	maxName         = MaxName
	forbiddenInName = "/:% \t\u00a0"
	nodePath        = "/dev/net/tun"
)

// Device is an open TAP device of Linux. Its methods are safe for concurrent
// use; frames keep their order as long as one goroutine reads and one writes.
type Device struct {
	cfg      Config
	existing bool
	link     *link
	file     *os.File

	reader    batchReader
	writer    batchWriter
	closed    chan struct{} // closed when Close begins
	closeOnce sync.Once
	closeErr  error
	dropped   atomic.Uint64
}

// Open opens the TAP device cfg.Name, makes it when it does not exist, gives it
// MAC and MTU and sets it up. The MAC is set before the link goes up, so that
// the IPv6 link-local address is made of the right one. A device that exists
// already, made by an administrator for a user without privileges, is taken as
// it is where it has the wanted properties, which needs no capability; it keeps
// its persist flag and stays after Close.
//
// The device lives in the network namespace of the calling thread, and stays
// bound to it whichever thread uses it later. A failure is an *OpenError and
// leaves no descriptor behind.
func Open(cfg Config) (*Device, error) {
	return opener{node: nodePath}.open(cfg)
}

// opener is Open with what a test replaces.
type opener struct {
	node string // path of the TUN/TAP device node
}

func (o opener) open(cfg Config) (*Device, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	link, err := findLink(cfg.Name)
	if err != nil {
		return nil, err
	}
	d, err := o.attach(cfg, link)
	if err != nil {
		link.close()
		return nil, err
	}
	d.cfg.MAC, err = link.setUp(cfg.MAC, cfg.MTU)
	if err != nil {
		if !d.existing {
			link.delete() // also when cfg.Persist has made it permanent by now
		}
		d.Close()
		return nil, err
	}
	if !d.existing {
		link.lengthenQueue()
	}
	return d, nil
}

// attach opens the device through water and binds link to it.
func (o opener) attach(cfg Config, link *link) (*Device, error) {
	multi, err := link.checkKind()
	if err != nil {
		return nil, err
	}
	existing := link.exists()
	if err := probe(o.node, cfg.Name, existing, multi); err != nil {
		return nil, link.explain(err)
	}
	file, err := openWater(cfg, existing, multi)
	if err != nil {
		return nil, link.explain(&openFault{step: stepAttach, node: o.node, errno: errnoOf(err)})
	}
	if err := link.find(); err != nil {
		file.Close()
		return nil, link.refused("open "+cfg.Name, err)
	}
	conn, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, &OpenError{Sentence: "the TAP device cannot be waited for: " + err.Error() + "."}
	}
	d := &Device{cfg: cfg, existing: existing, link: link, file: file, closed: make(chan struct{})}
	d.reader.init(conn, unix.Read)
	d.writer.init(conn, unix.Write, &d.dropped)
	return d, nil
}

// openWater opens the device and marks it close-on-exec, which water forgets: a
// child process would keep the device alive after Close. ForkLock keeps other
// goroutines from starting a process between the two.
func openWater(cfg Config, existing, multi bool) (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	ifce, err := water.New(water.Config{
		DeviceType: water.TAP,
		PlatformSpecificParams: water.PlatformSpecificParams{
			Name: cfg.Name,
			// false would clear the flag of a device that others made to stay.
			Persist:    cfg.Persist || existing,
			MultiQueue: multi,
		},
	})
	if err != nil {
		return nil, err
	}
	file, ok := ifce.ReadWriteCloser.(*os.File)
	if !ok {
		ifce.Close()
		return nil, unix.ENOTSUP
	}
	conn, err := file.SyscallConn()
	if err == nil {
		err = conn.Control(func(fd uintptr) { unix.CloseOnExec(int(fd)) })
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Name returns the interface's name as it was when the device was opened.
func (d *Device) Name() string { return d.cfg.Name }

// MAC returns the interface's hardware address after Open set it up.
func (d *Device) MAC() [6]byte { return d.cfg.MAC }

// MTU returns the MTU in bytes that Open gave the interface.
func (d *Device) MTU() int { return d.cfg.MTU }

// Existing reports whether the interface was there before Open, in which case
// Close leaves it.
func (d *Device) Existing() bool { return d.existing }

// Dropped returns how many frames WriteBatch gave up because the link was down,
// the kernel had no memory, or the frame was shorter than an Ethernet header.
func (d *Device) Dropped() uint64 { return d.dropped.Load() }

// Close ends ReadBatch and WriteBatch wherever they wait and lets go of the
// interface, which disappears when Open made it and Config.Persist is not set.
// From an interface that stays because it was there before, the addresses that
// SetAddress added are taken off again. Further calls return what the first did.
func (d *Device) Close() error {
	d.closeOnce.Do(func() {
		close(d.closed)
		if d.existing {
			d.link.removeAdded()
		}
		d.closeErr = d.file.Close()
		d.link.close()
	})
	return d.closeErr
}

func (d *Device) isClosed() bool {
	select {
	case <-d.closed:
		return true
	default:
		return false
	}
}
