//go:build !linux && !windows && !darwin

package tap

import (
	"fmt"
	"net/netip"
	"runtime"
)

const (
	maxName         = MaxName
	forbiddenInName = "/:% \t"
)

// Device is never opened on this system; its methods are here so that the
// packages which use them build.
type Device struct{}

// Open fails: the backend, songgao/water, does not support the TAP devices of
// this system, although it has them. A supernode runs here; an edge does not.
func Open(cfg Config) (*Device, error) {
	if err := cfg.withDefaults().validate(); err != nil {
		return nil, err
	}
	return nil, &OpenError{Sentence: fmt.Sprintf("cannot open %s: TAP devices of %s are not supported yet. A supernode runs here; run the edge on Linux, for instance on the router.", cfg.Name, runtime.GOOS)}
}

// Name returns the empty string.
func (d *Device) Name() string { return "" }

// MAC returns zeros.
func (d *Device) MAC() [6]byte { return [6]byte{} }

// MTU returns 0.
func (d *Device) MTU() int { return 0 }

// Existing returns false.
func (d *Device) Existing() bool { return false }

// Dropped returns 0.
func (d *Device) Dropped() uint64 { return 0 }

// Features returns 0.
func (d *Device) Features() Features { return 0 }

// Queues returns nil.
func (d *Device) Queues() []*Queue { return nil }

// SetAddress returns ErrClosed.
func (d *Device) SetAddress(netip.Prefix) error { return ErrClosed }

// RemoveAddress returns ErrClosed.
func (d *Device) RemoveAddress(netip.Prefix) error { return ErrClosed }

// SetUp returns ErrClosed.
func (d *Device) SetUp(bool) error { return ErrClosed }

// Close does nothing.
func (d *Device) Close() error { return nil }

// Queue is a queue of a Device, and so never made either.
type Queue struct{}

// Ready returns nil.
func (q *Queue) Ready() <-chan struct{} { return nil }

// Counters returns zeros.
func (q *Queue) Counters() Counters { return Counters{} }

// ReadBatch returns ErrClosed.
func (q *Queue) ReadBatch([]Frame) (n int, err error) { return 0, ErrClosed }

// WriteBatch returns ErrClosed.
func (q *Queue) WriteBatch([]Frame) (n int, err error) { return 0, ErrClosed }
