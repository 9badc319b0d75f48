package handshake

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/blake2s"
	"golang.org/x/crypto/chacha20poly1305"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// noon is when most tests begin.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at returns the time s seconds after noon.
func at(s float64) time.Time { return noon.Add(time.Duration(s * float64(time.Second))) }

// epochs are a community's keys as a test wants them: the first is sent under,
// all are received under.
type epochs struct {
	indices []uint8
	silent  bool // nothing may be sent
	deaf    bool // the first is sent under and not received under
}

func (e *epochs) Transmit(time.Time) (uint8, bool) {
	if e.silent || len(e.indices) == 0 {
		return 0, false
	}
	return e.indices[0], true
}

func (e *epochs) Acceptable(time.Time) []uint8 { return e.indices }

func (e *epochs) PSK(_ time.Time, ki uint8) ([32]byte, bool) {
	return sha256.Sum256([]byte{ki}), slices.Contains(e.indices, ki) && !e.deaf
}

func (e *epochs) NoticeKey() [32]byte { return [32]byte{'n'} }

// end is one end of handshakes with everything that it has.
type end struct {
	*Party
	epochs    *epochs
	indices   uint32 // given out
	responder *Responder
}

// ends returns two ends, of which the first has the lower static key.
func ends(hop bool) (a, b *end) {
	a, b = newEnd("edge 1", hop), newEnd("edge 2", hop)
	if bytes.Compare(a.Identity.Static[:], b.Identity.Static[:]) > 0 {
		a, b = b, a
	}
	return a, b
}

func newEnd(name string, hop bool) *end {
	e := &end{epochs: &epochs{indices: []uint8{3}}, indices: uint32(name[len(name)-1]) << 24}
	e.Party = &Party{
		Hop: hop, Identity: crypto.NewIdentity(sha256.Sum256([]byte(name))),
		Index: func() uint32 { e.indices++; return e.indices },
		MAC:   protocol.MAC{2, name[len(name)-1]}, MTU: 1370, Features: protocol.FeaturePartial,
		Rand: rand.NewChaCha8(sha256.Sum256([]byte(name))),
	}
	if !hop {
		e.CID, e.Epochs = [16]byte{'c'}, e.epochs
	}
	e.responds(0)
	return e
}

// responds gives an end a new responder with a limit of INITs a second.
func (e *end) responds(rate int) {
	e.responder = NewResponder(ResponderConfig{Party: e.Party, InitRate: rate})
}

// to returns an initiator of e's with another end.
func (e *end) to(other *end) *Initiator { return NewInitiator(e.Party, other.Identity.Static) }

// home is where INITs come from unless a test says otherwise.
var home = source("192.0.2.1:7654")

func source(s string) Source {
	a := netip.MustParseAddrPort(s)
	return Source{Cookie: []byte(s), Rate: a.Addr()}
}

// answer returns what a responder sends back for an INIT.
func (e *end) answer(t testing.TB, now time.Time, init []byte, from Source) ([]byte, *Result, error) {
	t.Helper()
	o, pkt, err := e.responder.Read(now, bytes.Clone(init), from)
	if o == nil {
		if err == nil || len(pkt) > len(init) {
			t.Fatalf("no opening, error %v, an answer of %d bytes", err, len(pkt))
		}
		return pkt, nil, err
	}
	if err != nil || pkt != nil {
		t.Fatalf("an opening and error %v and %d bytes", err, len(pkt))
	}
	return e.responder.Answer(now, o, nil)
}

// must fails the test on an error.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// want fails the test unless err is the one wanted.
func want(t testing.TB, what string, err, wanted error) {
	t.Helper()
	if !errors.Is(err, wanted) || (err == nil) != (wanted == nil) {
		t.Fatalf("%s: %v, want %v", what, err, wanted)
	}
}

// payload returns what an INIT of e's for another end says.
func (e *end) payload(t testing.TB, init []byte, other *end) protocol.InitPayload {
	t.Helper()
	h := must[protocol.Header](t)(protocol.ParseHeader(init))
	psk := [32]byte{}
	if !e.Hop {
		psk, _ = e.epochs.PSK(noon, h.KI)
	}
	reply := must[*crypto.Reply](t)(crypto.ReadInit(other.config(psk), init))
	return must[protocol.InitPayload](t)(protocol.ParseInitPayload(reply.Payload[:]))
}

// keyed is BLAKE2s-128 as PROTOCOL.md, section 4, has it.
func keyed(key []byte, parts ...[]byte) []byte {
	h, err := blake2s.New128(key)
	if err != nil {
		panic(err)
	}
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// labelled is BLAKE2s of a label and a responder's static key.
func labelled(label string, static [32]byte) []byte {
	sum := blake2s.Sum256(append([]byte("hedgerow/1 "+label), static[:]...))
	return sum[:]
}

// remac makes mac1 of an INIT or RESP right for a responder.
func remac(pkt []byte, responder [32]byte) []byte {
	n := len(pkt) - 32
	copy(pkt[n:], keyed(labelled("mac1", responder), pkt[:n]))
	return pkt
}

// cookiePacket makes the COOKIE of a responder for an INIT.
func cookiePacket(e *end, init []byte, responder, cookie []byte) []byte {
	h, _ := protocol.ParseHeader(init)
	hdr := e.header(protocol.TypeCookie, h.KI, h.RX, 0)
	aead, err := chacha20poly1305.NewX(labelled("cookie", [32]byte(responder)))
	if err != nil {
		panic(err)
	}
	nonce := make([]byte, 24)
	pkt := append(hdr[:], nonce...)
	return aead.Seal(pkt, nonce, cookie, init[160:176])
}

// noticePacket makes a NOTICE for an INIT that names key indices.
func noticePacket(e *end, init []byte, indices ...uint8) []byte {
	h, _ := protocol.ParseHeader(init)
	n := protocol.Notice{Index: h.RX, Indices: indices}
	return sealNotice(e, n.Append(nil), init)
}

// sealNotice appends the mac of a NOTICE.
func sealNotice(e *end, body, init []byte) []byte {
	mac := crypto.NoticeMAC(e.epochs.NoticeKey(), body, [16]byte(init[160:176]))
	return append(body, mac[:]...)
}

// respPacket makes a RESP of other's to an INIT of e's with any payload.
func respPacket(t testing.TB, e, other *end, init []byte, change func(*protocol.RespPayload)) []byte {
	t.Helper()
	h := must[protocol.Header](t)(protocol.ParseHeader(init))
	psk := [32]byte{}
	if !e.Hop {
		psk, _ = e.epochs.PSK(noon, h.KI)
	}
	reply := must[*crypto.Reply](t)(crypto.ReadInit(other.config(psk), init))
	payload := protocol.RespPayload{Version: protocol.Version}
	change(&payload)
	var plain [32]byte
	payload.Put(&plain)
	resp, _, err := reply.Write(other.header(protocol.TypeResp, h.KI, h.RX, 7<<32), plain)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// challenging makes a RESP that only challenges.
func challenging(t testing.TB, e, other *end, init []byte, challenge byte) []byte {
	return respPacket(t, e, other, init, func(p *protocol.RespPayload) {
		p.Flags, p.Challenge = protocol.RespChallenge, [16]byte{challenge}
	})
}
