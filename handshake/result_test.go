package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// TestFinish runs whole handshakes: both ends have the same keys, and each knows
// what the other said of itself.
func TestFinish(t *testing.T) {
	for _, hop := range []bool{false, true} {
		for _, chacha := range []string{"none", "initiator", "responder"} {
			t.Run(fmt.Sprintf("hop %v, ChaCha %s", hop, chacha), func(t *testing.T) {
				a, b := ends(hop)
				xf := protocol.XFDataChaCha
				switch chacha {
				case "initiator":
					a.Features |= protocol.FeatureChaCha
				case "responder":
					b.Features |= protocol.FeatureChaCha
				default:
					xf = protocol.XFDataGCM
				}
				ki := uint8(3)
				if hop {
					xf, ki = protocol.XFHop, protocol.KINone
				}
				i := a.to(b)
				init := must[[]byte](t)(i.Start(noon))
				resp, theirs, err := b.answer(t, at(0.1), init, home)
				want(t, "Answer", err, nil)
				again, ours, err := i.Handle(at(0.25), resp)
				if err != nil || again != nil || ours == nil {
					t.Fatalf("%v", err)
				}
				if i.Active() || !i.Deadline().IsZero() {
					t.Error("the handshake goes on")
				}
				want(t, "the same RESP again", errorOf(i.Handle(at(1), resp)), ErrIndex)
				for _, r := range []struct {
					*Result
					from *end
					rtt  time.Duration
				}{{ours, b, 250 * time.Millisecond}, {theirs, a, 0}} {
					if r.Remote != r.from.Identity.Static || r.XF != xf || r.KI != ki || r.MAC != r.from.MAC ||
						r.MTU != 1370 || r.Features != r.from.Features || r.RTT != r.rtt {
						t.Errorf("%+v", *r.Result)
					}
				}
				if ours.Far != theirs.Local || theirs.Far != ours.Local || !ours.Initiator || theirs.Initiator || ours.Keys.Hash != theirs.Keys.Hash {
					t.Errorf("%+v, %+v", *ours, *theirs)
				}
				talk(t, ours, theirs)
				talk(t, theirs, ours)
			})
		}
	}
}

func errorOf(_ []byte, _ *Result, err error) error { return err }

// sealer is a session of either kind.
type sealer interface {
	Reserve(n uint32) (uint64, error)
	Seal(s *crypto.Scratch, pkt []byte) []byte
	Open(s *crypto.Scratch, pkt []byte) ([]byte, error)
}

// talk sends a packet under the session of one result and opens it under that of
// the other.
func talk(t *testing.T, from, to *Result) {
	t.Helper()
	sc := crypto.NewScratch()
	ctr := must[uint64](t)(session(t, from).Reserve(1))
	pkt := make([]byte, 16, 128)
	protocol.Header{Type: protocol.TypeData, XF: from.XF, KI: from.KI, RX: from.Far, CTR: ctr}.Put(pkt)
	pkt = session(t, from).Seal(sc, append(pkt, "hello there"...))
	if got, err := session(t, to).Open(sc, pkt); err != nil || !bytes.Equal(got, []byte("hello there")) {
		t.Errorf("%q, %v", got, err)
	}
}

func session(t *testing.T, r *Result) sealer {
	t.Helper()
	if r.XF == protocol.XFHop {
		return must[*crypto.HopSession](t)(crypto.NewHopSession(r.SessionConfig(noon)))
	}
	return must[*crypto.Session](t)(crypto.NewSession(r.SessionConfig(noon)))
}

// TestBuildErrors: what cannot be made is ErrBuild and wraps the cause, and the
// handshake is tried again later.
func TestBuildErrors(t *testing.T) {
	a, b := ends(false)
	i := NewInitiator(a.Party, [32]byte{}) // of low order
	for _, err := range []error{
		second(i.Start(noon)), second(i.Retry(at(1))),
	} {
		if !errors.Is(err, ErrBuild) || err == error(ErrBuild) {
			t.Errorf("%v", err)
		}
	}
	if _, ok := i.Index(); ok || !i.Active() || !i.Deadline().Equal(at(3)) {
		t.Errorf("deadline %v", i.Deadline())
	}
	empty := bytes.NewReader(nil)
	a.Rand = empty
	want(t, "no randomness", second(a.to(b).Start(noon)), ErrBuild)

	c, d := ends(true)
	init := must[[]byte](t)(c.to(d).Start(noon))
	o, _, err := d.responder.Read(noon, init, home)
	want(t, "Read", err, nil)
	if _, _, err = d.responder.Answer(noon, o, nil); err != nil {
		t.Fatal(err)
	}
	_, done, err := d.responder.Answer(noon, o, nil)
	want(t, "Answer twice", err, ErrBuild)
	if done != nil {
		t.Error("a result without a RESP")
	}
}

func second(_ []byte, err error) error { return err }
