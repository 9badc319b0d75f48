package dataplane

import "testing"

// TestSealedPacketsLeaveRoom: whoever sends from a supernode's address takes no room
// from what authenticated peers say.
func TestSealedPacketsLeaveRoom(t *testing.T) {
	m := newMailbox(new(Drops))
	for range 2 * mailboxKnown {
		m.post(HopPacket{})
	}
	for i := range mailboxKnown / 2 {
		if !m.post(PairMessages{}) {
			t.Fatalf("no room for message %d of a peer", i)
		}
	}
	if m.post(PairMessages{}) {
		t.Error("no bound")
	}
	for range mailboxKnown/2 + 1 {
		<-m.known
	}
	if !m.post(HopPacket{}) || m.post(HopPacket{}) {
		t.Error("sealed packets get what is left of one half")
	}
}

// TestUnvouchedPacketsLeaveRoom: a member that sends GROUP packets under a salt for which
// it has not vouched, as fast as it can, takes no room from what peers and supernodes say.
func TestUnvouchedPacketsLeaveRoom(t *testing.T) {
	m := newMailbox(new(Drops))
	for range 2 * mailboxKnown {
		m.post(Unvouched{})
	}
	for i := range mailboxHop - mailboxUnvouched {
		if !m.post(HopPacket{}) {
			t.Fatalf("no room for packet %d of a supernode", i)
		}
		m.post(Unvouched{})
	}
	for i := range mailboxKnown - mailboxHop {
		if !m.post(PairMessages{}) {
			t.Fatalf("no room for message %d of a peer", i)
		}
		m.post(Unvouched{})
	}
}
