package edge

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"hedgerow/edge/control"
	"hedgerow/protocol"
	"hedgerow/tap"
)

// refusingDevice takes no address.
type refusingDevice struct{ memoryDevice }

func (*refusingDevice) SetAddress(netip.Prefix) error { return errors.New("refused") }

// TestLeases holds what is asked for and what comes of a lease: the first one stands
// and is asked for from then on, also at the next start.
func TestLeases(t *testing.T) {
	dir, first, second := t.TempDir(), netip.MustParsePrefix("10.64.0.7/24"), netip.MustParsePrefix("10.64.0.8/24")
	e := newEdge(t, inDir(dir))
	a := e.servers.addresses
	if a.wanted(new(supernode)).IsValid() || a.features(new(supernode)) != 0 {
		t.Errorf("wants %v", a.wanted(new(supernode)))
	}
	for _, lease := range []netip.Prefix{{}, first, second, first} {
		a.granted(noon, e.servers.list[0], protocol.Ack{Lease: lease})
	}
	if a.lease != first || a.wanted(new(supernode)) != first || !slices.Contains(e.device.have, first) || slices.Contains(e.device.have, second) || len(e.told(control.EventLease)) != 1 {
		t.Errorf("leases %v, the device has %v", a.lease, e.device.have)
	}
	if e.settle(noon); a.changed {
		t.Error("the peers were not told")
	}
	e.state.keepNow()
	if got := newEdge(t, inDir(dir)).servers.addresses.wanted(new(supernode)); got != first {
		t.Errorf("wants %v at the next start", got)
	}
	for _, c := range []struct {
		mode     Address
		wanted   netip.Prefix
		features uint32
		replaced int // how often the user is told of another address than the one wanted
	}{
		{Address{Mode: AddressNone, Prefix: second}, netip.Prefix{}, protocol.FeatureNoAddress, 0},
		{Address{Mode: AddressStatic, Prefix: second}, second, protocol.FeatureStatic, 0},
		{Address{Mode: AddressPrefer, Prefix: second}, second, 0, 1},
	} {
		e := newEdge(t, func(cfg *Config) { cfg.Address = c.mode })
		a := e.servers.addresses
		if a.wanted(new(supernode)) != c.wanted || a.features(new(supernode)) != c.features {
			t.Errorf("%v: wants %v, features %x", c.mode, a.wanted(new(supernode)), a.features(new(supernode)))
		}
		a.granted(noon, e.servers.list[0], protocol.Ack{Lease: first, Code: protocol.CodeIPTaken, Holder: host(1)})
		if told := e.told(control.EventAddressReplaced); len(told) != c.replaced || len(told) == 1 && (told[0].Wanted != c.mode.Prefix || told[0].MAC != host(1)) {
			t.Errorf("%v: told %v", c.mode, told)
		}
		if n := len(e.told(control.EventLeaseRefused)); n != 1-c.replaced {
			t.Errorf("%v: told %d times of a lease that was not asked for", c.mode, n)
		}
	}
	refusing := newEdge(t, func(c *Config) { c.Device = &refusingDevice{} })
	if len(refusing.servers.addresses.prefixes) != 0 {
		t.Error("an address that the device has refused is told to peers")
	}
}

// fickleDevice fails to take the addresses of one family as long as err is set.
type fickleDevice struct {
	memoryDevice
	err error
}

func (d *fickleDevice) SetAddress(p netip.Prefix) error {
	if p.Addr().Is6() && d.err != nil {
		return d.err
	}
	return d.memoryDevice.SetAddress(p)
}

// An address that the device does not get is in status until it gets one, but not where
// the machine has no IPv6: its user wants none.
func TestAddressFault(t *testing.T) {
	own, lease := netip.MustParsePrefix("fd00::7/64"), netip.MustParsePrefix("10.64.0.7/24")
	d := new(fickleDevice)
	e := newEdge(t, func(c *Config) { c.Device = d })
	d.err = errors.New("refused")
	a := e.servers.addresses
	a.set(noon, own)
	a.set(noon, lease)
	if got := a.notes(); len(got) != 1 || got[0] != "the device has not got its address fd00::7/64: refused. Nobody reaches this host there." {
		t.Errorf("%q", got)
	}
	d.err = nil
	if a.set(noon, own); len(a.notes()) != 0 {
		t.Errorf("%q", a.notes())
	}
	d.err = fmt.Errorf("wrapped: %w", tap.ErrNoIPv6)
	if a.set(noon, own); len(a.notes()) != 0 {
		t.Errorf("without IPv6: %q", a.notes())
	}
}
