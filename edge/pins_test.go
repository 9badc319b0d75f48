package edge

import (
	"testing"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// TestPins checks whose a hardware address is, by the rule of membership.
func TestPins(t *testing.T) {
	c := testCommunity()
	cid := c.ID()
	one, two := [32]byte(testIdentity(1).ID), [32]byte(testIdentity(2).ID)
	derived := protocol.MAC(testIdentity(1).MAC(cid))
	for _, members := range []crypto.Members{crypto.MembersTOFU, crypto.MembersOpen, crypto.MembersList} {
		c.Members = members
		open := members == crypto.MembersOpen
		s, _ := loadState("", noon, quiet)
		p := pins{state: s, cid: cid}
		if !p.derived(derived, one) || p.derived(derived, two) || p.derived(host(1), one) {
			t.Fatal("derived addresses")
		}
		if !p.allow(host(1), one, c) || !p.allow(host(1), two, c) || len(s.saved.Pins) != 0 {
			t.Errorf("%v: asking pins", members)
		}
		p.keep(host(1), one, c)
		p.keep(host(1), two, c) // too late
		if !p.allow(host(1), one, c) || p.allow(host(1), two, c) != open {
			t.Errorf("%v: the first one does not have it", members)
		}
		p.keep(derived, two, c)
		if !p.allow(derived, one, c) {
			t.Errorf("%v: a derived address was refused to its owner", members)
		}
		p.keep(derived, one, c)
		if p.allow(derived, two, c) != open {
			t.Errorf("%v: a derived address stayed with another", members)
		}
		if s.dirty == open {
			t.Errorf("%v: dirty %v", members, s.dirty)
		}
	}
}

// TestPinsBound fills the pins: no one new gets an address that is not its
// own, and nobody loses one.
func TestPinsBound(t *testing.T) {
	c := testCommunity()
	s, _ := loadState("", noon, quiet)
	p := pins{state: s, cid: c.ID()}
	for n := range maxPins + 5 {
		p.keep(manyHosts(n), [32]byte{1}, c)
	}
	if len(s.saved.Pins) != maxPins {
		t.Errorf("%d pins", len(s.saved.Pins))
	}
	id := testIdentity(1)
	if p.allow(manyHosts(maxPins), [32]byte{1}, c) || !p.allow(manyHosts(0), [32]byte{1}, c) || p.allow(manyHosts(0), [32]byte{2}, c) {
		t.Error("a full table forgets, or takes more")
	}
	if !p.allow(protocol.MAC(id.MAC(p.cid)), [32]byte(id.ID), c) {
		t.Error("a derived address needs no room")
	}
}
