package stack

import (
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	"hedgerow/integration/lab"
)

// An uplink is an interface with an IPv4 address by which a router leads to an address,
// and not the preferred one, nor one that is down, in the stack, or without a router.
func TestUplinks(t *testing.T) {
	l := lab.ForTest(t)
	h := lab.Must(l.Island("host"))
	to := netip.MustParseAddr("203.0.113.1")
	for _, tc := range []struct {
		commands string
		want     []string
	}{
		{`ip link add overlay index 77 type veth peer name far; ip link set overlay up; ip link set far up
			ip addr add 10.99.0.1/24 dev overlay; ip route add default via 10.99.0.2 dev overlay metric 900
			for n in 1 2 3; do ip link add wan$n type veth peer name isp$n; ip link set wan$n up; ip link set isp$n up
			ip addr add 192.0.2.$((16*n+1))/28 dev wan$n; done
			ip route add default via 192.0.2.18 dev wan1 metric 100`, nil},
		{"ip route add default via 192.0.2.34 dev wan2 metric 200", []string{"wan2"}},
		{"ip route add 203.0.113.0/24 via 192.0.2.50 dev wan3", []string{"wan1", "wan2"}},
		{"ip link set wan2 down", []string{"wan1"}},
		{"ip route del 203.0.113.0/24; ip route del default dev wan1", nil},
	} {
		err := h.Do(func() error {
			if out, err := exec.Command("sh", "-ec", tc.commands).CombinedOutput(); err != nil {
				t.Errorf("%s: %s", tc.commands, out)
				return err
			}
			got := New(77).Uplinks(to)
			slices.Sort(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("after %s: %q, want %q", tc.commands, got, tc.want)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
