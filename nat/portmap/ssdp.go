package portmap

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"golang.org/x/net/ipv4"

	"hedgerow/internal/interfaces"
)

// The numbers of SSDP (UPnP Device Architecture 1.1, section 1).
const (
	ssdpPort   = 1900
	ssdpHops   = 2
	maxSSDP    = 2048 // bytes of an answer that are read
	maxAnswers = 16   // of one router that are looked at
)

var ssdpGroup = netip.MustParseAddr("239.255.255.250")

// searched are the device types of the search. A device of version 2 ought to
// answer to the first, too, and not all do.
var searched = [...]string{
	"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
	"urn:schemas-upnp-org:device:InternetGatewayDevice:2",
}

// search returns the addresses of the router's descriptions, each once, until
// ctx ends or no answer has come in time. found returns false to end it. The
// library's search is not used: it accepts answers from any host, always waits
// for whole seconds, and writes to the standard log.
func (u upnp) search(ctx context.Context, r router, found func(*url.URL) bool) error {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.local, 0)))
	if err != nil {
		return fmt.Errorf("cannot ask the router: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	to := u.targets(r, conn)
	seen := make(map[string]bool)
	buf := make([]byte, maxSSDP)
	for _, wait := range waits {
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		ask(conn, to)
		for len(seen) < maxAnswers {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				break
			}
			if from.Addr().Unmap() != r.gateway {
				continue
			}
			if at, ok := parseSearchAnswer(buf[:n], r.gateway); ok && !seen[at.String()] {
				seen[at.String()] = true
				if !found(at) {
					return nil
				}
			}
		}
	}
	return errSilent
}

// targets returns the addresses to ask: the router, and the group on the link
// that it is on, since routers of the older architecture hear nothing else.
func (u upnp) targets(r router, conn *net.UDPConn) []netip.AddrPort {
	to := []netip.AddrPort{netip.AddrPortFrom(r.gateway, u.port)}
	if !u.multicast {
		return to
	}
	if link, ok := linkOf(r.local); ok {
		p := ipv4.NewPacketConn(conn)
		if p.SetMulticastInterface(&link) == nil && p.SetMulticastTTL(ssdpHops) == nil && p.SetMulticastLoopback(false) == nil {
			to = append(to, netip.AddrPortFrom(ssdpGroup, u.port))
		}
	}
	return to
}

// linkOf returns the interface that has an address.
func linkOf(a netip.Addr) (net.Interface, bool) {
	all, _ := interfaces.List()
	for _, i := range all {
		if slices.ContainsFunc(i.Addresses, func(other interfaces.Address) bool { return other.Addr() == a }) {
			return i.Interface, true
		}
	}
	return net.Interface{}, false
}

// ask sends one round of questions (UPnP Device Architecture 1.1, section
// 1.3.2). A question that fails is sent again with the next round.
func ask(conn *net.UDPConn, to []netip.AddrPort) {
	for _, device := range searched {
		for _, a := range to {
			text := fmt.Sprintf("M-SEARCH * HTTP/1.1\r\nHOST: %s\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: %s\r\n\r\n", a, device)
			_, _ = conn.WriteToUDPAddrPort([]byte(text), a)
		}
	}
}

// parseSearchAnswer returns the LOCATION of an answer. It returns false if there
// is none, or if it is not at the router: otherwise any host that can send an
// answer could have us ask any host for any page.
func parseSearchAnswer(b []byte, gateway netip.Addr) (*url.URL, bool) {
	answer, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil {
		return nil, false
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, false
	}
	at, err := url.Parse(answer.Header.Get("Location"))
	return at, err == nil && isAt(at, gateway)
}

// isAt reports whether a URL is of the router and plain HTTP, the only kind that
// UPnP has.
func isAt(at *url.URL, gateway netip.Addr) bool {
	host, err := netip.ParseAddr(at.Hostname())
	return err == nil && host == gateway && at.Scheme == "http" && at.User == nil
}
