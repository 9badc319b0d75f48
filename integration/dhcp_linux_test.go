package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
)

// One edge has a static address and runs dnsmasq on its device; two others, one
// of them over IPv6, take no address from the supernode and get theirs by DHCP
// over the overlay.
func TestDHCP(t *testing.T) {
	t.Parallel()
	dnsmasq := lab.Program(t, "dnsmasq", "dnsmasq-base")
	w := newTown(t, 60*time.Second)
	pool := netip.MustParsePrefix("10.99.0.0/24")
	server := w.join(w.home("server", 1, lab.PortRestricted), overIPv4, "-a", "static:10.99.0.1/24")
	clients := []*member{
		w.join(w.home("client", 2, lab.PortRestricted), overIPv4, "-a", "dhcp"),
		w.join(lab.Must(w.Host("six", "2001:db8:6::1")), overIPv6, "-a", "dhcp"),
	}
	if got := server.prefix(); got != netip.MustParsePrefix("10.99.0.1/24") {
		t.Fatalf("the server has %s", got)
	}
	daemon := lab.Must(w.Run(w.ctx, server.Host, "dnsmasq", "", dnsmasq,
		"--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file", "--log-facility=-", "--log-dhcp",
		"--port=0", "--interface="+overlay, "--bind-interfaces", "--dhcp-authoritative", "--no-ping",
		"--dhcp-range=10.99.0.50,10.99.0.60,255.255.255.0,1h",
		"--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases")))
	w.watch(daemon)
	w.await(daemon, "DHCP, IP range")
	leased := map[netip.Addr]string{}
	for _, c := range clients {
		w.await(c.Program, "ready")
		for _, text := range c.status().Prefixes {
			if p := netip.MustParsePrefix(text); p.Addr().Is4() {
				t.Errorf("%s has %s before it asked", c.Name, p)
			}
		}
		began := time.Now()
		address, err := lease(c)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		t.Logf("%s was leased %s by dnsmasq in %v", c.Name, address, time.Since(began))
		if !pool.Contains(address) || leased[address] != "" {
			t.Errorf("%s was leased %s, which is not of the pool or %q has it", c.Name, address, leased[address])
		}
		leased[address] = c.Name
		if err := giveAddress(c, netip.PrefixFrom(address, pool.Bits())); err != nil {
			t.Fatal(err)
		}
		c.ping(server.addr(), answerWithin)
		server.ping(address, answerWithin)
		if err := echoesTCP(server, c, address); err != nil {
			t.Errorf("TCP to %s: %v", c.Name, err)
		}
	}
}

// giveAddress does what a DHCP client does with its lease.
func giveAddress(m *member, p netip.Prefix) error {
	return m.Host.Do(func() error {
		link, err := netlink.LinkByName(overlay)
		if err != nil {
			return err
		}
		mask := net.CIDRMask(p.Bits(), p.Addr().BitLen())
		return netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: mask}})
	})
}

// lease is a DHCP client (RFC 2131): it discovers a server, requests what is
// offered, and returns the address when that is acknowledged. The frames are
// those of a machine without any address.
func lease(m *member) (netip.Addr, error) {
	return leaseAs(m, m.mac())
}

// leaseAs is lease of a host with a hardware address, whose link has the name of a
// member's device.
func leaseAs(m *member, self net.HardwareAddr) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(m.town.ctx, answerWithin)
	defer cancel()
	s, err := openRaw(m, unix.ETH_P_IP)
	if err != nil {
		return netip.Addr{}, err
	}
	defer s.close()
	c := &dhcpClient{socket: s, self: self, xid: 0x68656467}
	offer, err := c.ask(ctx, layers.DHCPMsgTypeDiscover, layers.DHCPMsgTypeOffer)
	if err != nil {
		return netip.Addr{}, err
	}
	server, ok := dhcpOption(offer, layers.DHCPOptServerID)
	if !ok {
		return netip.Addr{}, errors.New("the offer names no server")
	}
	ack, err := c.ask(ctx, layers.DHCPMsgTypeRequest, layers.DHCPMsgTypeAck,
		layers.NewDHCPOption(layers.DHCPOptServerID, server),
		layers.NewDHCPOption(layers.DHCPOptRequestIP, offer.YourClientIP.To4()))
	if err != nil {
		return netip.Addr{}, err
	}
	address, _ := netip.AddrFromSlice(ack.YourClientIP.To4())
	return address, nil
}

// A dhcpClient is one exchange with DHCP servers.
type dhcpClient struct {
	socket *rawSocket
	self   net.HardwareAddr
	xid    uint32
}

// ask broadcasts a message, again every second, until an answer of a type
// comes.
func (c *dhcpClient) ask(ctx context.Context, what, want layers.DHCPMsgType, options ...layers.DHCPOption) (*layers.DHCPv4, error) {
	frame, err := c.frame(what, options)
	if err != nil {
		return nil, err
	}
	second := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(c.socket.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &second); err != nil {
		return nil, err
	}
	b := make([]byte, 2048)
	for ctx.Err() == nil {
		if err := c.socket.send(frame); err != nil {
			return nil, err
		}
		for ctx.Err() == nil {
			n, _, err := unix.Recvfrom(c.socket.fd, b, 0)
			if errors.Is(err, unix.EAGAIN) {
				break // nothing for a second: ask again
			}
			if err != nil && !errors.Is(err, unix.EINTR) {
				return nil, err
			}
			if answer := c.parse(b[:max(n, 0)]); answer != nil {
				if got, _ := dhcpOption(answer, layers.DHCPOptMessageType); len(got) == 1 && layers.DHCPMsgType(got[0]) == want {
					return answer, nil
				}
			}
		}
	}
	return nil, fmt.Errorf("no answer to %v: %w", what, ctx.Err())
}

// frame builds a broadcast of a machine without an address.
func (c *dhcpClient) frame(what layers.DHCPMsgType, options []layers.DHCPOption) ([]byte, error) {
	ethernet := &layers.Ethernet{
		SrcMAC: c.self, DstMAC: layers.EthernetBroadcast, EthernetType: layers.EthernetTypeIPv4,
	}
	ip := &layers.IPv4{
		Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4zero, DstIP: net.IPv4bcast,
	}
	udp := &layers.UDP{SrcPort: 68, DstPort: 67}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, err
	}
	list := append([]layers.DHCPOption{layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(what)})}, options...)
	message := &layers.DHCPv4{
		Operation: layers.DHCPOpRequest, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: c.xid,
		ClientHWAddr: c.self, Options: list,
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ethernet, ip, udp, message)
	return b.Bytes(), err
}

// parse returns the answer to this client in a frame, or nil.
func (c *dhcpClient) parse(frame []byte) *layers.DHCPv4 {
	packet := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	message, ok := packet.Layer(layers.LayerTypeDHCPv4).(*layers.DHCPv4)
	if !ok || message.Operation != layers.DHCPOpReply || message.Xid != c.xid || message.ClientHWAddr.String() != c.self.String() {
		return nil
	}
	return message
}

func dhcpOption(m *layers.DHCPv4, want layers.DHCPOpt) ([]byte, bool) {
	for _, o := range m.Options {
		if o.Type == want {
			return o.Data, true
		}
	}
	return nil, false
}
