package supernode

import (
	"bytes"
	"crypto/tls"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"

	"hedgerow/crypto"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// clientHello returns the first flight of a TLS client.
func clientHello(t *testing.T) []byte {
	t.Helper()
	near, far := net.Pipe()
	go func() {
		_ = tls.Client(near, &tls.Config{ServerName: "vps.example"}).Handshake() // nobody answers
		_ = near.Close()
	}()
	b := make([]byte, 2000)
	n, err := far.Read(b)
	_ = far.Close()
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// probes are what an active prober sends to find out whether a supernode is at an address. It
// knows the protocol, the supernode's public key and everything but the obfuscation key.
func probes(t *testing.T, r *rig, obfs []byte) map[string][]byte {
	e := r.edge(testCommunity("c", "k"), "prober", 3)
	e.mask = crypto.NewMask(crypto.SupernodeMaskKey(r.s.Key(), obfs))
	_, init := e.initiate(nil)
	hello := protocol.AppendHello(nil, [16]byte(junk(16)))
	crypto.HelloMask(obfs).Hide(e.sc, hello)
	data := junk(64) // of a session of the boot before, which a RESET would answer
	protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: uint32(r.s.sessions.boot-1) << 24}.Put(data)
	return map[string][]byte{
		"HELLO": hello, "INIT": init, "DATA": e.hide(data), "STUN": stun.AppendRequest(nil, [12]byte{1}), "TLS": clientHello(t),
		"covered STUN": crypto.HelloMask(obfs).Cover(e.sc, stun.AppendRequest(nil, [12]byte{2}), 120),
		"noise":        junk(96),
	}
}

// TestObfsKeyAnswersNobodyElse: without the obfuscation key nothing is answered, of which
// without such a key most is. With it, as ever.
func TestObfsKeyAnswersNobodyElse(t *testing.T) {
	key := []byte("a key that only edges have")
	for _, test := range []struct {
		has, knows []byte
		answered   int // of the probes: HELLO, INIT, DATA, STUN plain or covered
	}{
		{nil, nil, 4}, {key, nil, 0}, {key, []byte("another key"), 0}, {nil, key, 1}, {key, key, 4},
	} {
		r := newRig(t, Config{StateDir: t.TempDir(), Cover: Cover{ObfsKey: test.has}})
		r = r.restart(r.s.cfg) // so that there is a boot before
		var got []string
		for name, pkt := range probes(t, r, test.knows) {
			size := len(pkt)
			for _, answer := range r.deliver(address(3), pkt) {
				if got = append(got, name); len(answer.pkt) > size {
					t.Errorf("%s of %d bytes is answered by %d", name, size, len(answer.pkt))
				}
			}
		}
		if len(got) != test.answered {
			t.Errorf("a supernode with key %q answers %v to who knows %q", test.has, got, test.knows)
		}
	}
}

// TestObfsKeyAnswersNobodyTwice: what somebody has recorded of an edge and sends again, from
// anywhere, is answered where there is no obfuscation key alone.
func TestObfsKeyAnswersNobodyTwice(t *testing.T) {
	for _, key := range [][]byte{nil, []byte("key")} {
		r := newRig(t, Config{Cover: Cover{ObfsKey: key}})
		e := r.edge(testCommunity("c", "k"), "edge", 3)
		_, init := e.initiate(nil)
		hello := protocol.AppendHello(nil, [16]byte(junk(16)))
		crypto.HelloMask(key).Hide(e.sc, hello)
		for i, pkt := range [][]byte{init, hello} {
			if first := r.deliver(e.addr, bytes.Clone(pkt)); len(first) != 1 {
				t.Fatalf("key %q: %d answers", key, len(first))
			}
			for _, from := range []netip.AddrPort{e.addr, address(4)} {
				want := 1
				if key != nil {
					want = 0
				}
				if again := r.deliver(from, bytes.Clone(pkt)); len(again) != want {
					t.Errorf("key %q, packet %d again: %d answers, want %d", key, i, len(again), want)
				}
			}
		}
	}
}

// TestRepeatsAreBounded: whoever has the key and sends INITs without end takes no more memory.
func TestRepeatsAreBounded(t *testing.T) {
	r := newRepeats([]byte("key"))
	var end [16]byte
	for range 3 * repeatsMost {
		for i := range end {
			end[i] = byte(rand.Uint32())
		}
		r.note(end)
	}
	if n := len(r.now) + len(r.before); n > 2*repeatsMost || !r.known(end) {
		t.Errorf("%d are kept, the last one: %v", n, r.known(end))
	}
}

// TestObfsKeyServes: an edge that has the key registers, is relayed to, and finds the former
// key of a rotation as without one.
func TestObfsKeyServes(t *testing.T) {
	r := newRig(t, Config{Identity: nil, StateDir: t.TempDir(), Cover: Cover{ObfsKey: []byte("key")}})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1), r.edge(c, "b", 2)
	a.join()
	b.join()
	if err := r.s.Rotate(); err != nil {
		t.Fatal(err)
	}
	r.edge(c, "a", 1).join() // by the new key
	former := r.edge(c, "d", 4)
	former.knows, former.mask = a.knows, a.mask
	former.join()
	mask := r.s.strangers.cover.mask
	got := r.deliver(address(9), mask.Cover(r.out.sc, stun.AppendRequest(nil, [12]byte{7}), 150))
	if len(got) != 1 {
		t.Fatalf("%d answers to STUN while there are two keys", len(got))
	}
	answer, err := stun.ParseResponse(stun.Leading(mask.Uncover(r.out.sc, got[0].pkt, stun.Begins)))
	if err != nil || answer.Mapped != address(9) || answer.ID != [12]byte{7} {
		t.Errorf("%+v, %v", answer, err)
	}
}

// TestLengthenedHandshakes: an INIT and a HELLO that were made longer are answered by what is
// longer, too, of many lengths and never longer than they; without an obfuscation key they are no
// packets.
func TestLengthenedHandshakes(t *testing.T) {
	for _, key := range [][]byte{nil, []byte("key")} {
		r := newRig(t, Config{Cover: Cover{ObfsKey: key}})
		lengths := make(map[int]bool)
		for i := range 40 {
			e := r.edge(testCommunity("c", "k"), "edge", 300*i)
			_, init := e.initiate(nil)
			e.mask.Show(e.sc, init)
			hello := protocol.AppendHello(nil, [16]byte{byte(i), 1})
			for pkt, mask := range map[*[]byte]*crypto.Mask{&init: e.mask, &hello: crypto.HelloMask(key)} {
				*pkt = crypto.Lengthen(*pkt, 2048)
				size := len(*pkt)
				mask.Hide(e.sc, *pkt)
				again := bytes.Clone(*pkt)
				got := r.deliver(e.addr, *pkt)
				if want := len(key[:min(1, len(key))]); len(got) != want {
					t.Fatalf("key %q: %d answers to %d bytes, %v", key, len(got), size, r.s.refused.reasons())
				}
				for _, changed := range []int{90, 185, size - 17} { // nonce, mac2 and what is behind
					repeat := bytes.Clone(again)
					if repeat[min(changed, size-17)] ^= 1; len(r.deliver(e.addr, repeat)) != 0 {
						t.Fatal("a recorded packet is answered that was changed")
					}
				}
				for _, answer := range got {
					lengths[len(answer.pkt)] = true
					h := protocol.Header{}
					if mask.Show(e.sc, answer.pkt) {
						h, _ = protocol.ParseHeader(answer.pkt)
					}
					if n := h.Type.Len(); n == 0 || len(answer.pkt) < n+crypto.CoverLen || len(answer.pkt) > size {
						t.Errorf("%d bytes are answered by %d of type %d", size, len(answer.pkt), h.Type)
					}
				}
			}
		}
		if key != nil && len(lengths) < 20 {
			t.Errorf("answers of %d lengths only", len(lengths))
		}
	}
}
