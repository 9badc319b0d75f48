package edge

import (
	"errors"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// Status has a note for whatever keeps the edge from being served, and none without it:
// "health ok" says that there is nothing to read.
func TestNotesOfSupernodes(t *testing.T) {
	for _, c := range []struct {
		name  string
		ready func(v *testServer)
		want  string // empty: no note
	}{
		{"registered", func(*testServer) {}, ""},
		{"not yet", func(v *testServer) { v.s.grant.done = false }, "no supernode is reached (sn:7654 has not answered yet)"},
		{"refused", func(v *testServer) {
			v.s.grant.done, v.s.grant.pending = false, true
			m := protocol.Nak{Code: protocol.CodeFull}
			v.say(noon, m.Append(nil))
		}, "sn:7654 refuses this edge: supernode full."},
		{"a community that is not served", func(v *testServer) {
			v.s.grant.done, v.s.grant.pending = false, true
			m := protocol.Nak{Code: protocol.CodeNotServed}
			v.say(noon, m.Append(nil))
		}, `sn:7654 does not serve community "tests"`},
		{"removed while it was registered", func(v *testServer) {
			m := protocol.Nak{Code: protocol.CodeRemoved, Since: 1778587200}
			v.say(noon, m.Append(nil))
		}, "this edge was removed from sn:7654 by its operator on 12 May 2026: ask there. Trying on. [E23]"},
		{"a token that is used up", func(v *testServer) {
			v.s.grant.done, v.s.grant.pending = false, true
			m := protocol.Nak{Code: protocol.CodeToken}
			v.say(noon, m.Append(nil))
		}, "Ask for a new invite. [E23]"},
		{"refused for its statement", func(v *testServer) {
			v.s.grant.done, v.s.grant.pending = false, true
			m := protocol.Nak{Code: protocol.CodeOldStatement}
			v.say(noon, m.Append(nil))
		}, "another machine uses the identity"},
		{"an older one", func(v *testServer) { v.s.grant.done, v.s.hello.older = false, true }, "[E22]"},
		{"lost", func(v *testServer) { v.servers.registrar.lost(noon, v.s) }, "no supernode is reached (sn:7654 no longer answers)"},
		{"silent from the start", func(v *testServer) { v.s.grant.done, v.s.reported.noAnswer = false, true }, "no supernode is reached"},
		{"silent, and one other port was tried", func(v *testServer) {
			v.s.grant.done, v.s.reported.noAnswer, v.s.stream.further.tries = false, true, 1
		}, "sn:7654 does not answer, by this edge's port or another [E08]"},
		{"silent, and other ports were tried", func(v *testServer) {
			v.s.grant.done, v.s.reported.noAnswer, v.s.stream.further.tries = false, true, 3
		}, "sn:7654 does not answer, by this edge's port or 3 others [E08]"},
		{"silent, and our own firewall refuses", func(v *testServer) {
			v.s.grant.done, v.s.reported.noAnswer = false, true
			v.handle(noon, dataplane.SendRefused{Addr: v.s.addr(), Forbidden: true})
		}, "no supernode is reached (sn:7654 is not reached, since this host's own firewall lets nothing out to it [E58])"},
		{"no stream gets through", func(v *testServer) { v.s.grant.done, v.s.stream.failed = false, "refused" }, "no supernode is reached"},
		{"its name is unknown", func(v *testServer) {
			v.s.grant.done = false
			v.servers.connector.resolved(noon, v.s, nil, errors.New("no such host"))
		}, "cannot resolve sn: no such host"},
		{"another key", func(v *testServer) { v.s.grant.done, v.s.reported.otherKey = false, "it shows another key" }, "shows another key"},
		{"a schedule that ends", func(v *testServer) {
			c := *v.keys.community
			c.Epochs[0].Until = noon.Add(24 * time.Hour)
			v.keys.community = &c
			v.keys.schedule.Replace(&c)
		}, "the schedule ends in"},
	} {
		v := registered(t, nil)
		c.ready(v)
		notes := v.status(noon).Notes
		if got := strings.Join(notes, "|"); len(notes) > 1 || (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", c.name, notes)
		}
	}
}
