package crypto

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// handedOver is a hop session that is handed from one process to the next, again and again,
// while the far end sends to it and hears from it.
type handedOver struct {
	t         *testing.T
	sc        *Scratch
	near, far *HopSession
	used      map[uint64]bool // counters of the near end's packets: hop control with the top bit
	old       [][]byte        // packets of the far end that the near end has opened
}

func newHandedOver(t *testing.T) *handedOver {
	t.Helper()
	keys := SplitKeys{Send: [32]byte{1}, Recv: [32]byte{2}, Hash: [32]byte{3}}
	back := SplitKeys{Send: keys.Recv, Recv: keys.Send, Hash: keys.Hash}
	h := &handedOver{t: t, sc: NewScratch(), used: make(map[uint64]bool)}
	var err error
	if h.near, err = NewHopSession(SessionConfig{Keys: keys, XF: xfHop, KI: kiNone, Local: 7, Remote: 9, Static: [32]byte{4}, Created: time.Unix(5, 0)}); err != nil {
		t.Fatal(err)
	}
	if h.far, err = NewHopSession(SessionConfig{Keys: back, XF: xfHop, KI: kiNone, Local: 9, Remote: 7, Initiator: true}); err != nil {
		t.Fatal(err)
	}
	return h
}

// relay returns a RELAY packet of a session with a counter.
func (h *handedOver) relay(s *HopSession, ctr uint32) []byte {
	pkt := make([]byte, relayOverhead+relayedMin+8)
	pkt[0], pkt[offXF], pkt[offKI] = firstByte(typeRelay), xfHop, kiNone
	binary.BigEndian.PutUint64(pkt[offCTR:], uint64(ctr))
	s.SealRelay(h.sc, pkt)
	return pkt
}

// control returns a hop control packet of a session with a counter.
func (h *handedOver) control(s *HopSession, ctr uint64) []byte {
	pkt := make([]byte, headerLen+4, headerLen+4+tagLen)
	pkt[0], pkt[offXF], pkt[offKI] = firstByte(typeData), xfHop, kiNone
	binary.BigEndian.PutUint64(pkt[offCTR:], ctr)
	return s.Seal(h.sc, pkt)
}

// open opens a packet of the far end and reports whether it was taken.
func (h *handedOver) open(pkt []byte) bool {
	pkt = bytes.Clone(pkt)
	if pkt[0] == firstByte(typeRelay) {
		_, err := h.near.OpenRelay(h.sc, pkt)
		return err == nil
	}
	_, err := h.near.Open(h.sc, pkt)
	return err == nil
}

// send has the near end number and send one packet of each kind, which the far end takes.
func (h *handedOver) send() {
	h.t.Helper()
	relay, err := h.near.ReserveRelay()
	if err != nil {
		h.t.Fatal(err)
	}
	control, err := h.near.Reserve(1)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, n := range []uint64{uint64(relay), control | 1<<63} {
		if h.used[n] {
			h.t.Fatalf("the nonce %#x is used twice", n)
		}
		h.used[n] = true
	}
	if _, err := h.far.OpenRelay(h.sc, h.relay(h.near, relay)); err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.far.Open(h.sc, h.control(h.near, control)); err != nil {
		h.t.Fatal(err)
	}
}

// receive brings a packet to the near end that comes for the first time.
func (h *handedOver) receive(pkt []byte) {
	h.t.Helper()
	if !h.open(pkt) {
		h.t.Fatalf("a packet that came for the first time was refused: %x", pkt[:headerLen])
	}
	h.old = append(h.old, pkt)
}

// handOver makes the near end anew of its state.
func (h *handedOver) handOver() {
	h.t.Helper()
	state := h.near.AppendState(nil)
	next, rest, err := RestoreHopSession(append(state, 0xaa), h.near.Created())
	if err != nil || !bytes.Equal(rest, []byte{0xaa}) {
		h.t.Fatalf("%d bytes are left, %v", len(rest), err)
	}
	highest, count := h.near.Received()
	if hi, n := next.Received(); hi != highest || n != count || next.Confirmed() != h.near.Confirmed() ||
		next.LocalIndex() != 7 || next.RemoteIndex() != 9 || next.Static() != h.near.Static() || next.Initiator() || !next.Created().Equal(h.near.Created()) {
		h.t.Fatalf("another session: %d, %d, %+v", hi, n, next.cfg.Local)
	}
	h.near = next
}

// TestHopSessionIsHandedOver hands a session over a hundred times while packets come, some
// out of order: each is taken once, before or after, and no nonce is used twice.
func TestHopSessionIsHandedOver(t *testing.T) {
	h := newHandedOver(t)
	draw := rand.New(rand.NewPCG(1, 2))
	var late [][]byte
	for range 100 {
		h.handOver()
		for range draw.IntN(200) {
			relay, _ := h.far.ReserveRelay()
			if pkt := h.relay(h.far, relay); draw.IntN(8) == 0 {
				late = append(late, pkt)
			} else {
				h.receive(pkt)
			}
			if draw.IntN(10) == 0 {
				control, _ := h.far.Reserve(1)
				h.receive(h.control(h.far, control))
			}
			h.send()
		}
		if draw.IntN(2) == 0 {
			for _, pkt := range late {
				h.receive(pkt)
			}
			late = nil
		}
		h.handOver()
		for _, pkt := range h.old {
			if h.open(pkt) {
				t.Fatal("a packet was taken before and after the hand-over")
			}
		}
		h.old = h.old[max(0, len(h.old)-500):]
	}
}

// TestHopStateDamaged cuts and changes a state everywhere. What is left is refused, or is a
// session; nothing panics.
func TestHopStateDamaged(t *testing.T) {
	h := newHandedOver(t)
	relay, _ := h.far.ReserveRelay()
	h.receive(h.relay(h.far, relay))
	state := h.near.AppendState(nil)
	for n := range state {
		if _, _, err := RestoreHopSession(state[:n], time.Time{}); err == nil {
			t.Fatalf("%d of %d bytes make a session", n, len(state))
		}
		bad := bytes.Clone(state)
		bad[n] ^= 0xff
		if s, _, err := RestoreHopSession(bad, time.Time{}); err == nil {
			_, _ = s.OpenRelay(h.sc, h.relay(h.far, relay+1))
		}
	}
}
