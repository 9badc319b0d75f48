package transport

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// The TOS of a datagram, and of all datagrams of a train, arrives with it, over IPv4 and
// IPv6, whichever way the socket moves them.
func TestTOSArrives(t *testing.T) {
	for name, opts := range manners {
		for _, loopback := range []string{"127.0.0.1", "::1"} {
			t.Run(name+" "+loopback, func(t *testing.T) {
				a, b := listen(t, opts), listen(t, opts)
				if !b.TellsTOS() {
					t.Fatal("this kernel tells no TOS")
				}
				var batch []Datagram
				var want []string
				for _, tos := range []uint8{0, 1, 2, 3, 0xb8, 0xb9, 0xff, 0} {
					train := datagram(at(t, b, loopback), "aaabbbc")
					train.Seg, train.TOS = 3, tos
					alone := datagram(train.Addr, "dd")
					alone.TOS = tos
					batch = append(batch, train, alone)
					for _, payload := range []string{"aaa", "bbb", "c", "dd"} {
						want = append(want, fmt.Sprintf("%s %#x", payload, tos))
					}
				}
				if n, err := a.WriteBatch(batch); n != len(batch) || err != nil {
					t.Fatal(n, err)
				}
				var got []string
				for len(got) < len(want) {
					for _, d := range readInto(t, b, buffers(8)) {
						for payload := range slices.Chunk(d.Payload(), cmp.Or(d.Seg, d.N)) {
							got = append(got, fmt.Sprintf("%s %#x", payload, d.TOS))
						}
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%v\nwant %v", got, want)
				}
			})
		}
	}
}

// A train that the kernel refuses is sent datagram by datagram with the same TOS.
func TestTOSOfTrainApart(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		a, b := listen(t, Options{}), listen(t, Options{})
		train := datagram(at(t, b, loopback), "aaabbb")
		train.Seg, train.TOS = 3, 2
		refuse(a, train, unix.EINVAL)
		for got := 0; got < train.N; {
			d := read(t, b)
			if got += d.N; d.TOS != 2 {
				t.Errorf("%s: TOS %#x", loopback, d.TOS)
			}
		}
	}
}

// The TOS is read whichever message tells it; what says nothing of it leaves 0.
func TestParseTOS(t *testing.T) {
	for name, tt := range map[string]struct {
		control []byte
		want    uint8
	}{
		"IPv4":            {message(unix.IPPROTO_IP, unix.IP_TOS, []byte{0xb9}), 0xb9},
		"IPv6":            {message(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, number(0xb9)), 0xb9},
		"behind another":  {slices.Concat(message(unix.IPPROTO_UDP, unix.UDP_GRO, number(7)), message(unix.IPPROTO_IP, unix.IP_TOS, []byte{3})), 3},
		"nothing":         {nil, 0},
		"without a value": {message(unix.IPPROTO_IP, unix.IP_TOS, nil), 0},
	} {
		if got := parseControl(tt.control).tos; got != tt.want {
			t.Errorf("%s: %#x, want %#x", name, got, tt.want)
		}
	}
}
