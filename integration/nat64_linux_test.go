package integration

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/nat/nat64"
)

// Where the NAT64 of these tests is: its own addresses, and the one by which hosts without
// IPv4 are seen.
const (
	translator4, translator6 = "203.0.113.64", "2001:db8:64::1"
	translatedAs             = "203.0.113.65"
	translatorPrefix         = "64:ff9b::/96"
	translatorLink           = "tun64"
)

// translator is a NAT64 (RFC 6146) of UDP and TCP over a TUN device. It maps
// endpoint-independently, keeps ports, and lets in whom its hosts have sent to.
type translator struct {
	tun    *os.File
	prefix nat64.Prefix
	public netip.Addr

	mu      sync.Mutex
	hosts   map[mapped]netip.Addr // by the port
	permits map[permit]bool
}

// mapped is a port of a protocol, and permit somebody who may send to it.
type mapped struct {
	protocol byte
	port     uint16
}

type permit struct {
	mapped
	from netip.AddrPort
}

// newTranslator makes a NAT64 and a DNS64 on a host of the internet, which routes to it.
func newTranslator(w *town) *translator {
	w.t.Helper()
	h := lab.Must(w.Host("nat64", translator4, translator6))
	internet := &lab.Host{Namespace: w.Internet().Namespace}
	w.sh(internet, fmt.Sprintf("ip -6 route add %s via %s dev nat64 onlink; ip route add %s via %s dev nat64 onlink", translatorPrefix, translator6, translatedAs, translator4))
	p, _ := nat64.NewPrefix(netip.MustParsePrefix(translatorPrefix))
	x := &translator{prefix: p, public: netip.MustParseAddr(translatedAs), hosts: make(map[mapped]netip.Addr), permits: make(map[permit]bool)}
	must(w.t, h.Do(func() (err error) { x.tun, err = openTUN(translatorLink); return err }))
	w.t.Cleanup(func() { _ = x.tun.Close() })
	must(w.t, h.Sysctl("net/ipv4/ip_forward", "1"))
	must(w.t, h.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	w.sh(h, fmt.Sprintf("ip link set %[1]s up; ip -6 route add %[2]s dev %[1]s; ip route add %[3]s dev %[1]s", translatorLink, translatorPrefix, translatedAs))
	go x.run()
	go answerNames(lab.Must(h.ListenUDP("udp6", "["+translator6+"]:53")), p)
	return x
}

// openTUN makes a TUN device in the namespace of the thread.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// run translates packets until the device is closed.
func (x *translator) run() {
	buf := make([]byte, 1<<16)
	for {
		n, err := x.tun.Read(buf)
		if err != nil {
			return
		}
		var out []byte
		switch p := buf[:n]; {
		case n >= 40 && p[0]>>4 == 6:
			out = x.outward(p)
		case n >= 20 && p[0] == 0x45:
			out = x.inward(p)
		}
		if out != nil {
			_, _ = x.tun.Write(out)
		}
	}
}

// outward translates an IPv6 packet (RFC 7915, section 5), or returns nil.
func (x *translator) outward(p []byte) []byte {
	protocol, segment := p[6], slices.Clone(p[40:])
	to, ok := x.prefix.Extract(netip.AddrFrom16([16]byte(p[24:40])))
	if !ok || !translates(protocol, segment) {
		return nil
	}
	x.mu.Lock()
	m := mapped{protocol, binary.BigEndian.Uint16(segment)}
	x.hosts[m] = netip.AddrFrom16([16]byte(p[8:24]))
	x.permits[permit{m, netip.AddrPortFrom(to, binary.BigEndian.Uint16(segment[2:]))}] = true
	x.mu.Unlock()
	h := make([]byte, 20, 20+len(segment))
	h[0], h[6], h[8], h[9] = 0x45, 0x40, p[7]-1, protocol
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(segment)))
	copy(h[12:], x.public.AsSlice())
	copy(h[16:], to.AsSlice())
	binary.BigEndian.PutUint16(h[10:], ^sum(0, h))
	seal(protocol, segment, h[12:20])
	return append(h, segment...)
}

// inward translates an IPv4 packet (RFC 7915, section 4), or returns nil.
func (x *translator) inward(p []byte) []byte {
	protocol, segment := p[9], slices.Clone(p[20:])
	if !translates(protocol, segment) || binary.BigEndian.Uint16(p[6:])&0x3fff != 0 {
		return nil
	}
	from := netip.AddrFrom4([4]byte(p[12:16]))
	m := mapped{protocol, binary.BigEndian.Uint16(segment[2:])}
	x.mu.Lock()
	to, permitted := x.hosts[m], x.permits[permit{m, netip.AddrPortFrom(from, binary.BigEndian.Uint16(segment))}]
	x.mu.Unlock()
	if !permitted {
		return nil
	}
	h := make([]byte, 40, 40+len(segment))
	h[0], h[6], h[7] = 0x60, protocol, p[8]-1
	binary.BigEndian.PutUint16(h[4:], uint16(len(segment)))
	copy(h[8:], x.prefix.Embed(from).AsSlice())
	copy(h[24:], to.AsSlice())
	seal(protocol, segment, h[8:40])
	return append(h, segment...)
}

// checksumAt is where the checksum of a segment is, by its protocol.
var checksumAt = map[byte]int{unix.IPPROTO_UDP: 6, unix.IPPROTO_TCP: 16}

// translates reports whether a segment is whole, as far as is looked at.
func translates(protocol byte, segment []byte) bool {
	at, known := checksumAt[protocol]
	return known && len(segment) >= at+2
}

// seal writes the checksum of a segment between addresses.
func seal(protocol byte, segment, addresses []byte) {
	at := segment[checksumAt[protocol]:]
	at[0], at[1] = 0, 0
	binary.BigEndian.PutUint16(at, ^sum(uint32(protocol)+uint32(len(segment))+uint32(sum(0, addresses)), segment))
}

// sum is the ones' complement sum of RFC 1071, without the last complement.
func sum(s uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) > 0 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// answerNames is a DNS64 for ipv4only.arpa alone: other names have no addresses.
func answerNames(conn *net.UDPConn, p nat64.Prefix) {
	defer conn.Close()
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		m.Header.Response, m.Additionals = true, nil
		if q.Type == dnsmessage.TypeAAAA && strings.TrimSuffix(q.Name.String(), ".") == nat64.Name {
			for _, last := range []byte{170, 171} {
				made := dnsmessage.AAAAResource{AAAA: p.Embed(netip.AddrFrom4([4]byte{192, 0, 0, last})).As16()}
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 60}, Body: &made})
			}
		}
		if b, err := m.Pack(); err == nil {
			_, _ = conn.WriteToUDPAddrPort(b, from)
		}
	}
}

// startSix starts an edge on a host without IPv4 whose name server is the DNS64.
func (w *town) startSix(name, address string, more ...string) *member {
	w.t.Helper()
	h, dir := lab.Must(w.Host(name, address)), filepath.Join(w.Dir, name)
	must(w.t, os.MkdirAll(dir, 0o700))
	servers := filepath.Join(dir, "resolv.conf")
	must(w.t, os.WriteFile(servers, []byte("nameserver "+translator6+"\n"), 0o644))
	// Its own mount namespace has another resolv.conf, and the process stays the same.
	argv := append([]string{"unshare", "-m", "sh", "-ec", `mount --bind "$0" "$(readlink -f /etc/resolv.conf)"; exec "$@"`, servers,
		programs.Edge, "--name", name, "-d", "edge0", "--state-dir", dir, "--control", w.Socket(name), "-c", "town", "-k", "correct horse battery staple", "-l", overIPv4}, more...)
	p := lab.Must(w.Run(w.ctx, h, name, w.Socket(name), argv...))
	w.watch(p)
	return newMember(w, p)
}

// A host without IPv4 in a network with a NAT64 registers at an IPv4 address by UDP and by
// TLS, and reaches the IPv4 address of a member behind a NAT directly, large packets too.
// Without a NAT64 it says what is missing.
func TestNAT64(t *testing.T) {
	t.Parallel()
	w := newTown(t, 90*time.Second)
	lost := w.join(lab.Must(w.Host("lost", "2001:db8:6::9")), overIPv4)
	newTranslator(w)
	four := w.join(w.home("four", 77, lab.PortRestricted), overIPv4)
	six := w.startSix("six", "2001:db8:6::1")
	six.addr()
	if st := six.status(); !strings.HasSuffix(st.Mapping, "NAT64 "+translatorPrefix) || len(st.Notes) > 0 || st.Supernodes[0].Addr != overIPv4 {
		t.Errorf("%+v", st)
	}
	six.meet(four.addr(), answerWithin)
	if p := six.reach(four, control.PathDirect); addrOf(p.Endpoint).String() != "198.51.100.77" {
		t.Errorf("the other member is at %s", p.Endpoint)
	}
	if p := four.reach(six, control.PathDirect); addrOf(p.Endpoint).String() != translatedAs {
		t.Errorf("the member without IPv4 is at %s", p.Endpoint)
	}
	must(t, echoesUDP(six, four, four.addr()))
	byTLS := w.startSix("tls", "2001:db8:6::2", "-t")
	byTLS.meet(four.addr(), answerWithin)
	if st := byTLS.status(); st.Supernodes[0].Stream == "" {
		t.Errorf("%+v", st.Supernodes)
	}
	if err := lost.noteWithin(control.NoFamily(overIPv4, 4), 20*time.Second); err != nil {
		t.Error(err)
	}
}
