package address

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"hedgerow/nat/stun"
)

// FuzzHandleResponse feeds whatever comes to a socket to bindings that wait for the
// answers of two servers. Half of the inputs get the identifier of a request, since
// nobody guesses one.
func FuzzHandleResponse(f *testing.F) {
	first, second := at("203.0.113.5:3478"), at("203.0.113.6:3478")
	seen := at("198.51.100.7:40000")
	request := stun.AppendRequest(nil, [12]byte{1})
	for _, other := range []netip.AddrPort{{}, at("203.0.113.5:3479"), at("0.0.0.0:3479")} {
		answer, err := stun.AppendResponse(nil, request, seen, other)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(answer, false, false)
		f.Add(answer, true, false)
		f.Add(answer, true, true)
	}
	f.Add(request, true, false)
	f.Fuzz(func(t *testing.T, b []byte, ours, elsewhere bool) {
		var s Bindings
		s.Add(epoch, first)
		s.Add(epoch, second)
		list := s.Poll(epoch, bytes.NewReader(bytes.Repeat([]byte{1}, 12)))
		if len(list) != 1 { // random ends there, as a source may
			t.Fatal(list)
		}
		b = bytes.Clone(b)
		if ours && len(b) >= 20 {
			copy(b[8:20], list[0].Packet[8:20])
		}
		from := first
		if elsewhere {
			from = second
		}
		servers := len(s.servers)
		got, err := s.HandleResponse(epoch.Add(time.Second), from, b)
		switch {
		case err == nil && (elsewhere || !got.IsValid()):
			t.Fatalf("%v counts from %v", got, from)
		case err != nil && (got.IsValid() || len(s.servers) != servers):
			t.Fatalf("%v: changed to %v, %v", err, got, s.servers)
		case len(s.servers) > servers && s.servers[servers].addr.Addr() != first.Addr():
			t.Fatalf("a server names %v", s.servers[servers])
		}
		if _, err := s.HandleResponse(epoch.Add(time.Second), from, b); err == nil {
			t.Fatal("an answer counted twice")
		}
	})
}
