package transport

import (
	"net/netip"
	"strings"
	"testing"
)

// TestOneAddress: sockets with an address of their own have the same port beside each other,
// get what is sent to theirs alone, and send from it.
func TestOneAddress(t *testing.T) {
	opens := map[string]func(port uint16, address string) (socket, error){
		"UDP": func(port uint16, address string) (socket, error) {
			return ListenUDP(port, Options{Address: netip.MustParseAddr(address)})
		},
		"polled": func(port uint16, address string) (socket, error) {
			u := new(polled)
			return u, u.open(port, Options{Address: netip.MustParseAddr(address)})
		},
	}
	for name, open := range opens {
		t.Run(name, func(t *testing.T) {
			var port uint16
			var sockets []socket
			for _, address := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
				u, err := open(port, address)
				if err != nil {
					t.Fatal(err)
				}
				defer u.Close()
				port = u.LocalAddr().Port()
				if want := netip.AddrPortFrom(netip.MustParseAddr(address), port); u.LocalAddr() != want {
					t.Errorf("%v instead of %v", u.LocalAddr(), want)
				}
				sockets = append(sockets, u)
			}
			for _, pair := range [][2]int{{0, 1}, {1, 0}, {2, 2}} {
				from, to := sockets[pair[0]], sockets[pair[1]]
				if n, err := from.WriteBatch([]Datagram{datagram(to.LocalAddr(), "x")}); n != 1 || err != nil {
					t.Fatalf("%v: %d, %v", pair, n, err)
				}
				if d := read(t, to); d.Addr != from.LocalAddr() || string(d.Payload()) != "x" {
					t.Errorf("%q from %v", d.Payload(), d.Addr)
				}
			}
			if _, err := open(port, "127.0.0.2"); err == nil || !strings.Contains(err.Error(), "is taken by") {
				t.Errorf("opened twice: %v", err)
			}
			for _, elsewhere := range []string{"192.0.2.7", "2001:db8::7"} {
				if _, err := open(0, elsewhere); err == nil || !strings.Contains(err.Error(), elsewhere+" is no address of this host") {
					t.Errorf("%s: %v", elsewhere, err)
				}
			}
			// Every address, of IPv4 or of both.
			for address, of := range map[string][]string{"0.0.0.0": {"127.0.0.3"}, "::": {"127.0.0.3", "::1"}} {
				u, err := open(0, address)
				if err != nil {
					t.Fatal(err)
				}
				defer u.Close()
				for _, a := range of {
					from := sockets[0]
					if strings.Contains(a, ":") {
						from = sockets[2]
					}
					if _, err := from.WriteBatch([]Datagram{datagram(netip.AddrPortFrom(netip.MustParseAddr(a), u.LocalAddr().Port()), a)}); err != nil {
						t.Fatal(err)
					}
					if d := read(t, u); string(d.Payload()) != a {
						t.Errorf("%q instead of %s", d.Payload(), a)
					}
				}
			}
		})
	}
	if group, err := ListenUDPGroup(0, 3, Options{Address: netip.MustParseAddr("127.0.0.1")}); err != nil || len(group) != 1 {
		t.Errorf("a group of %d, %v", len(group), err)
	} else {
		group[0].Close()
	}
}
