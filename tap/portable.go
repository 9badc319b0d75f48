//go:build windows || darwin

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
	"sync/atomic"
	"syscall"

	"github.com/songgao/water"
)

// Device is an open TAP device. On this system it is songgao/water's: one frame
// a call, set up through the system's own command. It builds and follows the
// same contract as on Linux, but this project has not tested it; see the package
// comment for the driver it needs. One goroutine may read and one may write.
type Device struct {
	cfg       Config
	ifce      *water.Interface
	closed    chan struct{}
	closeOnce sync.Once
	closeErr  error
	dropped   atomic.Uint64

	mu    sync.Mutex // guards added, and keeps two changes from crossing
	added []netip.Prefix
}

// Open opens the TAP device cfg.Name and sets it up. The device must exist: its
// driver makes it, and it stays after Close, so Existing is always true and
// Config.Persist has no effect. A failure is an *OpenError.
func Open(cfg Config) (*Device, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
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
	return d, nil
}

// Name returns the interface's name.
func (d *Device) Name() string { return d.cfg.Name }

// MAC returns the interface's hardware address.
func (d *Device) MAC() [6]byte { return d.cfg.MAC }

// MTU returns the MTU in bytes that Open gave the interface.
func (d *Device) MTU() int { return d.cfg.MTU }

// Existing reports whether the interface was there before Open; here it always
// was.
func (d *Device) Existing() bool { return true }

// Dropped returns how many frames WriteBatch gave up because the driver refused
// them.
func (d *Device) Dropped() uint64 { return d.dropped.Load() }

// ReadBatch blocks for one frame and reads it. It returns ErrClosed once the
// device is closed.
func (d *Device) ReadBatch(fs []Frame) (n int, err error) {
	if len(fs) == 0 {
		return 0, nil
	}
	f := &fs[0]
	f.Len, err = d.ifce.Read(f.Buf[f.Off:])
	if err != nil {
		if d.isClosed() {
			return 0, ErrClosed
		}
		return 0, fmt.Errorf("TAP device %s: %w", d.cfg.Name, err)
	}
	f.Offload = Offload{}
	return 1, nil
}

// WriteBatch writes every frame and returns how many the driver took. One that
// it refuses is dropped and counted in Dropped. It returns ErrClosed once the
// device is closed.
func (d *Device) WriteBatch(fs []Frame) (n int, err error) {
	for i := range fs {
		if d.isClosed() {
			return n, ErrClosed
		}
		if _, err := d.ifce.Write(fs[i].Bytes()); err != nil {
			d.dropped.Add(1)
			continue
		}
		n++
	}
	return n, nil
}

// SetAddress gives the interface an address in place of the one of the same
// family that an earlier call gave it.
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

// RemoveAddress takes an address off the interface.
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

// Close takes off the addresses that were added and lets go of the interface.
func (d *Device) Close() error {
	d.closeOnce.Do(func() {
		close(d.closed)
		d.mu.Lock()
		for _, prefix := range slices.Clone(d.added) {
			_ = d.remove(prefix) // best effort, at the end
		}
		d.mu.Unlock()
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

// run runs one of the system's commands and returns what it complained of.
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

// errnoOf digs the errno out of a wrapped error; 0 when there is none.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	errors.As(err, &errno)
	return errno
}
