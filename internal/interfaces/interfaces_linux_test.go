package interfaces

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"hedgerow/integration/lab"
)

// ip runs commands of ip(8) in the thread's namespace.
func ip(commands ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s", err, out)
	}
	return nil
}

// Interfaces are listed with their addresses, and what the kernel says of these.
func TestList(t *testing.T) {
	h := lab.Must(lab.ForTest(t).Island("host"))
	err := h.Do(func() error {
		if err := ip("link add eth1 type veth peer name far"); err != nil {
			return err
		}
		// It waits for the carrier, which comes with the other end alone.
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth1/accept_dad", []byte("1"), 0); err != nil {
			return err
		}
		err := ip("link set eth1 up", "addr add 192.0.2.1/24 dev eth1", "addr add 2001:db8::1/64 dev eth1 nodad",
			"addr add 2001:db8::2/64 dev eth1 nodad preferred_lft 0", "addr add 2001:db8::3/64 dev eth1")
		if err != nil {
			return err
		}
		list, err := List()
		if err != nil {
			return err
		}
		got := make(map[string]Address)
		for _, i := range list {
			for _, a := range i.Addresses {
				got[i.Name+" "+a.String()] = a
			}
		}
		for name, want := range map[string]Address{
			"eth1 192.0.2.1/24":   {},
			"eth1 2001:db8::1/64": {},
			"eth1 2001:db8::2/64": {Deprecated: true},
			"eth1 2001:db8::3/64": {Unusable: true},
		} {
			a, found := got[name]
			want.Prefix = a.Prefix
			if !found || a != want {
				t.Errorf("%s: %v %+v", name, found, a)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The cost of a list grows with the number of interfaces, and not with its square.
func TestManyInterfaces(t *testing.T) {
	h := lab.Must(lab.ForTest(t).Island("host"))
	err := h.Do(func() error {
		grow := func(from, to int) error {
			var commands []string
			for i := from; i < to; i++ {
				commands = append(commands, fmt.Sprintf("link add br%d type bridge", i), fmt.Sprintf("addr add 172.16.%d.%d/32 dev br%[3]d", i/250, 1+i%250, i))
			}
			return ip(commands...)
		}
		cost := func() float64 {
			return testing.AllocsPerRun(3, func() {
				if _, err := List(); err != nil {
					t.Error(err)
				}
			})
		}
		if err := grow(0, 40); err != nil {
			return err
		}
		few := cost()
		if err := grow(40, 160); err != nil {
			return err
		}
		many := cost()
		t.Logf("%v allocations with 40 interfaces, %v with 160", few, many)
		if many > 6*few { // 4 times as many interfaces
			t.Errorf("%v allocations with 40 interfaces, %v with 160", few, many)
		}
		list, err := List()
		if err != nil {
			return err
		}
		last := list[len(list)-1]
		if want := netip.MustParsePrefix("172.16.0.160/32"); last.Name != "br159" || len(last.Addresses) != 1 || last.Addresses[0].Prefix != want {
			t.Errorf("the last of them is %s with %v", last.Name, last.Addresses)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
