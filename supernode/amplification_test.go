package supernode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// samples returns one of every packet that an edge may send, true ones that
// change the state last.
func (e *fakeEdge) samples() map[string][]byte {
	_, init := e.initiate(nil)
	e.index--
	hello := protocol.AppendHello(nil, [16]byte(junk(16)))
	e.r.s.strangers.greeter.mask.Hide(e.sc, hello)
	all := map[string][]byte{
		"INIT":  init,
		"HELLO": hello,
		"STUN":  stun.AppendRequest(nil, [12]byte{1, 2, 3}),
		"RELAY": e.wrap(77, 0, junk(100)), "flood": e.wrap(protocol.HandleAll, 0, junk(100)),
		"keepalive": e.seal(),
	}
	for name, m := range map[string]message{
		"REGISTER": e.request(), "QUERY": &protocol.Query{MAC: e.mac}, "QUERY for all": &protocol.Query{},
		"PUNCH": &protocol.Punch{Handle: 77}, "PING": &protocol.Ping{}, "long PING": &protocol.Ping{Pad: 1200},
		"PONG": &protocol.Pong{}, "WHOAMI": &protocol.Whoami{Pad: protocol.SeenPad}, "short WHOAMI": &protocol.Whoami{},
		"PINGs": manyPings(74, 0), "long PINGs": manyPings(30, 27), "WHOAMIs": many{&protocol.Whoami{Pad: protocol.SeenPad}, 30},
		"REGISTERs": many{e.request(), 2}, "QUERYs for all": many{&protocol.Query{}, 30},
		"DIRECT": &protocol.Direct{Handles: []uint32{1, 2}}, "UNREGISTER": &protocol.Unregister{},
	} {
		all[name] = e.seal(m)
	}
	for kind := range protocol.Type(32) {
		pkt := junk(200)
		protocol.Header{Type: kind, XF: protocol.XFHop, KI: protocol.KINone, RX: e.session.RemoteIndex() ^ 1<<31, CTR: 1}.Put(pkt)
		all[fmt.Sprint("type ", kind, " of another boot")] = e.hide(pkt)
	}
	return all
}

// many is one message n times in one body.
type many struct {
	message
	n int
}

// Append appends all of them.
func (m many) Append(dst []byte) []byte {
	for range m.n {
		dst = m.message.Append(dst)
	}
	return dst
}

func manyPings(n, pad int) message { return many{&protocol.Ping{Pad: pad}, n} }

// TestNoAmplification sends every packet, whole and cut, from addresses that
// never proved themselves.
func TestNoAmplification(t *testing.T) {
	for _, limits := range []Limits{{}, {InitRate: -1}} {
		r := newRig(t, Config{Limits: limits})
		c := testCommunity("c", "k")
		if limits.InitRate == 0 {
			for i := range 70 {
				r.edge(c, fmt.Sprint("friend", i), 100+i).join()
			}
		}
		next := 1000
		for _, name := range []string{"as it is", "cut", "longer"} {
			e := r.edge(c, "e"+name, 1)
			if limits.InitRate == 0 {
				e.join()
			} else {
				e.session = r.edgeSession(c)
			}
			for kind, pkt := range e.samples() {
				switch name {
				case "cut":
					pkt = pkt[:len(pkt)-1]
				case "longer":
					pkt = append(pkt, 1, 2, 3, 4)
				}
				next++
				stranger := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(next >> 8), byte(next)}), 4000)
				var out traffic
				for _, p := range r.deliver(stranger, bytes.Clone(pkt)) {
					if p.to == stranger {
						out.count(len(p.pkt))
					}
				}
				if out.bytes > len(pkt) || out.packets > 1 {
					t.Errorf("%s %s: %+v out for %d bytes in", kind, name, out, len(pkt))
				}
			}
		}
	}
}

// edgeSession returns a session that a supernode without load made.
func (r *rig) edgeSession(c *crypto.Community) *crypto.HopSession {
	calm := newRig(r.t, Config{})
	e := calm.edge(c, "calm", 1).join()
	return e.session
}

func TestSTUN(t *testing.T) {
	r := newRig(t, Config{})
	ask := func(from netip.AddrPort) int {
		id := [12]byte{9, 8, 7}
		got := r.deliver(from, stun.AppendRequest(nil, id))
		if len(got) == 1 {
			if x, err := stun.ParseResponse(got[0].pkt); err != nil || x.ID != id || x.Mapped != from || got[0].to != from {
				t.Errorf("%+v %v", x, err)
			}
		}
		return len(got)
	}
	answers := 0
	for range 100 {
		answers += ask(address(1))
	}
	if answers != stunRate {
		t.Errorf("%d answers for one source", answers)
	}
	six := 0
	for i := range 100 { // one /64
		six += ask(netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}), 1))
	}
	if six != stunRate {
		t.Errorf("%d answers for one IPv6 network", six)
	}
	for i := range 1000 { // one /48
		six += ask(netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 6: byte(i >> 8), 7: byte(i), 15: 1}), 1))
	}
	if six != 4*stunRate {
		t.Errorf("%d answers for one IPv6 /48", six)
	}
	r.now = r.now.Add(time.Second)
	if ask(address(1)) != 1 {
		t.Error("the bucket does not fill")
	}
	for _, from := range []netip.AddrPort{address(2), netip.MustParseAddrPort("[2001:db8:7::1]:9")} {
		bare := stun.AppendRequest(nil, [12]byte{})[:20]
		bare[3] = 0
		if got := r.deliver(from, bare); len(got) != 0 || r.dropped(dropSTUNShort) == 0 {
			t.Errorf("%d answers to a request that is shorter than they", len(got))
		}
	}
	response, _ := stun.AppendResponse(nil, stun.AppendRequest(nil, [12]byte{}), address(1), netip.AddrPort{})
	if got := r.deliver(address(1), response); len(got) != 0 {
		t.Error("a response was answered")
	}
}

func TestHello(t *testing.T) {
	for _, off := range []bool{false, true} {
		r := newRig(t, Config{Cover: Cover{HelloOff: off}})
		mask := r.s.strangers.greeter.mask
		answers, each := 0, 0
		for i := range 400 {
			from := address(i * 256)
			if i >= 300 {
				from = address(99)
			}
			nonce := [16]byte{byte(i), 5}
			pkt := protocol.AppendHello(nil, nonce)
			mask.Hide(r.out.sc, pkt)
			for _, p := range r.deliver(from, pkt) {
				if answers++; i >= 300 {
					each++
				}
				mask.Show(r.out.sc, p.pkt)
				echo, key, err := protocol.ParseWelcome(p.pkt)
				if err != nil || echo != nonce || key != r.s.Key() || p.to != from || len(p.pkt) > len(pkt) {
					t.Fatalf("%x %v", echo, err)
				}
			}
		}
		if want := map[bool]int{false: 300 + helloBurst, true: 0}[off]; answers != want {
			t.Errorf("off %v: %d answers, %d to one source", off, answers, each)
		}
	}
}

// TestRandomDatagrams feeds noise and mutated packets: nothing breaks, no table
// grows, nobody gets an answer that is longer than the question, nothing is
// logged.
func TestRandomDatagrams(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e9}})
	c := testCommunity("c", "k")
	for i := range 5 {
		r.edge(c, fmt.Sprint("friend", i), 100+i).join()
	}
	e := r.edge(c, "e", 1).join()
	before := r.s.Status()
	random := rand.New(rand.NewPCG(7, 7))
	var samples [][]byte
	for name, pkt := range e.samples() {
		if name != "INIT" { // a whole one makes a guest, as it should
			samples = append(samples, pkt)
		}
	}
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	for i := range n {
		var pkt []byte
		if i%2 == 0 {
			pkt = make([]byte, random.IntN(protocol.MaxDatagram+50))
			for j := range pkt {
				pkt[j] = byte(random.Uint32())
			}
		} else {
			pkt = mutate(random, samples[random.IntN(len(samples))])
		}
		from := address(random.IntN(60000))
		out := 0
		for _, p := range r.deliver(from, pkt) {
			if p.to == from {
				out += len(p.pkt)
			}
		}
		if out > len(pkt) {
			t.Fatalf("%d bytes out for %d in: %x", out, len(pkt), pkt)
		}
	}
	after := r.s.Status()
	if after.Sessions != before.Sessions || after.Guests != before.Guests || after.Leases != before.Leases || len(after.Communities) != 1 {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if len(r.out.own.all) > 100 {
		t.Errorf("the outbox holds %d buffers", len(r.out.own.all))
	}
	for _, want := range []dropReason{dropShort, dropHeader, dropUnknownSession, dropOpen, dropRelayTag, dropLong} {
		if after.Drops[want.String()] == 0 {
			t.Errorf("no drop of kind %v: %v", want, after.Drops)
		}
	}
}

// mutate changes, cuts or lengthens a packet, always so that it is another one.
func mutate(random *rand.Rand, pkt []byte) []byte {
	pkt = bytes.Clone(pkt)
	switch random.IntN(4) {
	case 0:
		return pkt[:random.IntN(len(pkt))]
	case 1:
		return append(pkt, junk(1+random.IntN(40))...)
	default:
		for i, n := 0, 1+random.IntN(3); i < n; i++ {
			pkt[random.IntN(len(pkt)/n)+i*(len(pkt)/n)] ^= 1 << random.IntN(8) // never one bit twice
		}
	}
	return pkt
}

// FuzzDatagram hands in datagrams as they come, and once more under the mask
// with a header that gets past the first gates.
func FuzzDatagram(f *testing.F) {
	seed := newRig(f, Config{})
	for _, pkt := range seed.edge(testCommunity("c", "k"), "seed", 1).join().samples() {
		f.Add(pkt, true)
		f.Add(pkt, false)
	}
	var r *rig
	var e, friend *fakeEdge
	runs := 0
	f.Fuzz(func(t *testing.T, pkt []byte, headed bool) {
		if len(pkt) > transport.ReadBufferLen {
			return
		}
		// Making sessions takes a thousand times as long as a datagram, so one
		// supernode serves many, unless one of them changed it.
		if runs++; r == nil || runs%200 == 0 || r.s.Status().Edges != 2 || r.s.Status().Guests != 0 {
			r = newRig(t, Config{})
			e = r.edge(testCommunity("c", "k"), "e", 1).join()
			friend = r.edge(e.community, "friend", 2).join()
		}
		r.t, r.now = t, r.now.Add(time.Second) // all buckets are full again
		from := address(9)
		if headed {
			// The body of an opened control packet.
			r.s.controls.handleControl(&exchange{now: r.now, out: r.out, hop: r.s.sessions.byIdx[friend.session.RemoteIndex()], from: friend.addr, sender: r.s.controls.sender, allowance: r.s.controls.allowance}, pkt)
			r.s.sockets.flush(r.out)
			r.conn.drain()
			if len(pkt) >= shortest && len(pkt) < protocol.MaxDatagram {
				h := protocol.Header{Type: protocol.Type(pkt[0] & 31), XF: protocol.XFHop, KI: protocol.KINone, RX: e.session.RemoteIndex(), CTR: 99}
				pkt = bytes.Clone(pkt)
				h.Put(pkt)
				e.hide(pkt)
			}
		}
		d := transport.Datagram{Buf: bytes.Clone(pkt), N: len(pkt), Addr: from}
		r.handle(&d)
		r.s.sockets.flush(r.out)
		out := 0
		for _, p := range r.conn.drain() {
			if p.to == from {
				out += len(p.pkt)
			}
		}
		if out > len(pkt) && !stun.IsMessage(pkt) {
			t.Fatalf("%d bytes out for %d in", out, len(pkt))
		}
	})
}
