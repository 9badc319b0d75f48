package edge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/tap"
)

// Status tells what became of the device, and which bridges' LANs carry less than the
// one here does now. Plain edges and bridges that carry as much are not named.
func TestStatusOfDevice(t *testing.T) {
	cfg := testConfig()
	cfg.Ethernet.Bridge, cfg.Ethernet.MTU = true, 1500
	now := tap.Condition{MTU: 9000, Bridge: "br0", Notes: []string{"edge0 was renamed"}}
	cfg.Host.Own.Device = func() tap.Condition { return now }
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i, mtu := range []int{1500, 1500, 1500, 1500, 9000, 0, 1370} {
		p := e.peers.meet(time.Now(), [32]byte{31: byte(i + 1)})
		p.identity.raw, p.about.Name, p.place.mtu = []byte{1}, "left"+string(rune('a'+i)), mtu
		if mtu != 1370 {
			p.view.SetFeatures(protocol.FeatureBridge)
		}
	}
	s := e.status(time.Now())
	if s.MTU != 9000 || s.Ethernet.Bridge != "br0" || len(s.Notes) < 1+narrowerShown || s.Notes[0] != "edge0 was renamed" {
		t.Fatalf("%+v", s)
	}
	const want = "the LAN behind lefta carries 1500 bytes and the one here 9000: longer frames from here vanish there without a word. " +
		"Type on one of the two, for its bridge and each port of it: ip link set br0 mtu, and the other's number. [E17]"
	if s.Notes[1] != want {
		t.Errorf("%q", s.Notes[1])
	}
	if n := len(slices.DeleteFunc(s.Notes, func(n string) bool { return !strings.Contains(n, "E17") })); n != narrowerShown {
		t.Errorf("%d bridges named", n)
	}
	now = tap.Condition{}
	if s := e.status(time.Now()); s.MTU != 1500 || len(slices.DeleteFunc(s.Notes, func(n string) bool { return !strings.Contains(n, "E17") })) > 0 {
		t.Errorf("before the first look: %+v", s)
	}
}
