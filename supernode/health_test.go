package supernode

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"hedgerow/internal/durable"
	"hedgerow/supernode/lists"
	"hedgerow/supernode/quota"
)

// ills are how each condition comes about in a healthy supernode, and a part of its
// sentence.
var ills = map[string]struct {
	make func(r *rig)
	want string
}{
	"send": {func(r *rig) { r.s.refused.drop(dropSend) }, "refuses to send"},
	"front": {func(r *rig) {
		for i := range 3 {
			r.edge(testCommunity("c", "k"), fmt.Sprint("e", i), i).at("172.17.0.1").join()
		}
	}, "3 of the 3 edges come from 172.17.0.1"},
	"pool": {func(r *rig) {
		for i := range 15 {
			r.edge(testCommunity("c", "k"), fmt.Sprint("e", i), i).tries()
		}
	}, "has no free address in 10.77.0.0/28"},
	"registrations": {func(r *rig) { r.s.refused.drop(dropEdges) }, "no room for more registrations"},
	"communities":   {func(r *rig) { r.s.refused.drop(dropCommunities) }, "no room for more communities"},
	"newcomers":     {func(r *rig) { r.s.refused.drop(dropNewcomerRate) }, "come from one network"},
	"passwords":     {func(r *rig) { r.s.refused.drop(dropPasswordRate) }, "passwords that are shown"},
	"list room":     {func(r *rig) { r.s.refused.drop(dropListFull) }, "no room for more lists"},
	"handshakes":    {func(r *rig) { r.s.refused.drop(dropGuests) }, "handshakes of strangers"},
	"relay budget":  {func(r *rig) { r.s.refused.drop(dropRelayBudget) }, "[E50]"},
	"line":          {func(r *rig) { r.s.refused.drop(dropRelayLine) }, "--limit line-bytes"},
	"load":          {func(r *rig) { r.s.refused.drop(dropRelayLoad) }, "processor is full"},
	"notices":       {func(r *rig) { r.s.refused.drop(dropPushes) }, "started anew"},
	"store":         {func(r *rig) { r.s.store.state.copies = 0 }, "cannot be written"},
	"lists": {func(r *rig) {
		cfg := lists.Config{Dir: "/dev/null/lists", Disk: durable.System, Log: r.s.cfg.Log, Sources: r.s.registry.front.sourcesIn}
		r.s.registry.lists = lists.New(cfg)
		r.s.controls.listings.table, r.s.reviews.lists.table = r.s.registry.lists, r.s.registry.lists
		l := newListed(r, "listed")
		l.edge("a", 1).bring(l.sign(1, "a"))
	}, "lists of members cannot be written to /dev/null/lists"},
	"stored":        {func(r *rig) { r.s.refused.drop(dropStored) }, "damaged and left out"},
	"proofs":        {func(r *rig) { r.s.health.proofs.Tokens = testTokens{note: "tokens are lost"} }, "tokens are lost"},
	"set aside":     {func(r *rig) { r.s.store.state.setAside = []string{os.DevNull} }, "is now " + os.DevNull},
	"month":         {func(r *rig) { r.useMonth(1000, 901) }, "90 % of what may be relayed this month is used"},
	"month of some": {func(r *rig) { r.s.refused.drop(dropRelayMonth) }, "--limit community-month"},
	"month on disk": {func(r *rig) {
		r.useMonth(0, 1)
		m := r.s.relayer.months
		m.keeper = quota.Open(m.table, quota.Config{Dir: r.t.TempDir() + "/gone", Disk: r.disk, Log: r.s.cfg.Log, Tables: &r.s.mu, Now: r.s.cfg.Now})
		m.keeper.Save()
	}, "this month cannot be written"},
	"second port": {func(r *rig) { r.s.health.secondPort.Store(true) }, "second port"},
	"streams":     {func(r *rig) { r.s.health.streams.Store(true) }, "streams over TCP"},
	"turn":        {func(r *rig) { r.s.health.turn.Store(true) }, "TURN server"},
}

// TestHealth walks the table of conditions: a healthy supernode has no note, each condition
// has one of its own, which goes again if the condition does.
func TestHealth(t *testing.T) {
	if notes := newRig(t, smallPool).s.Status().Notes; len(notes) != 0 || notes == nil {
		t.Fatalf("a healthy supernode says %q", notes)
	}
	for _, c := range conditions {
		ill, ok := ills[c.name]
		if !ok {
			t.Errorf("%s: nothing here brings it about", c.name)
			continue
		}
		r := newRig(t, smallPool)
		ill.make(r)
		if got := strings.Join(r.s.Status().Notes, "|"); !strings.Contains(got, ill.want) {
			t.Errorf("%s: status has %q, want %q", c.name, got, ill.want)
		}
		if got := c.note(&r.s.health, r.now); !strings.Contains(got, ill.want) {
			t.Errorf("%s: %q", c.name, got)
		}
		r.pass(healthShown+healthEvery, time.Second)
		lasts := map[string]bool{"front": true, "month": true, "month on disk": true, "store": true, "lists": true, "proofs": true, "set aside": true, "second port": true, "streams": true, "turn": true}[c.name]
		if got := strings.Join(r.s.Status().Notes, "|"); strings.Contains(got, ill.want) != lasts {
			t.Errorf("%s: a minute later status has %q", c.name, got)
		}
	}
	if len(ills) != len(conditions) {
		t.Errorf("%d conditions are tried, %d are in the table", len(ills), len(conditions))
	}
}
