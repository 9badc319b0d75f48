package stack

import (
	"os/exec"
	"testing"

	"hedgerow/integration/lab"
)

// A route to the internet is a default route of that IP version, or all the routes of the
// internet instead, that does not lead into the overlay.
func TestInternet(t *testing.T) {
	l := lab.ForTest(t)
	h := lab.Must(l.Island("host"))
	for _, tc := range []struct {
		commands  string
		four, six bool
	}{
		{`ip link add overlay index 77 type veth peer name far; ip link set overlay up; ip link set far up
			ip link add cable type veth peer name other; ip link set cable up; ip link set other up
			ip addr add 192.0.2.1/24 dev cable; ip -6 addr add 2001:db8::1/64 nodad dev cable`, false, false},
		{"ip route add default via 192.0.2.254 dev cable", true, false},
		{"ip -6 route add default via 2001:db8::ff dev cable", true, true},
		{"ip route replace default dev overlay", false, true},
		{"ip route del default; ip route add unreachable default", false, true},
		{"ip route add 193.0.0.0/16 via 192.0.2.254 dev cable", true, true},
		{"ip -6 route replace default dev overlay", true, false},
	} {
		err := h.Do(func() error {
			if out, err := exec.Command("sh", "-ec", tc.commands).CombinedOutput(); err != nil {
				t.Errorf("%s: %s", tc.commands, out)
				return err
			}
			s := New(77)
			if four, six := s.Internet(4), s.Internet(6); four != tc.four || six != tc.six {
				t.Errorf("after %s: IPv4 %v, IPv6 %v", tc.commands, four, six)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
