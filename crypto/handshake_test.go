package crypto

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// sHandshakeVector is one handshake: what goes in, and what comes out.
type sHandshakeVector struct {
	sHandshakeIn
	Init, Resp, CookiePacket sHex
	There, Back, Hash        sHex
}

type sHandshakeIn struct {
	Name                         string
	Hop, WithCookie              bool
	CID, PSK, Cookie             sHex
	InitiatorSeed, ResponderSeed sHex
	InitiatorRand, ResponderRand sHex
	InitHeader, InitPayload      sHex
	RespHeader, RespPayload      sHex
}

// initiator and responder return the configuration of the two ends.
func (v *sHandshakeVector) initiator() HandshakeConfig {
	c := HandshakeConfig{Hop: v.Hop, Local: NewIdentity([32]byte(v.InitiatorSeed)), PSK: [32]byte(v.PSK), Rand: bytes.NewReader(v.InitiatorRand)}
	if !v.Hop {
		c.CID = [16]byte(v.CID)
	}
	return c
}

func (v *sHandshakeVector) responder() HandshakeConfig {
	c := v.initiator()
	c.Local, c.Rand = NewIdentity([32]byte(v.ResponderSeed)), bytes.NewReader(v.ResponderRand)
	return c
}

// initiate makes the vector's INIT.
func (v *sHandshakeVector) initiate(t testing.TB) *Initiation {
	t.Helper()
	var cookie *[16]byte
	if v.WithCookie {
		cookie = (*[16]byte)(v.Cookie)
	}
	i, init, err := Initiate(v.initiator(), v.responder().Local.Static, [16]byte(v.InitHeader), [48]byte(v.InitPayload), cookie)
	if err != nil {
		t.Fatal(err)
	}
	sEqual(t, "INIT", init, v.Init)
	mac1 := i.MAC1()
	sEqual(t, "mac1", mac1[:], v.Init[160:176])
	return i
}

func TestHandshakeVectors(t *testing.T) {
	for _, v := range sVectors[sHandshakeVector](t, "handshake.json") {
		t.Run(v.Name, func(t *testing.T) {
			i := v.initiate(t)
			r, err := ReadInit(v.responder(), v.Init)
			if err != nil {
				t.Fatal(err)
			}
			static := v.initiator().Local.Static
			sEqual(t, "remote", r.Remote[:], static[:])
			sEqual(t, "payload", r.Payload[:], v.InitPayload)
			resp, keys, err := r.Write([16]byte(v.RespHeader), [32]byte(v.RespPayload))
			if err != nil {
				t.Fatal(err)
			}
			sEqual(t, "RESP", resp, v.Resp)
			sEqual(t, "responder's receiving key", keys.Recv[:], v.There)
			sEqual(t, "responder's sending key", keys.Send[:], v.Back)
			sEqual(t, "responder's hash", keys.Hash[:], v.Hash)

			// More than once: a RESP with a challenge is not the last.
			for range 3 {
				payload, keys, err := i.Finish(resp)
				if err != nil {
					t.Fatal(err)
				}
				sEqual(t, "answer", payload[:], v.RespPayload)
				sEqual(t, "initiator's sending key", keys.Send[:], v.There)
				sEqual(t, "initiator's receiving key", keys.Recv[:], v.Back)
				sEqual(t, "initiator's hash", keys.Hash[:], v.Hash)
			}
			cookie, err := i.OpenCookie(v.CookiePacket)
			if err != nil {
				t.Fatal(err)
			}
			sEqual(t, "cookie", cookie[:], v.Cookie)
			if _, _, err := r.Write([16]byte(v.RespHeader), [32]byte(v.RespPayload)); err == nil {
				t.Fatal("a second RESP under the same keys")
			}
		})
	}
}

// TestHandshakeFlips: no bit may change, but for mac2, which others check: that
// of an INIT the guard, when it asks for cookies; that of a RESP is noise.
func TestHandshakeFlips(t *testing.T) {
	for _, v := range sVectors[sHandshakeVector](t, "handshake.json") {
		t.Run(v.Name, func(t *testing.T) {
			cfg, i := v.responder(), v.initiate(t)
			onlyMAC2 := func(bad, good []byte) bool {
				return len(bad) == len(good) && bytes.Equal(bad[:len(bad)-16], good[:len(good)-16])
			}
			sFlips(t, v.Init, func(bad []byte) bool {
				_, err := ReadInit(cfg, bad)
				return err == nil && !onlyMAC2(bad, v.Init)
			})
			sFlips(t, v.Resp, func(bad []byte) bool {
				_, _, err := i.Finish(bad)
				return err == nil && !onlyMAC2(bad, v.Resp)
			})
			sFlips(t, v.CookiePacket, func(bad []byte) bool {
				// KI and RX name the INIT; FL and CTR of a COOKIE mean nothing.
				free := len(bad) == cookieLen && bytes.Equal(bad[16:], v.CookiePacket[16:]) &&
					bytes.Equal(bad[:3], v.CookiePacket[:3]) && bytes.Equal(bad[4:8], v.CookiePacket[4:8])
				_, err := i.OpenCookie(bad)
				return err == nil && !free
			})
			// After all that it still finishes.
			if _, keys, err := i.Finish(v.Resp); err != nil || !bytes.Equal(keys.Send[:], v.There) {
				t.Fatal("spoilt by wrong packets")
			}
		})
	}
}

// TestHandshakeMaskedFlips: once masked, the noise in mac2 is not free either,
// because the mask is made of it.
func TestHandshakeMaskedFlips(t *testing.T) {
	v, m, sc := sVectors[sHandshakeVector](t, "handshake.json")[0], NewMask([16]byte{5}), NewScratch()
	cfg, i := v.responder(), v.initiate(t)
	m.Hide(sc, v.Init)
	m.Hide(sc, v.Resp)
	sFlips(t, v.Init, func(bad []byte) bool {
		m.Show(sc, bad)
		_, err := ReadInit(cfg, bad)
		return err == nil
	})
	sFlips(t, v.Resp, func(bad []byte) bool {
		m.Show(sc, bad)
		_, _, err := i.Finish(bad)
		return err == nil
	})
}

// TestHandshakeFlippedInside re-makes mac1 over changed bytes, as anybody can
// who knows the responder's public key, so that Noise has to notice.
func TestHandshakeFlippedInside(t *testing.T) {
	for _, v := range sVectors[sHandshakeVector](t, "handshake.json") {
		cfg, i := v.responder(), v.initiate(t)
		key := staticKey("mac1", cfg.Local.Static)
		remake := func(pkt []byte, at int) []byte {
			bad := bytes.Clone(pkt)
			bad[at] ^= 1
			return appendMACs(bad[:len(bad)-32], key, nil, [16]byte{})
		}
		// RX and CTR are not in the prologue: a wrong one leads nowhere.
		for at := range len(v.Init) - 32 {
			if _, err := ReadInit(cfg, remake(v.Init, at)); err == nil && (at < offRX || at >= headerLen) {
				t.Fatalf("%s: INIT taken with byte %d changed", v.Name, at)
			}
		}
		for at := range len(v.Resp) - 32 {
			if _, _, err := i.Finish(remake(v.Resp, at)); err == nil && at != offFL && (at < offCTR || at >= headerLen) {
				t.Fatalf("%s: RESP taken with byte %d changed", v.Name, at)
			}
		}
		if _, _, err := i.Finish(v.Resp); err != nil {
			t.Fatalf("%s: spoilt by wrong packets: %v", v.Name, err)
		}
	}
}

// sLowOrder are the u-coordinates of low order, canonical and not.
var sLowOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func TestHandshakeLowOrder(t *testing.T) {
	v := sVectors[sHandshakeVector](t, "handshake.json")[0]
	cfg, i := v.responder(), v.initiate(t)
	key := staticKey("mac1", cfg.Local.Static)
	for _, text := range sLowOrder {
		point, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Initiate(v.initiator(), [32]byte(point), [16]byte(v.InitHeader), [48]byte{}, nil); err == nil {
			t.Errorf("%s taken as a static key", text)
		}
		init := append(append(bytes.Clone(v.Init[:16]), point...), v.Init[48:160]...)
		if _, err := ReadInit(cfg, appendMACs(init, key, nil, [16]byte{})); !errors.Is(err, ErrHandshake) {
			t.Errorf("%s in INIT: %v", text, err)
		}
		resp := append(append(bytes.Clone(v.Resp[:16]), point...), v.Resp[48:96]...)
		if _, _, err := i.Finish(appendMACs(resp, key, nil, [16]byte{})); !errors.Is(err, ErrHandshake) {
			t.Errorf("%s in RESP: %v", text, err)
		}
		if _, _, err := i.Finish(v.Resp); err != nil {
			t.Errorf("%s in RESP ended the handshake: %v", text, err)
		}
	}
}

// TestHandshakeWrongKeys: every secret and name that goes in matters.
func TestHandshakeWrongKeys(t *testing.T) {
	v := sVectors[sHandshakeVector](t, "handshake.json")[0]
	i := v.initiate(t)
	cfg := v.responder()
	cfg.CID[0] ^= 1
	if _, err := ReadInit(cfg, v.Init); err == nil {
		t.Error("taken in another community")
	}
	cfg = v.responder()
	cfg.Local = v.initiator().Local
	if _, err := ReadInit(cfg, v.Init); err == nil {
		t.Error("taken by another responder")
	}
	cfg = v.responder()
	cfg.Hop = true
	if _, err := ReadInit(cfg, v.Init); err == nil {
		t.Error("taken as a hop")
	}
	cfg = v.responder()
	cfg.PSK[31] ^= 1
	if _, err := ReadInit(cfg, v.Init); err == nil {
		t.Error("an INIT was taken under another psk")
	}
	r, err := ReadInit(v.responder(), v.Init)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.noise.SetPresharedKey(cfg.PSK[:]); err != nil { // of the second message alone
		t.Fatal(err)
	}
	resp, _, err := r.Write([16]byte(v.RespHeader), [32]byte(v.RespPayload))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := i.Finish(resp); err == nil {
		t.Error("finished with another psk")
	}
	if _, _, err := i.Finish(v.Resp); err != nil {
		t.Error(err)
	}
}

func TestHandshakeHeaders(t *testing.T) {
	v := sVectors[sHandshakeVector](t, "handshake.json")[0]
	for name, change := range map[string]func(h *[16]byte){
		"type":       func(h *[16]byte) { h[0] = firstByte(typeData) },
		"version":    func(h *[16]byte) { h[0] ^= 0x20 },
		"transform":  func(h *[16]byte) { h[1] = xfDataGCM },
		"hop":        func(h *[16]byte) { h[1] = xfHop },
		"index none": func(h *[16]byte) { h[2] = kiNone },
	} {
		hdr := [16]byte(v.InitHeader)
		change(&hdr)
		if _, _, err := Initiate(v.initiator(), v.responder().Local.Static, hdr, [48]byte{}, nil); err == nil {
			t.Errorf("INIT with a wrong %s made", name)
		}
		hdr = [16]byte(v.RespHeader)
		change(&hdr)
		r, err := ReadInit(v.responder(), v.Init)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Write(hdr, [32]byte{}); err == nil {
			t.Errorf("RESP with a wrong %s made", name)
		}
	}
	r, err := ReadInit(v.responder(), v.Init)
	if err != nil {
		t.Fatal(err)
	}
	hdr := [16]byte(v.RespHeader)
	hdr[offRX]++
	if _, _, err := r.Write(hdr, [32]byte{}); err == nil {
		t.Error("RESP with another index made")
	}
}

// TestHandshakeRand: a source that fails is an error, and without one the keys
// are fresh every time.
func TestHandshakeRand(t *testing.T) {
	v := sVectors[sHandshakeVector](t, "handshake.json")[0]
	cfg := v.initiator()
	remote, hdr := v.responder().Local.Static, [16]byte(v.InitHeader)
	cfg.Rand = bytes.NewReader(v.InitiatorRand[:47])
	if _, _, err := Initiate(cfg, remote, hdr, [48]byte{}, nil); err == nil {
		t.Error("INIT without randomness")
	}
	for n := range 48 {
		responder := v.responder()
		responder.Rand = bytes.NewReader(v.ResponderRand[:n])
		r, err := ReadInit(responder, v.Init)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Write([16]byte(v.RespHeader), [32]byte{}); err == nil {
			t.Error("RESP without randomness")
		}
	}
	cfg.Rand = nil
	_, a, err := Initiate(cfg, remote, hdr, [48]byte{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, b, err := Initiate(cfg, remote, hdr, [48]byte{}, nil)
	if err != nil || bytes.Equal(a[16:48], b[16:48]) || bytes.Equal(a[176:], b[176:]) {
		t.Error("an ephemeral key came twice", err)
	}
}

func FuzzReadInit(f *testing.F) {
	vectors := sVectors[sHandshakeVector](f, "handshake.json")
	for i, v := range vectors {
		f.Add(byte(i), false, []byte(v.Init))
		f.Add(byte(i), true, []byte(v.Init))
	}
	f.Fuzz(func(t *testing.T, which byte, past bool, pkt []byte) {
		v := vectors[int(which)%len(vectors)]
		cfg := v.responder()
		// Past the gate: with the right length, header and mac1.
		if past && len(pkt) >= initLen {
			pkt = append(bytes.Clone(v.Init[:3]), pkt[3:160]...)
			pkt = appendMACs(pkt, staticKey("mac1", cfg.Local.Static), nil, [16]byte{})
		}
		if r, err := ReadInit(cfg, pkt); err == nil && !bytes.Equal(r.Payload[:], v.InitPayload) {
			t.Fatalf("forged: %x", pkt)
		}
	})
}

func FuzzFinish(f *testing.F) {
	vectors := sVectors[sHandshakeVector](f, "handshake.json")
	var initiations []*Initiation
	for i, v := range vectors {
		f.Add(byte(i), false, []byte(v.Resp))
		f.Add(byte(i), true, []byte(v.Resp))
		initiations = append(initiations, v.initiate(f))
	}
	f.Fuzz(func(t *testing.T, which byte, past bool, pkt []byte) {
		v, i := vectors[int(which)%len(vectors)], initiations[int(which)%len(vectors)]
		if past && len(pkt) >= respLen {
			pkt = append(bytes.Clone(v.Resp[:8]), pkt[8:96]...)
			pkt = appendMACs(pkt, i.mac1Key, nil, [16]byte{})
		}
		if payload, _, err := i.Finish(pkt); err == nil && !bytes.Equal(payload[:], v.RespPayload) {
			t.Fatalf("forged: %x", pkt)
		}
	})
}

func FuzzOpenCookie(f *testing.F) {
	v := sVectors[sHandshakeVector](f, "handshake.json")[0]
	f.Add([]byte(v.CookiePacket))
	i := v.initiate(f)
	f.Fuzz(func(t *testing.T, pkt []byte) {
		if cookie, err := i.OpenCookie(pkt); err == nil && !bytes.Equal(cookie[:], v.Cookie) {
			t.Fatalf("forged: %x", pkt)
		}
	})
}

func BenchmarkHandshake(b *testing.B) {
	v := sVectors[sHandshakeVector](b, "handshake.json")[0]
	initiator, responder := v.initiator(), v.responder()
	initiator.Rand, responder.Rand = nil, nil
	b.ReportAllocs()
	for b.Loop() {
		i, init, err := Initiate(initiator, responder.Local.Static, [16]byte(v.InitHeader), [48]byte{}, nil)
		if err != nil {
			b.Fatal(err)
		}
		r, err := ReadInit(responder, init)
		if err != nil {
			b.Fatal(err)
		}
		resp, keys, err := r.Write([16]byte(v.RespHeader), [32]byte{})
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := i.Finish(resp); err != nil {
			b.Fatal(err)
		}
		if _, err := NewSession(SessionConfig{Keys: keys, XF: xfDataGCM}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHopHandshake is what a supernode computes for an edge that comes: from INIT to the
// session.
func BenchmarkHopHandshake(b *testing.B) {
	v := sVectors[sHandshakeVector](b, "handshake.json")[0]
	responder := v.responder()
	responder.Rand = nil
	b.ReportAllocs()
	for b.Loop() {
		r, err := ReadInit(responder, v.Init)
		if err != nil {
			b.Fatal(err)
		}
		_, keys, err := r.Write([16]byte(v.RespHeader), [32]byte{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := NewHopSession(SessionConfig{Keys: keys, XF: xfHop, KI: kiNone}); err != nil {
			b.Fatal(err)
		}
	}
}
