package supernode

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"hedgerow/nat/stun"
	"hedgerow/transport"
)

// The two ports name each other, and either answers from the other when asked
// to, with what it saw. Both answer from the address that was asked, which is not the one
// that the kernel would choose.
func TestAlternatePort(t *testing.T) {
	first, firstAt := listen(t, transport.Options{})
	second, secondAt := listen(t, transport.Options{})
	asked := netip.AddrFrom4([4]byte{127, 0, 0, 9})
	firstAt, secondAt = netip.AddrPortFrom(asked, firstAt.Port()), netip.AddrPortFrom(asked, secondAt.Port())
	s, err := New(Config{Conn: first, Alternate: second, StateDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	self := c.LocalAddr().(*net.UDPAddr).AddrPort()
	for _, x := range []struct{ to, other netip.AddrPort }{{firstAt, secondAt}, {secondAt, firstAt}} {
		for _, change := range []bool{false, true} {
			want := x.to
			if change {
				want = x.other
			}
			request := stun.Request{ID: [12]byte{1}, ChangePort: change}
			if _, err := c.WriteToUDPAddrPort(request.Append(nil), x.to); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1500)
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, from, err := c.ReadFromUDPAddrPort(b)
			if err != nil {
				t.Fatalf("to %v, change %v: %v", x.to, change, err)
			}
			got, err := stun.ParseResponse(b[:n])
			if err != nil || from != want || got.Mapped != self || got.Other.Port() != x.other.Port() {
				t.Errorf("to %v, change %v: %+v from %v, %v", x.to, change, got, from, err)
			}
		}
	}
}

// The answer goes to another port of the sender when that is asked for, and says which port
// has asked. It goes to no other address.
func TestAnswerToAnotherPort(t *testing.T) {
	r := newRig(t, Config{})
	from := address(1)
	asked := stun.Request{ID: [12]byte{7}, AnswerPort: from.Port() + 256}.Append(nil)
	got := r.deliver(from, asked)
	if len(got) != 1 || got[0].to != netip.AddrPortFrom(from.Addr(), from.Port()+256) || len(got[0].pkt) > len(asked) {
		t.Fatalf("answers %+v", got)
	}
	if x, err := stun.ParseResponse(got[0].pkt); err != nil || x.ID != [12]byte{7} || x.Mapped != from {
		t.Errorf("the answer is %+v, %v", x, err)
	}
}
