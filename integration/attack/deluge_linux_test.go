package attack

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"hedgerow/integration/lab"
	"hedgerow/protocol"
)

// What a supernode is held to under a deluge.
const (
	delugeRate    = 150_000 // datagrams a second
	delugeLess    = 20_000  // where the whole is not asked for
	delugeFlat    = 16 << 20
	relayRate     = 2000 // packets a second from one member to another one
	relayedLeast  = 0.7
	delugeArrived = 0.9 // of delugeLess: less proves nothing
)

// deluge sends datagrams from addresses of anybody, many with each system call. What they
// say was made before; each has a source of its own.
type deluge struct {
	conn     *ipv4.PacketConn
	packets  []forgedPacket
	messages []ipv4.Message
	random   *rand.Rand
}

// forgedPacket is an IPv4 packet without a source, and the sum of its UDP checksum so far.
type forgedPacket struct {
	bytes []byte
	sum   uint32
}

// newDeluge opens a raw socket in a namespace.
func newDeluge(t *testing.T, n *lab.Namespace, payloads [][]byte, to netip.AddrPort) *deluge {
	t.Helper()
	d := &deluge{random: rand.New(rand.NewPCG(3, 9))}
	var fd int
	if err := n.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "raw")
	defer file.Close()
	conn := lab.Must(net.FilePacketConn(file))
	t.Cleanup(func() { conn.Close() })
	d.conn = ipv4.NewPacketConn(conn)
	dst := to.Addr().As4()
	for _, payload := range payloads {
		p := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, dst[0], dst[1], dst[2], dst[3]}
		p = appendUDP(p, make([]byte, 4), dst[:], 4000, to.Port(), payload)
		d.packets = append(d.packets, forgedPacket{p, uint32(^binary.BigEndian.Uint16(p[26:]))})
	}
	for range 64 {
		d.messages = append(d.messages, ipv4.Message{Buffers: [][]byte{make([]byte, 0, protocol.MaxDatagram)}, Addr: &net.IPAddr{IP: dst[:]}})
	}
	return d
}

// send sends up to most datagrams, and returns how many.
func (d *deluge) send(most int) (int, error) {
	messages := d.messages[:min(most, len(d.messages))]
	for i := range messages {
		p := &d.packets[d.random.IntN(len(d.packets))]
		b := append(messages[i].Buffers[0][:0], p.bytes...)
		src := d.random.Uint32()
		src = src&^(0xff<<24) | (128+src>>24%64)<<24 // 128.0.0.0 to 191.255.255.255
		binary.BigEndian.PutUint32(b[12:], src)
		sum := p.sum + src>>16 + src&0xffff // RFC 1071: the source is a part of the pseudo header
		for sum>>16 != 0 {
			sum = sum&0xffff + sum>>16
		}
		check := ^uint16(sum)
		if check == 0 {
			check = 0xffff
		}
		binary.BigEndian.PutUint16(b[26:], check)
		messages[i].Buffers[0] = b
	}
	return d.conn.WriteBatch(messages, 0)
}

// pour sends rate datagrams a second for a time, or as many as this machine can, and returns
// how many.
func (d *deluge) pour(t *testing.T, lasts time.Duration, rate float64) (sent int) {
	for began := time.Now(); ; {
		since := time.Since(began)
		if since > lasts {
			return sent
		}
		owed := int(rate*since.Seconds()) - sent
		if owed <= 0 {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		n, err := d.send(owed)
		if sent += n; err != nil {
			t.Error(err)
			return sent
		}
	}
}

// relay has one member relay packets to another one until ctx ends, and returns how many
// were sent and how many arrived.
func (s *siege) relay(ctx context.Context, from, to *lightEdge) (sent, arrived int) {
	short, cancel := context.WithCancel(ctx)
	defer cancel()
	var both sync.WaitGroup
	both.Go(func() {
		for to.idle(short, time.Hour) {
		}
	})
	packet := make([]byte, 500)
	for began := time.Now(); from.idle(ctx, time.Millisecond); {
		for ; sent < int(relayRate*time.Since(began).Seconds()); sent++ {
			from.say(from.Relay(to.ownHandle, 0, packet))
		}
	}
	time.Sleep(settle)
	cancel()
	both.Wait()
	return sent, to.relayed
}

// TestDeluge floods a supernode with datagrams from forged addresses, 150 000 a second or as
// many as this machine can make, while newcomers come, members stay and one of them relays
// to another one. Of the newcomers 99.5 % are registered, 70 % of what is relayed arrives,
// and memory is flat.
//
//	go test ./integration/attack -run TestDeluge -whole -timeout 10m
func TestDeluge(t *testing.T) {
	members, lasts, rate := 30, 2*time.Second, float64(delugeLess)
	if *whole {
		members, lasts, rate = 500, 30*time.Second, delugeRate
	}
	s := newSiege(t, members+2)
	from, to := s.members[members], s.members[members+1]
	s.members = s.members[:members]
	d := newDeluge(t, s.lab.Internet().Namespace, newFlood(s.k).packets, netip.MustParseAddrPort(superAddr))
	d.pour(t, lasts/4, rate) // tables of a fixed size are made when they are needed first
	before, disk := vitalsOf(t, s.super.Pid()), diskOf(t, filepath.Join(s.rig.Dir, "super"))
	_, roomless := queueOf(t, s.super.Pid(), 7654)
	var sent, relayed, arrived int
	s.last(lasts, rate, func() {
		ctx, cancel := context.WithCancel(s.ctx)
		var relaying sync.WaitGroup
		relaying.Go(func() { relayed, arrived = s.relay(ctx, from, to) })
		sent = d.pour(t, lasts, rate)
		cancel()
		relaying.Wait()
	})
	s.sent = sent * protocol.InitLen
	s.verdict(before, disk, lasts)
	after := vitalsOf(t, s.super.Pid())
	_, lost := queueOf(t, s.super.Pid(), 7654)
	t.Logf("%d datagrams a second, of which %d found no room; %d of %d relayed packets arrived; before %v, after %v",
		int(float64(sent)/lasts.Seconds()), lost-roomless, arrived, relayed, before, after)
	if s.refused.Load()*200 > s.came.Load() {
		t.Errorf("%d of %d newcomers were not registered", s.refused.Load(), s.came.Load())
	}
	if float64(arrived) < relayedLeast*float64(relayed) || relayed < relayRate {
		t.Errorf("%d of %d relayed packets arrived", arrived, relayed)
	}
	if more := after.resident - before.resident; more > delugeFlat {
		t.Errorf("%.1f MiB more are resident", float64(more)/(1<<20))
	}
	if float64(sent) < delugeArrived*delugeLess*lasts.Seconds() {
		t.Errorf("%d datagrams in %v are no deluge", sent, lasts)
	}
}
