package transport

import (
	"net/netip"
	"testing"
	"time"
)

// What is sent arrives, with a TTL of its own or without, and nothing is received
// after Close.
func TestSingle(t *testing.T) {
	type arrival struct {
		from netip.AddrPort
		text string
	}
	arrived := make(chan arrival, 16)
	receive := func(from netip.AddrPort, pkt []byte) { arrived <- arrival{from, string(pkt)} }
	a, err := OpenSingle(Binding{}, nil, receive)
	if err != nil {
		t.Fatal(err)
	}
	b, err := OpenSingle(Binding{}, nil, func(netip.AddrPort, []byte) {})
	if err != nil {
		t.Fatal(err)
	}
	at := func(s *Single) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), s.Port())
	}
	b.Send(at(a), 0, []byte("plain"))
	want := []string{"plain"}
	if ttlMessage(3, true) != nil {
		b.Send(at(a), 3, []byte("with a TTL"))
		want = append(want, "with a TTL")
	}
	for _, text := range want {
		select {
		case got := <-arrived:
			if got != (arrival{at(b), text}) {
				t.Errorf("got %+v", got)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%q did not arrive", text)
		}
	}
	b.Send(netip.MustParseAddrPort("127.0.0.1:1"), 0, []byte("refused"))
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	b.Send(at(a), 0, []byte("late"))
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if b.Close() == nil {
		t.Error("closed twice")
	}
	b.Send(at(a), 0, []byte("after the end"))
	if len(arrived) > 0 {
		t.Errorf("%+v after Close", <-arrived)
	}
}
