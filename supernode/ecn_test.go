package supernode

import (
	"testing"

	"hedgerow/protocol"
	"hedgerow/transport"
)

// What is relayed leaves with the TOS that it came with, trains and copies of a flood
// alike, and what the supernode says itself with none.
func TestRelayKeepsTOS(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	for _, tos := range []uint8{0, 1, 2, 3, 0xb8, 0xbb} {
		r.in.TOS = tos
		entries, _ := r.deliverTrain(a.addr, a.wrap(b.ack.Handle, 0, junk(100)), a.wrap(b.ack.Handle, 0, junk(100)))
		if want := (entry{to: b.addr, size: 264, seg: 132, tos: tos}); len(entries) != 1 || entries[0] != want {
			t.Errorf("%+v, want %+v", entries, want)
		}
		entries, _ = r.deliverTrain(a.addr, a.wrap(protocol.HandleAll, 0, junk(100)))
		if len(entries) != 1 || entries[0].tos != tos {
			t.Errorf("a flood of TOS %#x leaves as %+v", tos, entries)
		}
		entries, _ = r.deliverTrain(a.addr, a.seal(&protocol.Whoami{Pad: 100}))
		for _, e := range entries {
			if e.tos != 0 {
				t.Errorf("an answer to TOS %#x leaves as %+v", tos, e)
			}
		}
	}
}

// A stream carries no mark of congestion, so a marked packet goes no further; all others
// do.
func TestNoMarkIsLostOnAStream(t *testing.T) {
	r := newRig(t, Config{Streams: newNoStreams()})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2)
	b.addr = side(1)
	b.join()
	for tos := range uint8(4) {
		r.in.TOS = tos
		entries, _ := r.deliverTrain(a.addr, a.wrap(b.ack.Handle, 0, junk(100)))
		if passed := len(entries) == 1; passed != (tos != 3) || r.dropped(dropMarked) != uint64(tos/3) {
			t.Errorf("TOS %d: sent %+v, %d dropped", tos, entries, r.dropped(dropMarked))
		}
	}
}

// tellingRecorder is a socket that tells the TOS of what it receives.
type tellingRecorder struct{ *recorder }

func (tellingRecorder) TellsTOS() bool { return true }

// A supernode says that it passes marks on only if its socket tells them.
func TestSaysThatItPassesMarksOn(t *testing.T) {
	for _, conn := range []Conn{newRecorder(), tellingRecorder{newRecorder()}} {
		if got, want := features(&Config{Conn: conn}) != 0, transport.TellsTOS(conn); got != want {
			t.Errorf("%T: %t, want %t", conn, got, want)
		}
	}
}
