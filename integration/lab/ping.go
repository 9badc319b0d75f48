//go:build linux

package lab

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// Ping sends one ICMP or ICMPv6 echo request of 56 bytes from the namespace and
// returns the time until its reply. Without a reply it fails when ctx ends. A
// link-local address needs its zone, the name of a link.
func (n *Namespace) Ping(ctx context.Context, to netip.Addr) (time.Duration, error) {
	rtt, err := n.ping(ctx, to)
	if err != nil {
		return 0, fmt.Errorf("%s: ping %s: %w", n.name, to, err)
	}
	return rtt, nil
}

func (n *Namespace) ping(ctx context.Context, to netip.Addr) (time.Duration, error) {
	p := ping4
	if to.Is6() {
		p = ping6
	}
	// The random bytes tell the reply from those of other pings, which a raw
	// socket receives as well.
	echo := &icmp.Echo{Seq: 1, Data: make([]byte, 48)}
	rand.Read(echo.Data)
	echo.ID = int(binary.BigEndian.Uint16(echo.Data))
	request, err := (&icmp.Message{Type: p.request, Body: echo}).Marshal(nil)
	if err != nil {
		return 0, err
	}
	var conn *icmp.PacketConn
	var destination *net.IPAddr
	err = n.Do(func() error {
		destination = &net.IPAddr{IP: to.AsSlice()}
		if to.Zone() != "" {
			// A link of the namespace: by its index, because package net keeps
			// the names of links for all namespaces in one table.
			link, err := net.InterfaceByName(to.Zone())
			if err != nil {
				return err
			}
			destination.Zone = strconv.Itoa(link.Index)
		}
		conn, err = icmp.ListenPacket(p.network, p.listen)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	start := time.Now()
	if _, err := conn.WriteTo(request, destination); err != nil {
		return 0, err
	}
	if err := p.await(conn, echo); err != nil {
		return 0, fmt.Errorf("no reply: %w", err)
	}
	return time.Since(start), nil
}

// A pinger is the part of a ping that differs between the families.
type pinger struct {
	network, listen string
	protocol        int
	request, reply  icmp.Type
}

var (
	ping4 = pinger{"ip4:icmp", "0.0.0.0", unix.IPPROTO_ICMP, ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply}
	ping6 = pinger{"ip6:ipv6-icmp", "::", unix.IPPROTO_ICMPV6, ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply}
)

// await reads until the reply to a request arrives.
func (p pinger) await(conn *icmp.PacketConn, sent *icmp.Echo) error {
	buf := make([]byte, linkMTU)
	for {
		size, _, err := conn.ReadFrom(buf)
		if err != nil {
			return err
		}
		m, err := icmp.ParseMessage(p.protocol, buf[:size])
		if err != nil || m.Type != p.reply {
			continue
		}
		if got, ok := m.Body.(*icmp.Echo); ok && string(got.Data) == string(sent.Data) {
			return nil
		}
	}
}
