package edge

import (
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/protocol"
)

// TestToldOfLimits: what a supernode does not relay is counted, told once while it goes on,
// and stands in status for a minute; also a limit of a later version.
func TestToldOfLimits(t *testing.T) {
	for what, want := range map[uint8]string{
		protocol.LimitedBytes: "9 bytes a second of one edge", protocol.LimitedCommunityBytes: "9 bytes a second of one community",
		protocol.LimitedCopies: "of one edge", protocol.LimitedNetworkCopies: "of all edges at one address",
		protocol.LimitedCommunityCopies: "copies of broadcasts and multicasts a second of one community",
		protocol.LimitedLine:            "its line, which is full: 9 bytes a second", protocol.LimitedLoad: "an equal part of its processor, which is full", 77: "(number 77): 9 a second",
		protocol.LimitedMonth: "it has relayed as much for everybody this month as it may (9.0MB), and relays again from 1 ", protocol.LimitedCommunityMonth: "for this community",
		protocol.LimitedEdgeMonth: "for this edge", protocol.LimitedNetworkMonth: "for all edges at this address",
	} {
		v := registered(t, nil)
		m := protocol.Limited{Dropped: 1 << 31, What: what, Rate: 9}
		for i := range 4 {
			v.say(noon.Add(time.Duration(i)*5*time.Second), m.Append(nil))
		}
		now := noon.Add(15 * time.Second)
		told := v.told(control.EventLimited)
		if len(told) != 1 || told[0].Supernode != "sn:7654" || !strings.Contains(told[0].Text, want) {
			t.Errorf("%d: told %+v", what, told)
		}
		if s := v.status(now); len(s.Notes) != 1 || !strings.Contains(s.Notes[0], want) || !strings.Contains(s.Notes[0], "8589934592 packets") || s.Drops["relay-limited"] != 1<<33 {
			t.Errorf("%d: %q, drops %v", what, s.Notes, s.Drops)
		}
		if notes := v.status(now.Add(limitedShown)).Notes; len(notes) != 0 {
			t.Errorf("%d: a minute later %q", what, notes)
		}
		v.say(now.Add(limitedShown), m.Append(nil))
		if n := len(v.told(control.EventLimited)); n != 2 {
			t.Errorf("%d: told %d times", what, n)
		}
	}
}
