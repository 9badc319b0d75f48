package attack

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"hedgerow/integration/lab"
)

// tally counts what comes to a host that never answers.
type tally struct {
	mu    sync.Mutex
	at    []time.Time
	bytes int
}

func (c *tally) listen(t *testing.T, h *lab.Host, port uint16) {
	conn := lab.Must(h.ListenUDP("udp4", netip.AddrPortFrom(h.Addr(), port).String()))
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 2048)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			c.mu.Lock()
			c.at, c.bytes = append(c.at, time.Now()), c.bytes+n+28
			c.mu.Unlock()
		}
	}()
}

// most returns the most arrivals within any span.
func (c *tally) most(span time.Duration) (most int) {
	for i := range c.at {
		j, _ := slices.BinarySearchFunc(c.at, c.at[i].Add(span), time.Time.Compare)
		most = max(most, j-i)
	}
	return most
}

// A member names the addresses of somebody else as its own, as many as it may,
// and talks to the others all the time, so that they try again and again.
func TestReflection(t *testing.T) {
	s := newScene(t)
	victim := lab.Must(s.lab.Host("victim", "203.0.113.66"))
	var c tally
	var hostile []string
	for port := uint16(4000); port < 4008; port++ {
		c.listen(t, victim, port)
		hostile = append(hostile, "--public-address", "203.0.113.66:"+strconv.Itoa(int(port)))
	}
	hostile = append([]string{"-l", superAddr}, hostile...)
	attacker := s.join(s.home("attacker", "198.51.100.1", lab.SymmetricRandom), hostile...)
	targets := []*member{
		s.join(s.home("one", "198.51.100.2", lab.SymmetricRandom)),
		s.join(s.home("two", "198.51.100.3", lab.SymmetricRandom)),
	}
	const lasts = 25 * time.Second
	var talking sync.WaitGroup
	for _, m := range targets {
		talking.Go(func() {
			for end := time.Now().Add(lasts); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				short, cancel := context.WithTimeout(s.ctx, time.Second) // one may be lost
				_, _ = attacker.at.Ping(short, m.addr)
				cancel()
			}
		})
	}
	talking.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.at) == 0 {
		t.Error("nothing came: the test proves nothing")
	}
	if n := len(c.at); n >= 100 {
		t.Errorf("%d packets, %d bytes, from %d edges", n, c.bytes, len(targets))
	}
	if n := c.most(10 * time.Second); n > 33*len(targets) {
		t.Errorf("%d packets within 10 s from %d edges, 30 from each are allowed", n, len(targets))
	}
	t.Logf("%d packets and %d bytes in %v from %d edges, %d at most within 10 s", len(c.at), c.bytes, lasts, len(targets), c.most(10*time.Second))
}

// stunMessage makes a STUN message of one attribute or several, each its type, its
// length and its value.
func stunMessage(kind uint16, attributes ...[]byte) []byte {
	body := slices.Concat(attributes...)
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return slices.Concat(b, []byte{0x21, 0x12, 0xa4, 0x42}, []byte("transactions"), body)
}

// crashing are the datagrams that stop programs which give them to pion's STUN and
// TURN, as versions 0.6 and 2.1 are.
var crashing = map[string][]byte{
	"an empty mapped address":       stunMessage(0x0101, []byte{0, 0x20, 0, 0}),
	"half of a mapped address":      stunMessage(0x0101, []byte{0, 0x20, 0, 5, 0, 1, 2, 3, 4, 0, 0, 0}),
	"data for a client, 32 bytes":   stunMessage(0x0017, []byte{0, 0x13, 0, 4, 1, 2, 3, 4}, []byte{0, 0x12, 0, 0}),
	"a connection for a client":     stunMessage(0x001c, []byte{0, 0x12, 0, 0}),
	"something to send, 32 bytes":   stunMessage(0x0016, []byte{0, 0x13, 0, 4, 1, 2, 3, 4}, []byte{0, 0x12, 0, 0}),
	"a Binding request of an enemy": stunMessage(0x0001, []byte{0, 0x20, 0, 0}),
}

// None of them does anything to an edge, to a supernode, or to its TURN server: they
// go on, and nobody is answered.
func TestCrashingDatagrams(t *testing.T) {
	l := newLab(t)
	s := newSceneWith(t, l, "--turn-listen", "203.0.113.1:3478")
	left := s.join(lab.Must(s.lab.Host("left", "203.0.113.10")))
	right := s.join(lab.Must(s.lab.Host("right", "203.0.113.11")))
	s.awaitPath(left, right, "direct")
	stranger := lab.Must(s.lab.Host("stranger", "203.0.113.77"))
	conn := lab.Must(stranger.ListenUDP("udp4", "203.0.113.77:3478"))
	defer conn.Close()
	edgePort := lab.Must(netip.ParseAddrPort(endpointOf(s, right, left)))
	for _, to := range []netip.AddrPort{netip.MustParseAddrPort(superAddr), netip.MustParseAddrPort("203.0.113.1:3478"), netip.MustParseAddrPort("203.0.113.1:7655"), edgePort} {
		for name, pkt := range crashing {
			for range 3 {
				if _, err := conn.WriteToUDPAddrPort(pkt, to); err != nil {
					t.Errorf("%s to %v: %v", name, to, err)
				}
			}
		}
	}
	b := make([]byte, 2048)
	_ = conn.SetReadDeadline(time.Now().Add(time.Second))
	if n, from, err := conn.ReadFromUDPAddrPort(b); err == nil {
		t.Errorf("%v answered with %x", from, b[:n])
	} else if ne, ok := err.(net.Error); !ok || !ne.Timeout() {
		t.Error(err)
	}
	if _, err := left.at.Ping(s.ctx, right.addr); err != nil {
		t.Error(err)
	}
	for _, p := range []*member{left, right} {
		if _, err := s.rig.Status(s.ctx, p.Program); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	s.superStatus()
}

// endpointOf returns where a member reaches another one.
func endpointOf(s *scene, from, to *member) string {
	s.t.Helper()
	peers, err := s.rig.Peers(s.ctx, from.Program)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, p := range peers {
		if p.Name == to.Name {
			return p.Endpoint
		}
	}
	s.t.Fatalf("%s does not know %s", from.Name, to.Name)
	return ""
}
