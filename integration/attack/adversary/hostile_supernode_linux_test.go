package adversary_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

const (
	publicLease    = "a lease of public or group addresses"
	stolenBinding  = "a statement that takes another's address"
	strangerProbes = "addresses that a supernode invents"
)

// hopAttackOf names the attack that a supernode's message is.
func hopAttackOf(v adversary.Value) string {
	switch {
	case strings.HasPrefix(v.Name, "ACK: lease"):
		return publicLease
	case strings.HasPrefix(v.Name, "PEER_INFO"):
		return stolenBinding
	case strings.HasPrefix(v.Name, "PUNCH"), strings.HasPrefix(v.Name, "ACK: "):
		return strangerProbes
	}
	return strings.Fields(strings.ReplaceAll(v.Name, ",", " "))[0]
}

var hopAttacks = []string{publicLease, stolenBinding, strangerProbes}

// A supernode says everything that there is to say: the device gets no address that
// its user could not have typed, nobody's hardware address is another's, strangers are
// left alone, and the direct path to an honest member stays.
func TestEveryHopMessage(t *testing.T) {
	v := newVerdicts(t)
	for _, attack := range append([]string{""}, hopAttacks...) {
		v.inScene(func(s *edgeScene) {
			s.loose = true
			hub := s.crowd.Hub()
			list := s.know.HopMessages()
			if attack == "" {
				list = adversary.Variants(list)
			}
			for _, v := range list {
				name := hopAttackOf(v)
				if (name == attack) != (attack != "") {
					continue // each attack has an edge of its own, which it may ruin
				}
				if attack == "" && slices.Contains(hopAttacks, name) {
					continue
				}
				s.inject(name, v.Name, func() { hub.Tell(v.Append) })
				time.Sleep(20 * time.Millisecond)
				s.check(name, v.Name)
				s.alive(name, v.Name)
			}
		})
	}
}

// A datagram is full of one message.
func TestManyHopMessagesAtOnce(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		s.loose = true
		for _, v := range s.know.HopMessages() {
			name := hopAttackOf(v)
			if slices.Contains(hopAttacks, name) {
				name = "many of them"
			}
			many := adversary.Value{Bytes: adversary.Repeated(v)}
			s.inject(name, "many of "+v.Name, func() { s.crowd.Hub().Tell(many.Append) })
			s.tables(name, "many of "+v.Name)
		}
	})
}

// With an address a supernode leases a network, and a route to it: the edge takes
// none that its user could not have typed.
func TestLeases(t *testing.T) {
	v := newVerdicts(t)
	for _, p := range adversary.Prefixes() {
		v.inScene(func(s *edgeScene) {
			ack := protocol.Ack{Handle: 1 << 30, Seen: s.crowd.EdgeAddr(), Lease: p, LeaseSeconds: 3600, Members: 3}
			s.inject(publicLease, p.String(), func() { s.crowd.Hub().Tell(ack.Append) })
			time.Sleep(time.Second)
			s.check(publicLease, p.String())
		})
	}
}

// Each false statement is told of by the supernode to an edge of its own.
func TestStatementsByASupernode(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		cid := s.crowd.Community().ID()
		for _, st := range s.know.Statements() {
			for _, mac := range []protocol.MAC{s.know.Honest.MAC, protocol.MAC(s.know.Self.MAC(cid))} {
				info := protocol.PeerInfo{CID: cid, MAC: mac, Handle: 77, Statement: st.Bytes}
				s.inject(stolenBinding, st.Name, func() { s.crowd.Hub().Tell(info.Append) })
				s.check(stolenBinding, st.Name)
				s.alive(stolenBinding, st.Name)
				s.crowd.Play(func() { s.crowd.Hub().TellOf(honestMember) })
			}
		}
	})
}
