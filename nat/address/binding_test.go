package address

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"hedgerow/nat/stun"
)

func TestBindings(t *testing.T) {
	now := time.Unix(1000, 0)
	server := netip.MustParseAddrPort("203.0.113.5:3478")
	client := netip.MustParseAddrPort("198.51.100.7:40000")
	ask := func(s *Bindings) []byte {
		list := s.Poll(now, bytes.NewReader(make([]byte, 64)))
		if len(list) != 1 || list[0].To != server {
			t.Fatalf("requests %v, want one to %v", list, server)
		}
		answer, err := stun.AppendResponse(nil, list[0].Packet, client, netip.AddrPort{})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	for _, tc := range []struct {
		name string
		from netip.AddrPort
		wait time.Duration
		edit func([]byte) []byte
		err  error
	}{
		{"the answer", server, time.Second, nil, nil},
		{"at the last moment", server, bindingWait, nil, nil},
		{"too late", server, bindingWait + 1, nil, ErrLate},
		{"from elsewhere", netip.MustParseAddrPort("203.0.113.6:3478"), 0, nil, ErrOtherServer},
		{"changed on the path", server, 0, func(b []byte) []byte { b[8] ^= 1; return b }, stun.ErrAttribute},
		{"to another request", server, 0, func([]byte) []byte {
			b, _ := stun.AppendResponse(nil, stun.AppendRequest(nil, [12]byte{1}), client, netip.AddrPort{})
			return b
		}, ErrUnasked},
		{"cut short", server, 0, func(b []byte) []byte { return b[:len(b)-1] }, stun.ErrMessage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s Bindings
			s.Add(now, server)
			answer := ask(&s)
			if tc.edit != nil {
				answer = tc.edit(answer)
			}
			seen, err := s.HandleResponse(now.Add(tc.wait), tc.from, answer)
			if !errors.Is(err, tc.err) || err == nil && seen != client {
				t.Errorf("got %v, %v", seen, err)
			}
			if _, err := s.HandleResponse(now.Add(tc.wait), tc.from, answer); err == nil {
				t.Error("an answer counted twice")
			}
		})
	}
	var s Bindings
	if !s.Deadline().IsZero() || s.Poll(now, nil) != nil {
		t.Error("without servers there is nothing to do")
	}
	for i := range uint16(maxServers + 1) {
		s.Add(now, netip.AddrPortFrom(server.Addr(), 3478+i))
		s.Add(now, netip.AddrPortFrom(server.Addr(), 3478+i))
	}
	if n := len(s.Poll(now, bytes.NewReader(make([]byte, 1<<10)))); n != maxServers {
		t.Errorf("%d servers are asked, want %d", n, maxServers)
	}
	if want := now.Add(bindingEvery); !s.Deadline().Equal(want) {
		t.Errorf("next round at %v, want %v", s.Deadline(), want)
	}
}

// A server's other port is asked as well, if it is a port of its own host.
func TestBindingsOtherPort(t *testing.T) {
	now := time.Unix(1000, 0)
	server := netip.MustParseAddrPort("203.0.113.5:3478")
	client := netip.MustParseAddrPort("198.51.100.7:40000")
	for other, want := range map[string]string{
		"203.0.113.5:3479": "203.0.113.5:3479", "0.0.0.0:3479": "203.0.113.5:3479", "203.0.113.6:3479": "203.0.113.5:3479",
		"203.0.113.5:3478": "", "203.0.113.5:53": "",
	} {
		var s Bindings
		s.Add(now, server)
		random := bytes.NewReader(make([]byte, 12))
		answer, err := stun.AppendResponse(nil, s.Poll(now, random)[0].Packet, client, netip.MustParseAddrPort(other))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.HandleResponse(now, server, answer); err != nil {
			t.Fatal("the answer does not count")
		}
		list := s.Poll(now, bytes.NewReader(make([]byte, 12)))
		got := ""
		for _, r := range list {
			got += r.To.String()
		}
		if got != want {
			t.Errorf("named %s: asked %s", other, got)
		}
	}
}
