package integration

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// frameKind is one kind of frame.
type frameKind struct {
	name    string
	to      string // empty: the peer
	header  []byte // from the EtherType or length on
	payload int    // bytes behind it
}

// Where some kinds go.
const (
	toAll    = "ff:ff:ff:ff:ff:ff"
	reserved = "01:80:c2:00:00:"
)

// etherTypes returns a header of tags and types.
func etherTypes(words ...uint16) (b []byte) {
	for _, w := range words {
		b = binary.BigEndian.AppendUint16(b, w)
	}
	return b
}

// carriedKinds pass through two edges unchanged.
var carriedKinds = []frameKind{
	{"ARP", toAll, etherTypes(0x0806, 1, 0x0800, 0x0604, 1), 38},
	{"reverse ARP", toAll, etherTypes(0x8035), 46},
	{"IPv4 of an experimental protocol", "", etherTypes(0x0800, 0x4500, 46, 0, 0x4000, 0x40fd, 0), 34},
	{"IPv4 of a version that is none", "", etherTypes(0x0800, 0xf500), 60},
	{"IPv4 shorter than it says", "", etherTypes(0x0800, 0x4500, 1400, 0, 0, 0x4006, 0), 30},
	{"IPv4 with padding", "", etherTypes(0x0800, 0x4500, 20, 0, 0, 0x40fd, 0), 34},
	{"IPv6 without a next header", "", etherTypes(0x86dd, 0x6000, 0, 8, 0x3b40), 40},
	{"IPv4 to a group", "01:00:5e:00:00:05", etherTypes(0x0800, 0x4500, 46, 0, 0, 0x0159, 0), 34},
	{"IPv6 to a group", "33:33:00:00:00:05", etherTypes(0x86dd, 0x6000, 0, 8, 0x5901), 40},
	{"802.1Q", "", etherTypes(0x8100, 5<<13|100, 0x0800), 64},
	{"802.1Q, priority only", "", etherTypes(0x8100, 3<<13, 0x0800), 64},
	{"802.1Q, drop eligible", "", etherTypes(0x8100, 1<<12|7, 0x86dd), 64},
	{"802.1Q to all", toAll, etherTypes(0x8100, 4094, 0x0806), 46},
	{"802.1Q, full", "", etherTypes(0x8100, 100, 0x88b5), 1500},
	{"QinQ", "", etherTypes(0x88a8, 200, 0x8100, 100, 0x0800), 64},
	{"QinQ, full", "", etherTypes(0x88a8, 200, 0x8100, 100, 0x88b5), 1500},
	{"QinQ of two 802.1Q, full, to all", toAll, etherTypes(0x8100, 200, 0x8100, 100, 0x88b5), 1500},
	{"three tags", "", etherTypes(0x88a8, 1, 0x8100, 2, 0x8100, 3, 0x88b5), 100},
	{"the old QinQ type", "", etherTypes(0x9100, 200, 0x8100, 100, 0x0800), 64},
	{"batman-adv", "", etherTypes(0x4305, 0x000f), 60},
	{"batman-adv, full, to all", toAll, etherTypes(0x4305, 0x040f), 1498},
	{"MPLS", "", etherTypes(0x8847, 0x0001, 0x0140), 60},
	{"MPLS multicast", "01:00:5e:80:00:01", etherTypes(0x8848, 0x0001, 0x0140), 60},
	{"PPPoE discovery", toAll, etherTypes(0x8863, 0x1109, 0, 4, 0x0101, 0), 40},
	{"PPPoE session", "", etherTypes(0x8864, 0x1100, 1, 60, 0x0021), 58},
	{"PROFINET DCP", "01:0e:cf:00:00:00", etherTypes(0x8892, 0xfefe, 0x0500), 46},
	{"PROFINET cyclic", "", etherTypes(0x8100, 6<<13, 0x8892, 0x8000), 46},
	{"CDP", "01:00:0c:cc:cc:cc", etherTypes(60, 0xaaaa, 0x0300, 0x000c, 0x2000), 52},
	{"LLDP", reserved + "0e", etherTypes(0x88cc, 0x0207), 60},
	{"BPDU", reserved + "00", etherTypes(38, 0x4242, 0x0300), 35},
	{"BPDU of a provider", reserved + "08", etherTypes(38, 0x4242, 0x0300), 35},
	{"GVRP", reserved + "21", etherTypes(39, 0x4242, 0x0300), 43},
	{"IS-IS", reserved + "14", etherTypes(46, 0xfefe, 0x0383), 43},
	{"IPX in 802.3", toAll, etherTypes(60, 0xffff), 58},
	{"NetBIOS", "03:00:00:00:00:01", etherTypes(60, 0xf0f0, 0x0300), 56},
	{"AppleTalk", "09:00:07:ff:ff:ff", etherTypes(46, 0xaaaa, 0x0308, 0x0007, 0x809b), 38},
	{"EtherCAT", toAll, etherTypes(0x88a4), 60},
	{"GOOSE", "01:0c:cd:01:00:01", etherTypes(0x8100, 4<<13, 0x88b8), 100},
	{"PTP", "01:1b:19:00:00:00", etherTypes(0x88f7), 60},
	{"AoE", "", etherTypes(0x88a2), 1000},
	{"FCoE", "", etherTypes(0x8906), 1400},
	{"MACsec", "", etherTypes(0x88e5, 0x2c00), 100},
	{"Wake-on-LAN", toAll, etherTypes(0x0842, 0xffff, 0xffff, 0xffff), 96},
	{"an experimental type, short", "", etherTypes(0x88b5), 46},
	{"an experimental type, full", "", etherTypes(0x88b6), 1500},
}

// refusedKinds do not pass, in neither direction.
var refusedKinds = []frameKind{
	{"PAUSE", reserved + "01", etherTypes(0x8808, 1, 0xffff), 42},
	{"PAUSE with a tag", reserved + "01", etherTypes(0x8100, 10, 0x8808, 1, 0xffff), 42},
	{"LACP", reserved + "02", etherTypes(0x8809, 0x0101), 108},
	{"EAPOL", reserved + "03", etherTypes(0x888e, 0x0201), 46},
}

// frame returns a frame of the kind that is told from others of it.
func (k *frameKind) frame(peer, source net.HardwareAddr) []byte {
	to := peer
	if k.to != "" {
		to, _ = net.ParseMAC(k.to)
	}
	b := append(append([]byte(nil), to...), source...)
	return append(append(b, k.header...), random(k.payload)...)
}

// Frames of all kinds cross two edges and come out with the bytes that they went in
// with, of the edge's own address and of a host behind it.
func TestFramesUnchanged(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	left, right := w.bareBridge("left", "203.0.113.11"), w.bareBridge("right", "203.0.113.12")
	left.learns(right)
	left.pings("--until-direct", right.status().ID)
	s, self, peer := rawEnd(t, left, right)
	for _, source := range []net.HardwareAddr{self, {0x02, 0x11, 0x22, 0x33, 0x44, 0x55}} {
		capture := lab.Must(right.Host.Capture(overlay))
		defer capture.Stop()
		for _, k := range carriedKinds {
			frame := k.frame(peer, source)
			if err := s.send(frame); err != nil {
				t.Fatalf("%s: %v", k.name, err)
			}
			if err := awaitFrame(capture, frame); err != nil {
				t.Errorf("%s from %s: %v", k.name, source, err)
			}
		}
		before := left.status().Drops["reserved-group"]
		for _, k := range refusedKinds {
			must(t, s.send(k.frame(peer, source)))
		}
		awaitDrops(t, left, "reserved-group", before+uint64(len(refusedKinds)))
		for _, p := range capture.Packets() {
			if to := net.HardwareAddr(p.Frame[:6]).String(); to[:15] == reserved && to[15:] >= "01" && to[15:] <= "03" {
				t.Errorf("a frame to %s came out", to)
			}
		}
	}
}

// bareBridge starts an edge that is a bridge with no other port, carries whatever there
// is, and takes frames with two tags.
func (w *town) bareBridge(name, address string) *member {
	w.t.Helper()
	at := &site{host: lab.Must(w.Host(name, address))}
	w.sh(at.host, "ip link add br0 type bridge mcast_snooping 0; ip link set br0 up")
	w.joinBridge(at, "-M", "1508", "--stp", "forward")
	return at.edge
}

// With --eapol, authentication passes; with --vlan, frames of the list alone, whichever
// end has it.
func TestFrameOptions(t *testing.T) {
	t.Parallel()
	w := newTown(t, 60*time.Second)
	left := w.join(lab.Must(w.Host("left", "203.0.113.11")), overIPv4, "--eapol")
	right := w.join(lab.Must(w.Host("right", "203.0.113.12")), overIPv4, "--eapol", "--vlan", "0,10,20")
	left.meet(right.addr(), answerWithin)
	left.reach(right, control.PathDirect)
	for _, way := range []struct {
		from, to *member
	}{{left, right}, {right, left}} {
		s, self, peer := rawEnd(t, way.from, way.to)
		capture := lab.Must(way.to.Host.Capture(overlay))
		defer capture.Stop()
		for _, k := range []frameKind{
			{"EAPOL", reserved + "03", etherTypes(0x888e, 0x0201), 46},
			{"no tag", "", etherTypes(0x88b5), 46},
			{"VLAN 20", "", etherTypes(0x8100, 20, 0x88b5), 46},
		} {
			frame := k.frame(peer, self)
			must(t, s.send(frame))
			if err := awaitFrame(capture, frame); err != nil {
				t.Errorf("%s from %s: %v", k.name, way.from.Name, err)
			}
		}
		before := right.status().Drops["vlan"]
		other := frameKind{"VLAN 30", "", etherTypes(0x8100, 30, 0x88b5), 46}
		must(t, s.send(other.frame(peer, self)))
		awaitDrops(t, right, "vlan", before+1)
	}
}

// rawEnd opens a raw socket at the device of one member, and returns the hardware
// addresses of both.
func rawEnd(t *testing.T, from, to *member) (s *rawSocket, self, peer net.HardwareAddr) {
	t.Helper()
	s, err := openRaw(from, unix.ETH_P_ALL)
	must(t, err)
	t.Cleanup(func() { _ = s.close() })
	return s, from.mac(), to.mac()
}

// awaitDrops waits until a member has dropped as many for a reason.
func awaitDrops(t *testing.T, m *member, reason string, want uint64) {
	t.Helper()
	for stop := time.Now().Add(answerWithin); ; time.Sleep(20 * time.Millisecond) {
		got := m.status().Drops[reason]
		if got == want {
			return
		}
		if got > want || time.Now().After(stop) {
			t.Errorf("%s dropped %d for %s, want %d", m.Name, got, reason, want)
			return
		}
	}
}
