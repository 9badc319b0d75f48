package address

import (
	"net/netip"
	"os/exec"
	"slices"
	"testing"

	"hedgerow/integration/lab"
)

// A host with temporary addresses of the last days, or in a network that was renumbered,
// is looked for first at the addresses that it uses, and not at all at those that it may
// not use.
func TestDeprecatedAddressesComeLast(t *testing.T) {
	h := lab.Must(lab.ForTest(t).Island("host"))
	var got []netip.Addr
	err := h.Do(func() error {
		out, err := exec.Command("sh", "-ec", `
			ip link add eth1 type veth peer name far
			echo 1 >/proc/sys/net/ipv6/conf/eth1/accept_dad; ip link set eth1 up
			for day in 1 2 3 4 5 6 7; do ip -6 addr add 2001:db8:0:1::$day/64 nodad preferred_lft 0 dev eth1; done
			ip -6 addr add 2001:db8:0:2::1/64 nodad dev eth1
			ip -6 addr add 2001:db8:0:2::2/64 dev eth1
			ip addr add 192.0.2.1/24 dev eth1`).CombinedOutput()
		if err != nil {
			t.Log(string(out))
			return err
		}
		got, err = OfInterfaces(nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 9 || !slices.Contains(got[:2], parse("192.0.2.1")) || !slices.Contains(got[:2], parse("2001:db8:0:2::1")) || slices.Contains(got, parse("2001:db8:0:2::2")) {
		t.Errorf("the addresses are %v", got)
	}
	seen := netip.AddrPortFrom(parse("2001:db8:0:2::1"), 4000)
	list := Gather(Sources{Host: got, Port: 4000, Reflexive: []netip.AddrPort{seen}}, &Policy{})
	if !slices.Contains(list, Candidate{KindHost, seen}) || len(list) != maxHostsBeside+1 {
		t.Errorf("the candidates are %v", list)
	}
}
