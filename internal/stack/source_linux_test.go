package stack

import (
	"net/netip"
	"os/exec"
	"testing"

	"hedgerow/integration/lab"
)

// An address is one to leave from where the kernel would choose another one, and where
// what leaves from there goes out by the interface that has it.
func TestNeedsSource(t *testing.T) {
	l := lab.ForTest(t)
	h := lab.Must(l.Island("host"))
	type cases map[string]bool
	check := func(when, commands string, want cases) {
		t.Helper()
		got := make(cases)
		err := h.Do(func() error {
			if out, err := exec.Command("sh", "-ec", commands).CombinedOutput(); err != nil {
				t.Errorf("%s: %s", when, out)
				return err
			}
			for local := range want {
				a, to := netip.MustParseAddr(local), netip.MustParseAddr("203.0.113.1")
				if a.Is6() {
					to = netip.MustParseAddr("2001:db8:ff::1")
				}
				got[local] = New(0).NeedsSource(to, a)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for local, needed := range want {
			if got[local] != needed {
				t.Errorf("%s, %s: %v, want %v", when, local, got[local], needed)
			}
		}
	}
	check("two uplinks", `
		ip link set lo up; ip addr add 192.0.2.77/32 dev lo
		ip link add cable type veth peer name far; ip link set cable up; ip link set far up
		ip link add wifi type veth peer name air; ip link set wifi up; ip link set air up
		ip addr add 192.0.2.1/24 dev cable; ip addr add 192.0.2.2/24 dev cable
		ip -6 addr add 2001:db8::1/64 nodad dev cable; ip -6 addr add 2001:db8::2/64 nodad preferred_lft 0 dev cable
		ip addr add 198.51.100.1/24 dev wifi
		ip route add default via 192.0.2.254 dev cable; ip -6 route add default via 2001:db8::ff dev cable
		ip route add default via 198.51.100.254 dev wifi metric 500`, cases{
		"192.0.2.1": false, "192.0.2.2": true, "192.0.2.77": true, "198.51.100.1": false, "198.51.100.9": false,
		"2001:db8::1": false, "2001:db8::2": true, "2001:db8::9": false, "fe80::1%cable": false,
	})
	check("policy routing", `ip rule add from 198.51.100.1 lookup 100
		ip route add default via 198.51.100.254 dev wifi table 100`, cases{"192.0.2.1": false, "198.51.100.1": true})
	check("without the cable", "ip link set cable down", cases{"198.51.100.1": false})
}
