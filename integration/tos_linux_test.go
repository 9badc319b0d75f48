package integration

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/tap/offload"
)

// roads are the paths between two edges, by what carries them.
var roads = map[string]struct {
	path      control.Path
	supernode string // as the edges name it
}{
	"direct, IPv4":  {control.PathDirect, overIPv4},
	"direct, IPv6":  {control.PathDirect, overIPv6},
	"relayed, IPv4": {control.PathRelay, overIPv4},
	"relayed, IPv6": {control.PathRelay, overIPv6},
}

// road makes two edges that reach each other by a road of that name, and by no other: frames
// go both ways for a while after a direct path was found, if there may be a relay.
func (w *town) road(name string, more ...string) (left, right *member) {
	w.t.Helper()
	r := roads[name]
	addresses := map[string][]string{overIPv4: {"198.51.100.1", "198.51.100.2"}, overIPv6: {"2001:db8:2::1", "2001:db8:2::2"}}[r.supernode]
	if r.path == control.PathRelay {
		must(w.t, w.Internet().Cut(netip.MustParseAddr(addresses[0]), netip.MustParseAddr(addresses[1])))
	} else {
		more = append(more[:len(more):len(more)], "--no-relay")
	}
	left = w.join(lab.Must(w.Host("left", addresses[0])), r.supernode, more...)
	right = w.join(lab.Must(w.Host("right", addresses[1])), r.supernode, more...)
	left.meet(right.addr(), answerWithin)
	left.reach(right, r.path)
	right.reach(left, r.path)
	return left, right
}

// A router on the way marks what can be marked: the marks come out of the overlay, on
// single datagrams and on the segments of TCP, through a supernode as well, over IPv4 and
// IPv6; nothing else is changed, and nothing is lost.
func TestCongestionMarks(t *testing.T) {
	t.Parallel()
	for name, r := range roads {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t, time.Minute)
			left, right := w.road(name)
			before := right.Host // what is marked is marked where it arrives
			if r.path == control.PathRelay {
				before = w.super.Host
			}
			w.sh(before, `nft 'add table inet marker; add chain inet marker in { type filter hook prerouting priority raw; };
				add rule inet marker in iifname eth0 meta l4proto udp ip ecn ect0 ip ecn set ce;
				add rule inet marker in iifname eth0 meta l4proto udp ip6 ecn ect0 ip6 ecn set ce'`)
			for _, way := range [][2]netip.Addr{{left.addr(), right.addr()}, {left.addr6(), right.addr6()}} {
				probe := w.tosProbe(left, right, way[0], way[1])
				for tos, want := range map[uint8]uint8{0: 0, 1: 1, 2: 3, 3: 3, 46 << 2: 46 << 2, 46<<2 | 2: 46<<2 | 3} {
					if got := probe(tos); got != want {
						t.Errorf("from %v: TOS %#x arrives as %#x, want %#x", way[0], tos, got, want)
					}
				}
			}
			w.markedTransfer(left, right)
		})
	}
}

// tosProbe returns what sends a datagram with a TOS from one edge to another, and tells
// with which it arrives.
func (w *town) tosProbe(from, to *member, source, target netip.Addr) func(tos uint8) uint8 {
	w.t.Helper()
	network, level, option, tell := "udp4", unix.IPPROTO_IP, unix.IP_TOS, unix.IP_RECVTOS
	if target.Is6() {
		network, level, option, tell = "udp6", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, unix.IPV6_RECVTCLASS
	}
	open := func(h *lab.Host, a netip.Addr) *net.UDPConn {
		c := lab.Must(h.ListenUDP(network, netip.AddrPortFrom(a, 0).String()))
		w.t.Cleanup(func() { c.Close() })
		return c
	}
	in, out := open(to.Host, target), open(from.Host, source)
	must(w.t, setSocketOption(in, level, tell, 1))
	return func(tos uint8) uint8 {
		must(w.t, setSocketOption(out, level, option, int(tos)))
		lab.Must(out.WriteToUDPAddrPort([]byte{tos}, in.LocalAddr().(*net.UDPAddr).AddrPort()))
		must(w.t, in.SetReadDeadline(time.Now().Add(answerWithin)))
		b, oob := make([]byte, 10), make([]byte, 100)
		n, oobn, _, _, err := in.ReadMsgUDP(b, oob)
		if err != nil || n != 1 || b[0] != tos {
			w.t.Fatalf("a datagram of TOS %#x to %v: %d bytes of %#x, %v", tos, target, n, b[0], err)
		}
		messages := lab.Must(unix.ParseSocketControlMessage(oob[:oobn]))
		if len(messages) != 1 {
			w.t.Fatalf("%d control messages", len(messages))
		}
		return messages[0].Data[0]
	}
}

// setSocketOption sets an option of a socket to a number.
func setSocketOption(c *net.UDPConn, level, option, value int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	if fault := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, value) }); fault != nil {
		return fault
	}
	return err
}

// markedTransfer sends some bytes by a TCP connection that knows ECN, and wants all of them
// to arrive and the sender's kernel to have been told of marks.
func (w *town) markedTransfer(from, to *member) {
	w.t.Helper()
	for _, m := range []*member{from, to} {
		w.sh(m.Host, "sysctl -qw net.ipv4.tcp_ecn=1")
	}
	w.carries(from, to, 1<<20, 20*time.Second)
	if out := w.sh(from.Host, "nstat -az TcpExtTCPDeliveredCE"); !strings.Contains(out, "TCPDeliveredCE") || strings.Contains(out, "TCPDeliveredCE            0") {
		w.t.Errorf("the sender's kernel was told of no mark: %s", out)
	}
}

// carries sends bytes by a TCP connection over the overlay, and wants all of them to arrive
// in time.
func (w *town) carries(from, to *member, size int, within time.Duration) {
	w.t.Helper()
	server := lab.Must(to.Host.Listen("tcp", netip.AddrPortFrom(to.addr(), 0).String()))
	defer server.Close()
	arrived := make(chan string, 1)
	go func() {
		conn, err := server.Accept()
		if err != nil {
			arrived <- err.Error()
			return
		}
		defer conn.Close()
		n, err := io.Copy(io.Discard, conn)
		arrived <- fmt.Sprint(n, " ", err)
	}()
	ctx, cancel := context.WithTimeout(w.ctx, within)
	defer cancel()
	conn := lab.Must(from.Host.Dial(ctx, "tcp", server.Addr().String()))
	deadline, _ := ctx.Deadline()
	must(w.t, conn.SetDeadline(deadline))
	if _, err := conn.Write(random(size)); err != nil {
		w.t.Error(err)
	}
	must(w.t, conn.Close())
	select {
	case got := <-arrived:
		if want := fmt.Sprint(size, " ", nil); got != want {
			w.t.Errorf("arrived: %s, want %s", got, want)
		}
	case <-ctx.Done():
		w.t.Error("the transfer did not end")
	}
}

// With --tos inherit every hop outside sees the DSCP of a frame, from the edge and from the
// supernode; without it none does.
func TestInheritedTOS(t *testing.T) {
	t.Parallel()
	const expedited = 46 << 2
	for name, r := range roads {
		for _, more := range [][]string{nil, {"--tos", "inherit"}} {
			t.Run(fmt.Sprint(name, more), func(t *testing.T) {
				t.Parallel()
				w := newTown(t, time.Minute)
				left, right := w.road(name, more...)
				capture := lab.Must(w.Internet().Capture())
				defer capture.Stop()
				for _, way := range [][2]netip.Addr{{left.addr(), right.addr()}, {left.addr6(), right.addr6()}} {
					if got := w.tosProbe(left, right, way[0], way[1])(expedited); got != expedited {
						t.Errorf("arrives as %#x", got)
					}
				}
				must(t, capture.Stop())
				seen := make(map[netip.Addr]int) // by who sent it
				for _, p := range capture.Packets() {
					if from, _, _, ok := p.UDP(); ok && outerTOS(p) == expedited {
						seen[from.Addr()]++
					}
				}
				want := make(map[netip.Addr]int)
				if more != nil {
					want[left.Host.Addrs()[0]] = 2
				}
				if more != nil && r.path == control.PathRelay {
					super, _, _ := net.SplitHostPort(r.supernode)
					want[netip.MustParseAddr(super)] = 2
				}
				if !maps.Equal(seen, want) {
					t.Errorf("seen outside: %v, want %v", seen, want)
				}
			})
		}
	}
}

// outerTOS returns the TOS of an IP packet without tags.
func outerTOS(p lab.Packet) uint8 {
	tos, _ := offload.TOS(p.Frame)
	return tos
}
