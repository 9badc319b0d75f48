package nattest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hearing is what a socket for the group has heard.
type hearing struct {
	*Multicast
	got   []string // "text from address"
	stop  context.CancelFunc
	ended chan error
}

func hear(h *Host) *hearing {
	ctx, stop := context.WithCancel(context.Background())
	x := &hearing{Multicast: h.Multicast(), stop: stop, ended: make(chan error, 1)}
	go func() {
		x.ended <- x.Serve(ctx, func(from netip.AddrPort, pkt []byte) { x.got = append(x.got, string(pkt)+" from "+from.String()) })
	}()
	return x
}

// take returns what was heard, and forgets it.
func (x *hearing) take() string {
	settle()
	got := x.got
	x.got = nil
	return strings.Join(got, ", ")
}

func (x *hearing) announce(t *testing.T, text string, want int) {
	t.Helper()
	if n, err := x.Announce([]byte(text)); n != want || err != nil {
		t.Errorf("announced %d times, want %d: %v", n, want, err)
	}
}

func checkHeard(t *testing.T, x *hearing, want string) {
	t.Helper()
	if got := x.take(); got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// Who has announced hears all others of the LAN, once a family, and nobody else.
func TestMulticast(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		router := n.Router(addr("203.0.113.1"), PortRestricted)
		lan := router.LAN()
		a, b := hear(lan.Host(addr("192.168.1.2"), addr("2001:db8::2"))), hear(lan.Host(addr("192.168.1.3"), addr("2001:db8::3")))
		four, elsewhere := hear(router.Host(addr("192.168.1.4"))), hear(n.LAN().Host(addr("192.168.1.5")))
		public := hear(n.Host(addr("198.51.100.1")))
		a.announce(t, "nobody has joined", 2)
		checkHeard(t, b, "")
		for _, x := range []*hearing{b, four, elsewhere} {
			x.announce(t, "I", []int{1, 2}[min(1, len(x.host.Addresses())-1)])
		}
		public.announce(t, "I", 0)
		a.take()
		b.take()
		checkHeard(t, four, "")

		overheard := 0
		lan.Overhear(func(from netip.AddrPort, pkt []byte) { overheard++ })
		a.announce(t, "hello", 2)
		checkHeard(t, b, "hello from 192.168.1.2:7655, hello from [2001:db8::2]:7655")
		checkHeard(t, four, "hello from 192.168.1.2:7655")
		for _, x := range []*hearing{a, elsewhere, public} {
			checkHeard(t, x, "")
		}
		if overheard != 2 {
			t.Errorf("overheard %d", overheard)
		}
		lan.Forge(at("192.168.1.99:7655"), []byte("forged"))
		checkHeard(t, a, "forged from 192.168.1.99:7655")
		four.host.BlockUDP(true)
		b.announce(t, "x", 2)
		four.announce(t, "y", 1)
		checkHeard(t, four, "forged from 192.168.1.99:7655")
		checkHeard(t, b, "forged from 192.168.1.99:7655")

		if _, err := a.Announce(make([]byte, 1401)); !errors.Is(err, syscall.EMSGSIZE) {
			t.Error(err)
		}
		b.stop()
		if err := <-b.ended; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if err := <-a.ended; err != nil || !errors.Is(a.Close(), net.ErrClosed) {
			t.Error(err)
		}
		if _, err := a.Announce([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		n.Close() // ends the others
		for _, x := range []*hearing{four, elsewhere, public} {
			if err := <-x.ended; err != nil {
				t.Error(err)
			}
		}
	})
}

// Losses, copies and partitions are for all that hosts of the LAN send each other.
func TestLANSwitches(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		defer n.Close()
		router := n.Router(addr("203.0.113.1"), PortRestricted)
		lan := router.LAN()
		a, b := hear(lan.Host(addr("192.168.1.2"))), hear(lan.Host(addr("192.168.1.3")))
		x, y := listen(t, a.host, 1000), listen(t, b.host, 1000)
		a.announce(t, "joins", 1)
		b.announce(t, "joins", 1)
		a.take()
		arrives := func(want string, times int) {
			t.Helper()
			a.announce(t, "all", 1)
			if got := strings.Count(b.take(), "all"); got != times {
				t.Errorf("%s: announced once, heard %d times", want, got)
			}
			send(t, x, y.LocalAddr(), "one")
			settle()
			for range times {
				if text, _ := got(t, y); text != "one" {
					t.Errorf("%s: got %q", want, text)
				}
			}
			if text, _ := got(t, y); text != "" {
				t.Errorf("%s: got %q", want, text)
			}
		}
		arrives("whole", 1)
		lan.SetLoss(1)
		arrives("lost", 0)
		lan.SetLoss(0)
		lan.SetDuplication(1)
		arrives("twice", 2)
		lan.SetDuplication(0)
		lan.Split(addr("192.168.1.3"))
		arrives("apart", 0)
		server := listen(t, n.Host(addr("198.51.100.1")), 1000)
		seen(t, y, server) // the way out is not cut
		lan.Split()
		arrives("whole again", 1)
		lan.SetLoss(0.5)
		for range 200 {
			a.announce(t, "half", 1)
		}
		if got := strings.Count(b.take(), "half"); got < 70 || got > 130 {
			t.Errorf("of 200 %d were heard", got)
		}
	})
}

// A host that moves keeps its ports, and is told a quarter of a second later.
func TestMove(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		defer n.Close()
		server := listen(t, n.Host(addr("198.51.100.1")), 1000)
		one, two := n.Router(addr("203.0.113.1"), PortRestricted), n.Router(addr("203.0.113.2"), PortRestricted)
		h := one.Host(addr("192.168.1.2"))
		c := listen(t, h, 5000)
		var told []time.Duration
		begun := time.Now()
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- h.Watch(ctx, func() { told = append(told, time.Since(begun)) }) }()
		from := func(want string) {
			t.Helper()
			if got := seen(t, c, server).Addr(); got != addr(want) {
				t.Errorf("seen from %v, want %s", got, want)
			}
		}
		from("203.0.113.1")
		begun = time.Now()
		two.LAN().Move(h, addr("10.0.0.9"))
		time.Sleep(100 * time.Millisecond)
		h.SetAddresses(addr("10.0.0.7"))
		if got := c.LocalAddr(); got != at("10.0.0.7:5000") || h.Addresses()[0] != got.Addr() {
			t.Errorf("local address %v", got)
		}
		from("203.0.113.2")
		if want := []time.Duration{350 * time.Millisecond}; !slices.Equal(told, want) {
			t.Errorf("told after %v, want %v", told, want)
		}
		n.Move(h, addr("198.51.100.9"))
		from("198.51.100.9")
		h.SetAddresses()
		if got := c.LocalAddr(); got != at("0.0.0.0:5000") {
			t.Errorf("local address %v", got)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// UDP that is blocked goes neither out nor in, and comes back.
func TestBlockUDP(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		defer n.Close()
		a, b := listen(t, n.Host(addr("198.51.100.1")), 1000), listen(t, n.Host(addr("198.51.100.2")), 1000)
		a.host.BlockUDP(true)
		send(t, a, b.LocalAddr(), "out")
		send(t, b, a.LocalAddr(), "in")
		settle()
		for _, c := range []*Conn{a, b} {
			if text, _ := got(t, c); text != "" {
				t.Errorf("got %q", text)
			}
		}
		a.host.BlockUDP(false)
		seen(t, a, b)
		seen(t, b, a)
	})
}

func TestPacketConn(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		defer n.Close()
		a := listen(t, n.Host(addr("198.51.100.1")), 1000).PacketConn()
		b := listen(t, n.Host(addr("198.51.100.2")), 2000).PacketConn()
		go func() {
			_, err := a.WriteTo([]byte("hello"), b.LocalAddr())
			if err != nil {
				t.Error(err)
			}
		}()
		in := make([]byte, 100)
		k, from, err := b.ReadFrom(in)
		if err != nil || string(in[:k]) != "hello" || from.String() != "198.51.100.1:1000" {
			t.Errorf("%q from %v: %v", in[:k], from, err)
		}
		if _, err := a.WriteTo([]byte("x"), net.UDPAddrFromAddrPort(at("[2001:db8::1]:1"))); !errors.Is(err, syscall.ENETUNREACH) {
			t.Error(err)
		}
		go func() { time.Sleep(time.Second); _ = b.Close() }()
		if _, _, err := b.ReadFrom(in); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
