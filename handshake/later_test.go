package handshake

import (
	"testing"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// TestSurvivesLaterHandshakes: a handshake succeeds with an end of a later state of
// version 1, which announces features, flags and versions that are unknown here and
// fills what is reserved.
func TestSurvivesLaterHandshakes(t *testing.T) {
	for _, hop := range []bool{false, true} {
		a, b := ends(hop)
		psk, ki := [32]byte{}, uint8(protocol.KINone)
		if !hop {
			psk, _ = b.epochs.PSK(noon, 3)
			ki = 3
		}
		payload := protocol.InitPayload{
			Stamp: uint64(noon.UnixNano()), VMin: 1, VMax: 9, Features: ^uint32(0), Flags: ^uint16(0),
		}
		var plain [protocol.InitPayloadLen]byte
		payload.Put(&plain)
		for i := 40; i < len(plain); i++ {
			plain[i] = 0xff
		}
		_, init, err := crypto.Initiate(a.config(psk), b.Identity.Static, a.header(protocol.TypeInit, ki, 77, 1<<40|7), plain, nil)
		want(t, "making a later INIT", err, nil)
		_, done, err := b.answer(t, noon, init, home)
		if err != nil || done == nil {
			t.Fatalf("hop %v: a later INIT: %v", hop, err)
		}

		i := a.to(b)
		pkt := must[[]byte](t)(i.Start(noon))
		resp := respPacket(t, a, b, pkt, func(p *protocol.RespPayload) {
			p.Features, p.Flags = ^uint32(0), protocol.RespIgnored
		})
		_, done, err = i.Handle(noon, resp)
		if err != nil || done == nil {
			t.Fatalf("hop %v: a later RESP: %v", hop, err)
		}
	}
}
