package dataplane

import (
	"testing"

	"hedgerow/protocol"
)

// TestSurvivesLaterPackets gives a member what a later state of version 1 may send to
// those that know it: each is dropped and counted, and the session goes on.
func TestSurvivesLaterPackets(t *testing.T) {
	forged := func(change func(*protocol.Header)) func(a, b *member) {
		return func(a, b *member) {
			h := data(a, b)
			change(&h)
			b.receive(a.forge(h, 100), a.addr)
		}
	}
	sealed := func(first byte) func(a, b *member) {
		return func(a, b *member) { b.receive(a.seal(b, append([]byte{first}, make([]byte, 60)...)), a.addr) }
	}
	cases := map[string]func(a, b *member){}
	for typ := protocol.TypeWelcome + 1; typ < 32; typ++ {
		cases[typ.String()] = forged(func(h *protocol.Header) { h.Type = typ })
	}
	for bit := 2; bit < 8; bit++ { // federation and floods have the first two
		cases["flag "+string(rune('0'+bit))] = forged(func(h *protocol.Header) { h.Flags = 1 << bit })
	}
	for _, xf := range []protocol.Transform{0x03, 0x0f, 0x12, 0x1f, 0x21, 0x40, 0x5f, 0xff} {
		cases[xf.String()] = forged(func(h *protocol.Header) { h.XF = xf })
	}
	for name, first := range map[string]byte{
		"compression": 0x01, "a form of frames": 0x10, "a form of control": 0x90, "a form of fragments": 0xd0,
	} {
		cases[name] = sealed(first)
	}
	for name, give := range cases {
		r, a, b := pair(t)
		give(a, b)
		n := uint64(0)
		for _, count := range b.drops.nonzero() {
			n += count
		}
		if n != 1 || len(b.device.take()) != 0 {
			t.Errorf("%s: %d drops: %v", name, n, b.drops.nonzero())
		}
		b.undrop()
		b.events()
		r.arrives(t, name, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 99), a, b)
	}
}
