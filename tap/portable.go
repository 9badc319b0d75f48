//go:build !linux

package tap

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/songgao/water"
)

// Device is an open TAP device. But on Linux it is songgao/water's: one queue
// of plain frames, set up through the system's own command. It builds and follows
// the same contract as on Linux, but this project has not tested it; see the
// package comment for the driver it needs, and where Open always fails. Its methods
// are safe for concurrent use.
type Device struct {
	cfg       Config
	ifce      *water.Interface
	queue     *Queue // nil until the device is set up
	closed    chan struct{}
	closeOnce sync.Once
	closeErr  error

	mu    sync.Mutex // guards added, and keeps two changes from crossing
	added []netip.Prefix
}

// Queue is the one queue of a device. Its methods are safe for concurrent use;
// frames keep their order as long as one goroutine reads and one writes.
type Queue struct {
	device *Device
	pump   *pump
	tally
}

// Open opens the TAP device cfg.Name and sets it up. The device must exist: its
// driver makes it, and it stays after Close. The backend is always water; with
// BackendNative Open fails. A failure is an *OpenError.
func Open(cfg Config) (*Device, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Backend == BackendNative {
		return nil, &OpenError{Sentence: fmt.Sprintf("cannot open %s: the native TAP backend is for Linux only. Use --tap-backend auto.", cfg.Name)}
	}
	ifce, err := openWater(cfg)
	if err != nil {
		return nil, err
	}
	d := &Device{cfg: cfg, ifce: ifce, closed: make(chan struct{})}
	if err := d.setUp(); err != nil {
		d.Close()
		return nil, err
	}
	d.queue = &Queue{device: d, pump: newPump(ifce, max(cfg.MTU, 1500)+14+2*4)} // header and two VLAN tags
	return d, nil
}

// Name returns the interface's name.
func (d *Device) Name() string { return d.cfg.Name }

// MAC returns the interface's hardware address.
func (d *Device) MAC() [6]byte { return d.cfg.MAC }

// MTU returns the MTU in bytes that Open gave the interface.
func (d *Device) MTU() int { return d.cfg.MTU }

// Features returns 0: water moves plain frames.
func (d *Device) Features() Features { return 0 }

// Queues returns the one queue.
func (d *Device) Queues() []*Queue { return []*Queue{d.queue} }

// Dropped returns how many frames WriteBatch gave up because the driver refused
// them or they were malformed.
func (d *Device) Dropped() uint64 { return d.queue.dropped.Load() }

// Ready returns a channel that holds a token when ReadBatch may have something
// to return since it last returned nothing, be it an error. One goroutine may
// wait for it.
func (q *Queue) Ready() <-chan struct{} { return q.pump.ready }

// Counters returns the queue's counters. Reads counts the calls of ReadBatch: a
// goroutine of the queue's own reads ahead of them.
func (q *Queue) Counters() Counters { return q.snapshot() }

// ReadBatch reads up to len(fs) waiting frames; it never blocks, and returns 0
// and nil when none waits. It returns ErrClosed once the device is closed;
// another error comes after the frames that were read before it.
func (q *Queue) ReadBatch(fs []Frame) (n int, err error) {
	if q.device.isClosed() {
		return 0, ErrClosed
	}
	if q.device.cfg.OneFrame && len(fs) > 1 {
		fs = fs[:1]
	}
	n, err = q.pump.pop(fs)
	q.reads.Add(1)
	add(&q.framesIn, n)
	if err != nil {
		return n, fmt.Errorf("TAP device %s: %w", q.device.cfg.Name, err)
	}
	return n, nil
}

// WriteBatch writes every frame and returns how many the driver accepted. A
// frame that it refuses is dropped and counted in Dropped, as is a super-frame.
// It returns ErrClosed once the device is closed.
func (q *Queue) WriteBatch(fs []Frame) (n int, err error) {
	calls := 0
	for i := range fs {
		if q.device.isClosed() {
			err = ErrClosed
			break
		}
		if !fs[i].makePlain() {
			continue
		}
		calls++
		if _, refused := q.device.ifce.Write(fs[i].Bytes()); refused == nil {
			n++
		}
	}
	add(&q.writes, calls)
	add(&q.framesOut, n)
	if err == nil {
		add(&q.dropped, len(fs)-n)
	}
	return n, err
}

// SetAddress adds an address to the interface and removes the one of the same
// family that an earlier call added.
func (d *Device) SetAddress(prefix netip.Prefix) error {
	if !prefix.IsValid() {
		return errors.New("no address given")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isClosed() {
		return ErrClosed
	}
	for _, old := range slices.Clone(d.added) {
		if old == prefix {
			return nil
		}
		if old.Addr().Is4() == prefix.Addr().Is4() {
			if err := d.remove(old); err != nil {
				return err
			}
		}
	}
	if err := run(addressCommand(d.cfg.Name, prefix, true)); err != nil {
		return fmt.Errorf("cannot give %s the address %s: %w", d.cfg.Name, prefix, err)
	}
	d.added = append(d.added, prefix)
	return nil
}

// RemoveAddress removes an address from the interface.
func (d *Device) RemoveAddress(prefix netip.Prefix) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.remove(prefix)
}

func (d *Device) remove(prefix netip.Prefix) error {
	if err := run(addressCommand(d.cfg.Name, prefix, false)); err != nil {
		return fmt.Errorf("cannot remove the address %s from %s: %w", prefix, d.cfg.Name, err)
	}
	d.added = slices.DeleteFunc(d.added, func(p netip.Prefix) bool { return p == prefix })
	return nil
}

// Close removes the addresses that were added and closes the device. It leaves a
// token in Ready.
func (d *Device) Close() error {
	d.closeOnce.Do(func() {
		close(d.closed)
		d.mu.Lock()
		for _, prefix := range slices.Clone(d.added) {
			_ = d.remove(prefix) // best effort, at the end
		}
		d.mu.Unlock()
		if d.queue != nil {
			close(d.queue.pump.stop)
			d.queue.pump.signal()
		}
		d.closeErr = d.ifce.Close()
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

// currentMAC reads the interface's hardware address.
func (d *Device) currentMAC() (mac [6]byte, err error) {
	ifi, err := net.InterfaceByName(d.cfg.Name)
	if err != nil {
		return mac, err
	}
	copy(mac[:], ifi.HardwareAddr)
	return mac, nil
}

// run runs one of the system's commands and returns its complaint as an error.
func run(argv []string) error {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err == nil {
		return nil
	}
	if text := strings.Join(strings.Fields(string(out)), " "); text != "" {
		return fmt.Errorf("%s: %s", argv[0], text)
	}
	return fmt.Errorf("%s: %w", argv[0], err)
}

// errnoOf returns the errno in a wrapped error; 0 when there is none.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	errors.As(err, &errno)
	return errno
}
