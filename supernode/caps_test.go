package supernode

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"hedgerow/protocol"
)

// A community that has all its edges lets a newcomer in for the member that has been away
// for longest, and refuses one while all are here. Other communities are not concerned.
func TestCommunityEdges(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{CommunityEdges: 3}})
	c := testCommunity("c", "k")
	var members []*fakeEdge
	for i := range 3 {
		members = append(members, r.edge(c, fmt.Sprint("e", i), i).join())
	}
	late := r.edge(c, "late", 9)
	late.connect()
	if _, nak := late.register(late.request()); nak == nil || nak.Code != protocol.CodeFull || r.dropped(dropCommunityEdges) != 1 {
		t.Fatalf("a fourth edge: %+v", nak)
	}
	r.edge(testCommunity("d", "k"), "other", 10).join()
	if ack, nak := members[0].register(members[0].request()); ack == nil {
		t.Errorf("a member asks again: %+v", nak)
	}
	members[1].ask(&protocol.Unregister{})
	r.pass(time.Second, time.Second)
	members[2].ask(&protocol.Unregister{})
	late.join()
	g := r.s.registry
	if g.byHandle[members[1].ack.Handle] != nil || g.byHandle[members[2].ack.Handle] == nil || len(g.communities[c.ID()].byMAC) != 3 {
		t.Error("it is not the longest absent one that has made room")
	}
	members[2].join() // back in its own place
	again := r.edge(c, "again", 11)
	again.connect()
	if _, nak := again.register(again.request()); nak == nil || nak.Code != protocol.CodeFull {
		t.Errorf("a fifth edge: %+v", nak)
	}
}

// One source has as many edges as it may, and others have theirs.
func TestSourceEdges(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{SourceEdges: 2}})
	c := testCommunity("c", "k")
	var refused int
	for i := range 4 {
		e := r.edge(c, fmt.Sprint("e", i), i).at("203.0.113.5")
		e.connect()
		if _, nak := e.register(e.request()); nak != nil {
			if nak.Code != protocol.CodeFull {
				t.Errorf("%+v", nak)
			}
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d of 4 were refused", refused)
	}
	r.edge(c, "other", 9).at("198.51.100.5").join()
}

// Whatever changes about others 1000 times, between two members no relayed packet is lost.
func TestRelayingWhileRulesChange(t *testing.T) {
	r := newRig(t, Config{})
	ours, theirs := testCommunity("ours", "k"), testCommunity("theirs", "k")
	from, to := r.edge(ours, "from", 1).join(), r.edge(ours, "to", 2).join()
	third := r.edge(theirs, "third", 3)
	sent, got := 0, 0
	relay := func() {
		packet := bytes.Repeat([]byte{byte(sent), byte(sent >> 8)}, 100)
		sent++
		if _, inner := to.unwrap(r.deliver(from.addr, from.wrap(to.ack.Handle, 0, packet))); len(inner) == 1 && bytes.Equal(inner[0], packet) {
			got++
		}
	}
	texts := []string{
		"deny community theirs", "", "ban edge " + third.id.ShortID(), "mode closed\nallow community ours", "mode open", "ban source " + third.addr.Addr().String(),
		"mode closed\nallow edge " + from.id.ShortID() + "\nallow edge " + to.id.ShortID(),
	}
	third.join()
	v, ended := r.s.reviews, 0
	for i := range 1000 {
		if i%2 == 0 {
			v.registrar.policy.Replace(rulesOf(t, texts[i/2%len(texts)]))
		} else if err := v.registrar.policy.Kick(r.now, third.id.ShortID()); err != nil {
			t.Fatal(err)
		}
		over := v.start(r.now)
		relay()
		for done := false; !done; {
			r.pass(time.Millisecond, time.Millisecond)
			relay()
			select {
			case <-over:
				done = true
			default:
			}
		}
		relay()
		if i%25 == 24 { // the third one is in again, and goes again
			r.setRules("")
			r.pass(61*time.Second, time.Second)
			third.join()
			from.ask(&protocol.Ping{Pad: 100})
			to.ask(&protocol.Ping{Pad: 100})
			if r.s.sessions.byIdx[from.session.RemoteIndex()].created.Add(10 * time.Minute).Before(r.now) {
				from.join()
				to.join()
			}
		}
	}
	ended = v.ended
	if got != sent || sent < 3000 || ended < 40 {
		t.Errorf("%d of %d packets arrived while %d registrations ended", got, sent, ended)
	}
	if n := r.dropped(dropRelayTarget) + r.dropped(dropUnregistered) + r.dropped(dropRelayBudget); n != 0 {
		t.Errorf("%d packets were dropped: %v", n, r.s.refused.drops.nonzero())
	}
}
