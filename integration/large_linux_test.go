package integration

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// Devices of MTU 1500 carry whole Ethernet frames over an underlay of the same
// MTU: what does not fit is split and joined, on a direct path and on a relayed
// one, both ways.
func TestLargeFrames(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	left, right := w.pair(lab.PortRestricted, "-M", "1500")
	six := w.join(lab.Must(w.Host("six", "2001:db8:6::1")), overIPv6, "-M", "1500")
	seven := w.join(lab.Must(w.Host("seven", "2001:db8:7::1")), overIPv6, "-M", "1500")
	cases := []struct {
		a, b *member
		path control.Path
	}{
		{left, right, control.PathDirect},
		{six, seven, control.PathDirect},
		{right, six, control.PathRelay},
	}
	for _, c := range cases {
		c.a.addr()
		if mtu := c.a.status().MTU; mtu != 1500 {
			t.Errorf("%s has an MTU of %d", c.a.Name, mtu)
		}
		c.a.meet(c.b.addr(), answerWithin)
		c.a.reach(c.b, c.path)
		for _, way := range [][2]*member{{c.a, c.b}, {c.b, c.a}} {
			from, to := way[0], way[1]
			name := fmt.Sprintf("%s to %s, %s", from.Name, to.Name, c.path)
			slowest, err := echoesAllSizes(from, to)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			t.Logf("%s: every size came back, the slowest after %v", name, slowest)
			for what, crosses := range map[string]func() error{
				"UDP": func() error { return echoesUDP(from, to, to.addr()) },
				"TCP": func() error { return echoesTCP(from, to, to.addr6()) },
			} {
				if err := crosses(); err != nil {
					t.Errorf("%s: %s: %v", name, what, err)
				}
			}
		}
	}
}

// echoesAllSizes pings with every size near those at which a frame stops to
// fit, up to the largest that the device takes, and some that the kernel has to
// split before.
func echoesAllSizes(from, to *member) (slowest time.Duration, err error) {
	const largest = 1500 - ipv4.HeaderLen - 8
	sizes := []int{0, 1, 56, 1000, 4000, 20000, 65000}
	for size := 1300; size <= largest; size++ {
		sizes = append(sizes, size)
	}
	address := net.IPAddr{IP: to.addr().AsSlice()}
	var conn *icmp.PacketConn
	err = from.Host.Do(func() (err error) {
		conn, err = icmp.ListenPacket("ip4:icmp", from.addr().String())
		return err
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	for i, size := range sizes {
		if err := dontFragment(conn, size <= largest); err != nil {
			return 0, err
		}
		began := time.Now()
		if err := echo(conn, &address, &icmp.Echo{ID: 0x4844, Seq: i, Data: random(size)}); err != nil {
			return 0, fmt.Errorf("%d bytes: %w", size, err)
		}
		slowest = max(slowest, time.Since(began))
	}
	return slowest, nil
}

// dontFragment sets whether the kernel may split what a socket sends.
func dontFragment(conn *icmp.PacketConn, never bool) error {
	raw, err := conn.IPv4PacketConn().PacketConn.(*net.IPConn).SyscallConn()
	if err != nil {
		return err
	}
	mode := unix.IP_PMTUDISC_DONT
	if never {
		mode = unix.IP_PMTUDISC_DO
	}
	var fault error
	err = raw.Control(func(fd uintptr) {
		fault = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, mode)
	})
	return errors.Join(err, fault)
}

// echo sends one request and waits for its reply with the same bytes.
func echo(conn *icmp.PacketConn, to net.Addr, request *icmp.Echo) error {
	b, err := (&icmp.Message{Type: ipv4.ICMPTypeEcho, Body: request}).Marshal(nil)
	if err != nil {
		return err
	}
	conn.SetDeadline(time.Now().Add(answerWithin))
	if _, err := conn.WriteTo(b, to); err != nil {
		return err
	}
	for b := make([]byte, 1<<16); ; {
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(unix.IPPROTO_ICMP, b[:n])
		if err != nil || m.Type != ipv4.ICMPTypeEchoReply {
			continue
		}
		reply, ok := m.Body.(*icmp.Echo)
		if !ok || reply.ID != request.ID || reply.Seq != request.Seq {
			continue
		}
		if !bytes.Equal(reply.Data, request.Data) {
			return errors.New("came back as something else")
		}
		return nil
	}
}
