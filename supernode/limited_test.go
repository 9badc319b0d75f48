package supernode

import (
	"testing"
	"time"

	"hedgerow/protocol"
)

// TestSenderLearnsOfItsLimits: whose packets are dropped for a budget is told so, of each
// budget, by 5 s once, and how many they were.
func TestSenderLearnsOfItsLimits(t *testing.T) {
	for what, limits := range map[uint8]Limits{
		protocol.LimitedBytes: {EdgeBytes: 1000}, protocol.LimitedCommunityBytes: {CommunityBytes: 1000},
		protocol.LimitedCopies: {EdgeFloods: 10}, protocol.LimitedNetworkCopies: {SourceFloods: 10}, protocol.LimitedCommunityCopies: {CommunityFloods: 10},
	} {
		r := newRig(t, Config{Limits: limits})
		c := testCommunity("c", "k")
		e, sink := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
		var told []protocol.Limited
		dropped := uint64(0)
		for range 100 { // 10 s
			r.now = r.now.Add(100 * time.Millisecond)
			to := sink.ack.Handle
			if what >= protocol.LimitedCopies {
				to = protocol.HandleAll
			}
			before := r.dropped(dropRelayBudget)
			for range 20 {
				sent := r.deliver(e.addr, e.wrap(to, 0, junk(100)))
				for _, m := range e.open(sent) {
					if m.typ != protocol.MsgLimited {
						continue
					}
					l, err := protocol.ParseLimited(m.value)
					if err != nil {
						t.Fatal(err)
					}
					told = append(told, l)
				}
				if n := len(sink.open(sent)); n != 0 {
					t.Fatalf("%d messages to somebody else", n)
				}
			}
			dropped += r.dropped(dropRelayBudget) - before
		}
		sum := uint64(0)
		for _, l := range told {
			sum += uint64(l.Dropped)
			if l.What != what || l.Rate != 10 && l.Rate != 1000 {
				t.Errorf("budget %d: told %+v", what, l)
			}
		}
		if len(told) != 2 || told[0].Dropped != 1 || sum < dropped/3 || sum > dropped {
			t.Errorf("budget %d: told %+v of %d drops", what, told, dropped)
		}
	}
}
