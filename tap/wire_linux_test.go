package tap

import (
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"hedgerow/integration/lab"
)

// station is a machine of the lab with a device whose network only the test's
// wire connects to anything.
type station struct {
	*lab.Host
	device *Device
}

// newStation makes a machine and opens edge0 in it, with two addresses of the
// wire's network; host is the last byte of both.
func newStation(t *testing.T, l *lab.Lab, name, public, host string, cfg Config) *station {
	t.Helper()
	s := &station{Host: lab.Must(l.Host(name, public))}
	s.device = s.open(t, "edge0", cfg, "10.64.0."+host+"/24", "fd00:64::"+host+"/64")
	return s
}

// open opens a device in the machine.
func (s *station) open(t *testing.T, name string, cfg Config, addresses ...string) *Device {
	t.Helper()
	cfg.Name, cfg.MTU = name, wireMTU
	var d *Device
	if err := s.Do(func() (err error) {
		d, err = Open(cfg)
		return err
	}); err != nil {
		t.Fatalf("Open(%+v): %v", cfg, err)
	}
	t.Cleanup(func() { d.Close() })
	for _, a := range addresses {
		if err := d.SetAddress(netip.MustParsePrefix(a)); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// route sends what is for a network by way of a neighbour.
func (s *station) route(t *testing.T, network, via string) {
	t.Helper()
	_, to, err := net.ParseCIDR(network)
	if err == nil {
		err = s.Do(func() error { return netlink.RouteAdd(&netlink.Route{Dst: to, Gw: net.ParseIP(via)}) })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// checksumErrors returns how many TCP segments the machine's kernel refused for
// a wrong checksum.
func (s *station) checksumErrors(t *testing.T) string {
	t.Helper()
	var table []byte
	if err := s.Do(func() (err error) {
		table, err = os.ReadFile(filepath.Join("/proc/thread-self/net/snmp"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if fields[0] != "Tcp:" {
			continue
		}
		for i, name := range names {
			if name == "InCsumErrors" {
				return fields[i]
			}
		}
		names = fields
	}
	t.Fatal("the kernel counts no wrong checksums")
	return ""
}

// wireMTU is the MTU of all stations.
const wireMTU = 1400

// wire carries frames between two devices as they are, queue by queue, until the
// end of the test. see, when set, is called with every frame, from several
// goroutines.
func wire(t *testing.T, a, b *Device, see func(from *Device, f *Frame)) {
	t.Helper()
	stop := make(chan struct{})
	var running sync.WaitGroup
	left, right := a.Queues(), b.Queues()
	for i := range left {
		running.Go(func() { carry(t, left[i], right[i%len(right)], stop, see) })
	}
	for i := range right {
		running.Go(func() { carry(t, right[i], left[i%len(left)], stop, see) })
	}
	t.Cleanup(func() {
		close(stop)
		running.Wait()
	})
}

// carry is one direction of a wire.
func carry(t *testing.T, from, to *Queue, stop <-chan struct{}, see func(*Device, *Frame)) {
	fs := make([]Frame, 16)
	for i := range fs {
		fs[i] = Frame{Buf: make([]byte, 64+MaxFrame), Off: 64}
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, err := from.ReadBatch(fs)
		if err != nil {
			t.Errorf("reading: %v", err)
			return
		}
		if n == 0 {
			waitReadable(t, 20*time.Millisecond, from)
			continue
		}
		for i := range fs[:n] {
			if see != nil {
				see(from.device, &fs[i])
			}
		}
		if _, err := to.WriteBatch(fs[:n]); err != nil {
			t.Errorf("writing: %v", err)
			return
		}
	}
}

// transfer sends bytes over TCP from one station to an address of another and
// checks that they arrive.
func transfer(t *testing.T, from, to *station, address string, size int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	listener, err := to.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Error(err)
		return
	}
	defer listener.Close()
	type digest struct {
		sum string
		n   int64
		err error
	}
	arrived := make(chan digest, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			arrived <- digest{err: err}
			return
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		h := sha256.New()
		n, err := io.Copy(h, c)
		arrived <- digest{string(h.Sum(nil)), n, err}
	}()
	c, err := from.Dial(ctx, "tcp", listener.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size)}).Read(data)
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := c.Write(data); err != nil {
		t.Errorf("sending: %v", err)
	}
	c.Close()
	sum := sha256.Sum256(data)
	if d := <-arrived; d.err != nil || d.sum != string(sum[:]) {
		t.Errorf("%d of %d bytes arrived, %v, right: %v", d.n, size, d.err, d.sum == string(sum[:]))
	}
}
