package tap

import (
	"errors"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// running reports whether an interface has a carrier.
func running(t *testing.T, name string) bool {
	t.Helper()
	return linkOf(t, name).Attrs().RawFlags&uint32(0x10000) != 0 // IFF_LOWER_UP
}

// A device is opened without a carrier, and then has the one that SetCarrier says: the
// link-local address is made when there is one for the first time.
func TestCarrier(t *testing.T) {
	enterNamespace(t)
	d := open(t, Config{Name: "mesh0", MAC: testMAC, NoCarrier: true})
	addresses := func() int {
		list, err := netlink.AddrList(linkOf(t, "mesh0"), netlink.FAMILY_V6)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if !flagsUp(linkOf(t, "mesh0")) || running(t, "mesh0") || addresses() != 0 {
		t.Errorf("opened: up %v, carrier %v, %d addresses", flagsUp(linkOf(t, "mesh0")), running(t, "mesh0"), addresses())
	}
	for _, up := range []bool{true, false, false, true} {
		if err := d.SetCarrier(up); err != nil {
			t.Fatal(err)
		}
		if running(t, "mesh0") != up {
			t.Errorf("the carrier is %v, want %v", !up, up)
		}
	}
	// The kernel makes the address when it handles the carrier's change.
	for deadline := time.Now().Add(10 * time.Second); addresses() != 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no link-local address")
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.SetCarrier(true); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}
