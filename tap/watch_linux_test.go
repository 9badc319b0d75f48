package tap

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// watched runs Watch beside a test, which wakes it by an event and reads what it tells.
type watched struct {
	t      *testing.T
	events chan struct{}
	told   chan Condition
	log    bytes.Buffer
	ended  func()
}

func watch(t *testing.T, d *Device) *watched {
	w := &watched{t: t, events: make(chan struct{}, 1), told: make(chan Condition, 64)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.Watch(ctx, Watching{Events: w.events, Most: 9000, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Tell: func(c Condition) { w.told <- c }})
	}()
	w.ended = func() { cancel(); <-done }
	t.Cleanup(w.ended)
	return w
}

// after wakes the watch and returns the first thing that it tells which holds.
func (w *watched) after(holds func(Condition) bool) Condition {
	w.t.Helper()
	w.events <- struct{}{}
	for {
		select {
		case c := <-w.told:
			if holds(c) {
				return c
			}
		case <-w.t.Context().Done():
			w.t.Fatal("nothing was told")
		}
	}
}

// says reports whether a condition has a note that begins with a text.
func says(text string) func(Condition) bool {
	return func(c Condition) bool {
		return slices.ContainsFunc(c.Notes, func(n string) bool { return strings.HasPrefix(n, text) })
	}
}

// The watch mends a port, follows its segment, gives a bridge that was made again its
// addresses back, and is silent when the device is closed.
func TestWatch(t *testing.T) {
	enterNamespace(t)
	bridged(t, "br0", "eth1", 1500)
	d := open(t, Config{Name: "edge0", MAC: testMAC, MTU: 1500, Port: Port{Bridge: "br0", Address: true}})
	lease := netip.MustParsePrefix("10.64.0.7/24")
	if err := d.SetAddress(lease); err != nil {
		t.Fatal(err)
	}
	w := watch(t, d)
	if c := <-w.told; c.MTU != 1500 || len(c.Notes) != 0 {
		t.Fatalf("at first %+v", c)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(netlink.LinkSetDown(linkOf(t, "edge0")))
	w.after(says("edge0 was set down by another program"))
	do(netlink.LinkSetNoMaster(linkOf(t, "edge0")))
	w.after(says("edge0 was taken out of br0 by another program"))
	do(netlink.LinkSetMTU(linkOf(t, "eth1"), 9000))
	w.after(func(c Condition) bool { return c.MTU == 9000 })
	if own := asked(t, "edge0"); !own.up || own.master != asked(t, "br0").index || own.mtu != 9000 || own.port.cost != DefaultCost {
		t.Errorf("the port is %+v", own)
	}
	do(netlink.LinkDel(linkOf(t, "br0")))
	w.after(says("the bridge br0 is gone"))
	do(netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	do(netlink.LinkSetUp(linkOf(t, "br0")))
	w.after(says("the bridge br0 was deleted and made again"))
	list, err := netlink.AddrList(linkOf(t, "br0"), netlink.FAMILY_V4)
	if err != nil || len(list) != 1 || prefixOf(&list[0]) != lease {
		t.Errorf("the bridge has %v, %v", list, err)
	}
	do(d.Close())
	w.events <- struct{}{}
	w.ended()
	if got := w.log.String(); strings.Contains(got, "unnoticed") {
		t.Errorf("after Close: %s", got)
	}
}

// However late a look was, the next one is at a moment of the phase.
func TestWatchRests(t *testing.T) {
	w := Watching{Events: make(chan struct{}), Phase: 33 * time.Second}
	for at, want := range map[time.Duration]time.Duration{
		0: 3 * time.Second, 2900 * time.Millisecond: 100 * time.Millisecond, 3 * time.Second: lookEvery,
		4 * time.Second: 9 * time.Second, 12 * time.Second: time.Second,
	} {
		if got := w.rest(time.Unix(0, 0).Add(at)); got != want {
			t.Errorf("%v after a look at %v, want %v", got, at, want)
		}
	}
	w.Events = nil
	if got := w.rest(time.Unix(4, 0)); got != pollEvery {
		t.Errorf("%v without events", got)
	}
}

// What the kernel says of interfaces and of the firewall is read without trust in its
// length.
func TestParseShort(t *testing.T) {
	l, err := openLinks()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	lo, err := l.byName("lo")
	if err != nil || lo == nil || lo.name != "lo" || lo.mtu == 0 {
		t.Fatalf("%+v, %v", lo, err)
	}
	junk := bytes.Repeat([]byte{8, 0, 18, 0, 4, 0, 2, 128}, 8)
	for n := range junk {
		_, _ = parseLink(junk[:n])
		_, _ = parseChain(2, junk[:n])
		_, _, _, _ = parseRule(junk[:n])
		isDrop(junk[:n])
	}
	if missing, err := l.byName("edge77"); missing != nil || err != nil {
		t.Errorf("%+v, %v", missing, err)
	}
	if missing, err := l.byIndex(1 << 30); missing != nil || err != nil {
		t.Errorf("%+v, %v", missing, err)
	}
}
