package tap

import (
	"encoding/json"
	"net/netip"
	"os"
	"testing"

	"github.com/vishvananda/netlink"
)

// handed hands a device over, by the text that passes between two processes.
func handed(t *testing.T, d *Device) (h HandedOver, files []*os.File) {
	t.Helper()
	h, files, err := d.HandOver()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, f := range files {
			_ = f.Close()
		}
	})
	b, err := json.Marshal(h)
	if err == nil {
		h = HandedOver{}
		err = json.Unmarshal(b, &h)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h, files
}

// A port that an administrator made is handed over: neither a successor that does not serve nor
// the process before changes anything at its end, and the one that serves leaves device and
// bridge as they were before the first.
func TestHandOverOfPort(t *testing.T) {
	enterNamespace(t)
	bridged(t, "br0", "eth1", 1500)
	if err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "edge0"}, Mode: netlink.TUNTAP_MODE_TAP}); err != nil {
		t.Fatal(err)
	}
	before := asked(t, "edge0")
	first := open(t, Config{Name: "edge0", MAC: testMAC, MTU: 1500, Port: Port{Bridge: "br0", Cost: 7, Address: true}})
	lease := netip.MustParsePrefix("10.64.0.7/24")
	if err := first.SetAddress(lease); err != nil {
		t.Fatal(err)
	}
	stays := func(after string) {
		t.Helper()
		own := asked(t, "edge0")
		list, err := netlink.AddrList(linkOf(t, "br0"), netlink.FAMILY_V4)
		if own.master == 0 || own.port.cost != 7 || own.mac != portMAC(testMAC) || err != nil || len(list) != 1 || setting(t, "edge0", "disable_ipv6") != "1" {
			t.Errorf("after %s the port is %+v, with the addresses %v, %v", after, own, list, err)
		}
	}
	h, files := handed(t, first)
	fails, err := Adopt(Config{Name: "edge0"}, h, files)
	if err != nil {
		t.Fatal(err)
	}
	if err := fails.Close(); err != nil {
		t.Error(err)
	}
	stays("a successor that has failed")
	next, err := Adopt(Config{Name: "edge0"}, h, files)
	if err != nil {
		t.Fatal(err)
	}
	next.Keep()
	first.Leave()
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	stays("the first process")
	if next.MAC() != testMAC || next.MTU() != 1500 || next.Features() != first.Features() || next.Name() != "edge0" || next.SetAddress(lease) != nil {
		t.Errorf("another device: %x, %d, %v", next.MAC(), next.MTU(), next.Features())
	}
	if _, _, err := first.HandOver(); err != ErrClosed {
		t.Errorf("a closed device is handed over: %v", err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
	if own := asked(t, "edge0"); own.master != 0 || own.mac != before.mac || setting(t, "edge0", "disable_ipv6") != "0" {
		t.Errorf("left as %+v, was %+v", own, before)
	}
	if list, err := netlink.AddrList(linkOf(t, "br0"), netlink.FAMILY_V4); err != nil || len(list) != 0 {
		t.Errorf("left on the bridge: %+v, %v", list, err)
	}
}

// A device of several queues that Open made is handed over, and goes with the last process.
func TestHandOverOfDevice(t *testing.T) {
	enterNamespace(t)
	first := open(t, Config{Name: "edge0", MAC: testMAC, Queues: 2})
	h, files := handed(t, first)
	if len(files) != len(first.Queues()) || h.Queues != len(files) {
		t.Fatalf("%d of %d queues", len(files), len(first.Queues()))
	}
	other := open(t, Config{Name: "edge1"})
	_, strange := handed(t, other)
	for _, bad := range [][]*os.File{nil, strange} {
		if d, err := Adopt(Config{}, h, bad); err == nil {
			t.Errorf("%s is adopted with %d queues of another device", d.Name(), len(bad))
		}
	}
	gone := h
	gone.Name = "edge7"
	if _, err := Adopt(Config{}, gone, files); err == nil {
		t.Error("an interface is adopted that there is not")
	}
	next, err := Adopt(Config{}, h, files)
	if err != nil {
		t.Fatal(err)
	}
	next.Keep()
	first.Leave()
	if err := first.Close(); err != nil || linkOf(t, "edge0") == nil {
		t.Fatalf("the device is gone: %v", err)
	}
	for _, f := range files {
		_ = f.Close()
	}
	if err := next.Close(); err != nil || linkOf(t, "edge0") != nil {
		t.Errorf("the device has stayed: %v", err)
	}
}
