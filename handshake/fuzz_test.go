package handshake

import (
	"bytes"
	"testing"

	"hedgerow/protocol"
)

// FuzzInitiator hands an initiator any packets. The first byte of each run of 137
// says how much of the packet is put right: the header for the INIT that waits,
// and then mac1, the mac of a NOTICE or the seal of a COOKIE.
func FuzzInitiator(f *testing.F) {
	for _, hop := range []bool{false, true} {
		a, b := ends(hop)
		init := must[[]byte](f)(a.to(b).Start(noon))
		resp, _, _ := b.answer(f, noon, init, home)
		for _, pkt := range [][]byte{resp, challenging(f, a, b, init, 1), cookiePacket(a, init, b.Identity.Static[:], make([]byte, 16)), noticePacket(a, init, 4, 5)} {
			for mode := range byte(4) {
				f.Add(hop, append([]byte{mode}, pkt...))
			}
		}
	}
	f.Fuzz(func(t *testing.T, hop bool, data []byte) {
		a, b := ends(hop)
		a.epochs.indices = []uint8{3, 4, 5}
		i := a.to(b)
		init := must[[]byte](t)(i.Start(noon))
		honest, _, _ := b.answer(t, noon, init, home)
		b.responds(0) // it has not seen that INIT
		sent := 1
		for chunk := range chunks(data, 137, 16) {
			pkt := fit(a, b, init, chunk)
			next, done, err := i.Handle(i.Sent(), pkt)
			switch {
			case done != nil && bytes.Equal(pkt[16:96], honest[16:96]):
				return // the seed that the corpus begins with
			case done != nil:
				t.Fatalf("finished by %x", pkt) // nobody else has the responder's key
			case err == nil && len(next) != protocol.InitLen, err != nil && next != nil:
				t.Fatalf("%d bytes with %v", len(next), err)
			case err != nil && Reason(err) == "handshake":
				t.Fatalf("an error without a reason: %v", err)
			case next != nil:
				init = next
				sent++
			}
			if sent > 1+repeatsMax || !i.Active() || !i.Deadline().After(i.Sent()) {
				t.Fatalf("%d INITs, active %v", sent, i.Active())
			}
		}
		b.epochs.indices = a.epochs.indices
		resp, _, err := b.answer(t, i.Sent(), init, home)
		if err != nil {
			t.Fatalf("the honest responder: %v", err)
		}
		if _, done, err := i.Handle(i.Sent(), resp); done == nil {
			t.Fatalf("spoilt: %v", err)
		}
	})
}

// chunks cuts data into at most most pieces of n bytes, the last perhaps less.
func chunks(data []byte, n, most int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for range most {
			if len(data) < 2 || !yield(data[:min(n, len(data))]) {
				return
			}
			data = data[min(n, len(data)):]
		}
	}
}

// fit makes a packet of a chunk: its first byte says what is put right.
func fit(a, b *end, init, chunk []byte) []byte {
	mode, pkt := chunk[0], bytes.Clone(chunk[1:])
	if mode&1 == 0 || len(pkt) < 16 {
		return pkt
	}
	h, _ := protocol.ParseHeader(init)
	switch {
	case len(pkt) >= protocol.RespLen:
		pkt = pkt[:protocol.RespLen]
		protocol.Header{Type: protocol.TypeResp, XF: h.XF, KI: h.KI, RX: h.RX, CTR: uint64(mode) << 32}.Put(pkt)
		if mode&2 != 0 {
			remac(pkt, b.Identity.Static)
		}
	case len(pkt) >= protocol.CookieLen:
		if mode&2 != 0 {
			return cookiePacket(a, init, b.Identity.Static[:], pkt[16:32])
		}
		pkt = pkt[:protocol.CookieLen]
		protocol.Header{Type: protocol.TypeCookie, XF: h.XF, KI: h.KI, RX: h.RX}.Put(pkt)
	case len(pkt) >= protocol.NoticeLen:
		pkt = pkt[:protocol.NoticeLen]
		protocol.Header{Type: protocol.TypeNotice, XF: h.XF, KI: protocol.KINone, RX: h.RX}.Put(pkt)
		if mode&2 != 0 {
			pkt = sealNotice(a, pkt[:32], init)
		}
	}
	return pkt
}

// FuzzResponder hands a responder any INIT: as it is, with a right mac1, or with
// any payload inside that its sender's keys vouch for.
func FuzzResponder(f *testing.F) {
	for _, hop := range []bool{false, true} {
		a, b := ends(hop)
		init := must[[]byte](f)(a.to(b).Start(noon))
		for mode := range byte(4) {
			f.Add(hop, mode, init)
		}
		f.Add(hop, byte(3), make([]byte, protocol.InitPayloadLen))
	}
	f.Fuzz(func(t *testing.T, hop bool, mode byte, data []byte) {
		a, b := ends(hop)
		if mode&4 != 0 {
			b.responds(-1)
		}
		init := bytes.Clone(data)
		switch ki := a.epochs.indices[0]; {
		case mode&3 == 3 && len(data) >= protocol.InitPayloadLen:
			psk, _ := b.epochs.PSK(noon, ki)
			if hop {
				ki, psk = protocol.KINone, [32]byte{}
			}
			init = initiate(t, a, b, ki, psk, func(p *protocol.InitPayload) {
				if parsed, err := protocol.ParseInitPayload(data[:protocol.InitPayloadLen]); err == nil {
					*p = parsed
				}
				p.VMin |= mode >> 3
			})
		case mode&1 != 0 && len(init) == protocol.InitLen:
			init[0], init[1], init[3] = 1<<5|byte(protocol.TypeInit), byte(a.transform()), 0
			remac(init, b.Identity.Static)
		}
		sessions := 0
		for range 3 {
			_, done, err := b.answer(t, noon, init, home)
			if done != nil {
				sessions++
			}
			if (err == nil) != (done != nil) || err != nil && Reason(err) == "handshake" {
				t.Fatalf("%+v with %v", done, err)
			}
		}
		if sessions > 1 {
			t.Fatalf("%d sessions of one INIT", sessions)
		}
	})
}
