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

// TestAddressBeforeAnySupernode: while no supernode answers a restarted edge has the address
// of its last run, or the one that the user insists on; the first one that answers decides
// whether it keeps it.
func TestAddressBeforeAnySupernode(t *testing.T) {
	had, other := netip.MustParsePrefix("10.64.0.7/24"), netip.MustParsePrefix("10.64.0.8/24")
	static := Address{Mode: AddressStatic, Prefix: had}
	for name, c := range map[string]struct {
		address Address
		saved   string
		answer  protocol.Ack
		first   bool // it has the address before there is an answer
		then    netip.Prefix
	}{
		"granted again":           {saved: "10.64.0.7/24", answer: protocol.Ack{Lease: had}, first: true, then: had},
		"another one":             {saved: "10.64.0.7/24", answer: protocol.Ack{Lease: other, Code: protocol.CodeIPTaken, Holder: host(1)}, first: true, then: other},
		"in a network that grew":  {saved: "10.64.0.7/24", answer: protocol.Ack{Lease: netip.MustParsePrefix("10.64.0.7/18")}, first: true, then: netip.MustParsePrefix("10.64.0.7/18")},
		"none is free":            {saved: "10.64.0.7/24", answer: protocol.Ack{Code: protocol.CodePool}, first: true},
		"the first start":         {answer: protocol.Ack{Lease: other}, then: other},
		"a public one":            {saved: "8.8.8.7/24", answer: protocol.Ack{Lease: other}, then: other},
		"static":                  {address: static, answer: protocol.Ack{Lease: had}, first: true, then: had},
		"none is wanted any more": {address: Address{Mode: AddressNone}, saved: "10.64.0.7/24", answer: protocol.Ack{}},
	} {
		e := newEdge(t, func(cfg *Config) { cfg.Address = c.address })
		e.state.saved.Lease = c.saved
		if err := e.begin(noon); err != nil {
			t.Fatal(err)
		}
		if has := slices.Contains(e.device.have, had); has != c.first {
			t.Errorf("%s: before an answer the device has %v", name, e.device.have)
		}
		e.servers.addresses.granted(noon, e.servers.list[0], c.answer)
		if a := e.servers.addresses; a.lease != c.then || a.trouble.assumed || c.then.IsValid() != slices.Contains(e.device.have, c.then) || c.then != had && slices.Contains(e.device.have, had) {
			t.Errorf("%s: then it has %v, the device %v", name, a.lease, e.device.have)
		}
	}
}

// TestStaticAddressOfAnother: a static address that the device has before a supernode answers
// is taken from it when the first one says that it is another edge's, and Run ends.
func TestStaticAddressOfAnother(t *testing.T) {
	had := netip.MustParsePrefix("10.64.0.7/24")
	v := newServer(t, func(c *Config) { c.Address = Address{Mode: AddressStatic, Prefix: had} })
	v.servers.addresses.assume(noon)
	if !slices.Contains(v.device.have, had) {
		t.Fatalf("the device has %v", v.device.have)
	}
	v.answer(noon)
	m := protocol.Nak{Code: protocol.CodeIPTaken, Retry: 30, Prefix: had, Holder: host(1)}
	v.say(noon, m.Append(nil))
	if a := v.servers.addresses; slices.Contains(v.device.have, had) || !a.taken || a.features(v.s) != protocol.FeatureStatic {
		t.Errorf("the device has %v, Run ends: %v, asks with %x", v.device.have, a.taken, a.features(v.s))
	}
}

// TestNetworkThatGrew: a lease with another length is taken where the network has grown, and
// by nobody who insists on his.
func TestNetworkThatGrew(t *testing.T) {
	old, grown := netip.MustParsePrefix("10.64.0.7/20"), netip.MustParsePrefix("10.64.0.7/18")
	e := newEdge(t, nil)
	a := e.servers.addresses
	for i, lease := range []netip.Prefix{old, grown, old} { // an older supernode does not shrink it
		a.granted(noon, e.servers.list[0], protocol.Ack{Lease: lease})
		if want := []netip.Prefix{old, grown, grown}[i]; a.lease != want || !slices.Contains(e.device.have, want) {
			t.Errorf("leased %v it has %v, the device %v", lease, a.lease, e.device.have)
		}
	}
}

// TestNoFreeAddress: an edge for which there is no address says so once, and in status, and
// asks again in a minute.
func TestNoFreeAddress(t *testing.T) {
	v := newServer(t, nil)
	v.answer(noon)
	m := ack(1)
	m.Lease, m.LeaseSeconds, m.Code = netip.Prefix{}, 0, protocol.CodePool
	for range 2 {
		v.say(noon, m.Append(nil))
	}
	if told := v.told(control.EventNoLease); len(told) != 1 || !v.s.registered() {
		t.Errorf("told %v, registered %v", told, v.s.registered())
	}
	if at := v.s.grant.renew.At(); !at.Equal(noon.Add(poolAgain)) {
		t.Errorf("it asks again at %v", at)
	}
	if notes := v.status(noon).Notes; !slices.Contains(notes, control.NoLease(v.s.cfg.Name)) {
		t.Errorf("status says %q", notes)
	}
	m = ack(1)
	v.say(noon, m.Append(nil))
	if notes := v.status(noon).Notes; slices.Contains(notes, control.NoLease(v.s.cfg.Name)) || !v.servers.addresses.lease.IsValid() {
		t.Errorf("with an address status says %q", notes)
	}
}
