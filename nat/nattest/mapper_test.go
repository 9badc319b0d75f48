package nattest

import (
	"context"
	"net/netip"
	"testing"
	"time"
)

// A mapping that was asked for lets strangers in, who are answered by it; what
// the host sends elsewhere has a mapping of its own. Every change is told.
func TestMapper(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		defer n.Close()
		b := Symmetric
		b.Timeout = time.Minute
		router := n.Router(addr("203.0.113.1"), b)
		h := router.Host(addr("192.168.1.2"))
		c := listen(t, h, 5000)
		stranger, other := listen(t, n.Host(addr("198.51.100.1")), 1000), listen(t, n.Host(addr("198.51.100.2")), 1000)
		var told []netip.AddrPort
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan struct{})
		m := h.Mapper(5000)
		go func() { m.Run(ctx, func(a netip.AddrPort) { told = append(told, a) }); close(ended) }()
		next := func() netip.AddrPort {
			t.Helper()
			settle()
			if len(told) != 1 {
				t.Fatalf("told %v", told)
			}
			a := told[0]
			told = nil
			return a
		}
		answers := func(external netip.AddrPort, want bool) {
			t.Helper()
			send(t, stranger, external, "hello")
			settle()
			text, from := got(t, c)
			if (text == "hello") != want {
				t.Fatalf("through %v: %q, want %v", external, text, want)
			}
			if !want {
				return
			}
			if from := seen(t, c, stranger); from != external {
				t.Errorf("answered from %v, want %v", from, external)
			}
			if from := seen(t, c, other); from == external {
				t.Errorf("another is sent to from %v, too", from)
			}
			_ = from
		}
		first := next()
		if first != at("203.0.113.1:5000") {
			t.Errorf("mapped as %v", first)
		}
		answers(first, true)
		time.Sleep(time.Hour)
		answers(first, true) // it does not end by itself
		m.Wake()
		settle()
		if len(told) != 0 {
			t.Errorf("told %v again", told)
		}

		router.Remap()
		second := next()
		if second == first || !second.IsValid() {
			t.Errorf("mapped as %v", second)
		}
		answers(first, false)
		answers(second, true)

		router.SetMapping(false)
		if a := next(); a.IsValid() {
			t.Errorf("still mapped as %v", a)
		}
		answers(second, false)
		router.SetMapping(true)
		next()
		router.SetAddr(addr("203.0.113.9"))
		last := next()
		if last.Addr() != addr("203.0.113.9") {
			t.Errorf("mapped as %v", last)
		}
		answers(last, true)
		stop()
		<-ended
		answers(last, false)
	})
}

// A router behind a router, and none at all, give no mapping.
func TestMapperWithoutUse(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		defer n.Close()
		inner := n.Router(addr("203.0.113.1"), PortRestricted).Router(addr("100.64.0.2"), PortRestricted)
		h := inner.Host(addr("192.168.1.2"))
		ctx, stop := context.WithCancel(context.Background())
		defer stop()
		var told []netip.AddrPort
		m := h.Mapper(5000)
		go m.Run(ctx, func(a netip.AddrPort) { told = append(told, a) })
		settle()
		n.LAN().Move(h, addr("192.168.1.2"))
		m.Wake()
		settle()
		if len(told) != 0 {
			t.Errorf("told %v", told)
		}
	})
}
