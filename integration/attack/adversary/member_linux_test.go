package adversary_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

// attackOf names the attack that a message is.
func attackOf(v adversary.Value) string {
	return strings.Fields(strings.ReplaceAll(v.Name, ",", " "))[0]
}

// A member says everything that there is to say, by the supernode and directly: no
// table grows over its bound, nobody's address is another's, and an honest member's
// frames pass.
func TestEveryPairMessage(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		m := s.crowd.Member(hostileMember)
		for i, v := range adversary.Variants(s.know.PairMessages()) {
			name := attackOf(v)
			s.inject(name, v.Name, func() { m.Tell(i%2 == 0, v.Append) })
			s.check(name, v.Name)
			s.alive(name, v.Name)
			s.again(m)
		}
	})
}

// A datagram is full of one message.
func TestManyPairMessagesAtOnce(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		m := s.crowd.Member(hostileMember)
		for i, v := range s.know.PairMessages() {
			name := attackOf(v)
			many := adversary.Value{Bytes: adversary.Repeated(v)}
			s.inject(name, "many of "+v.Name, func() { m.Tell(i%2 == 0, many.Append) })
			s.check(name, "many of "+v.Name)
			s.alive(name, "many of "+v.Name)
			s.again(m)
		}
	})
}

const neverProbed = "a CALL that names only ports that are never probed"

// A member agrees on a technique for hard NATs and names ports of every kind, when a
// supernode has just seen it where it does not answer.
func TestPortsOfCalls(t *testing.T) {
	v := newVerdicts(t)
	for i, ports := range adversary.Ports() {
		name := "ports of a CALL"
		if slices.Contains(ports, 1719) || slices.Contains(ports, 5060) {
			name = neverProbed
		}
		v.inScene(func(s *edgeScene) {
			m, hub := s.crowd.Member(hostileMember), s.crowd.Hub()
			m.Direct = false
			s.seen[m.Addr().Addr()] = true
			s.crowd.Play(m.MeetAgain)
			time.Sleep(40 * time.Second) // the direct path is over
			for _, mapping := range []uint8{2, 3} {
				what := fmt.Sprintf("ports %v of mapping %d", ports, mapping)
				punch := protocol.Punch{Handle: m.Handle(), Seen: netip.AddrPortFrom(m.Addr().Addr(), 40000)}
				call := protocol.Call{Gen: uint32(i), Mapping: mapping, Ports: ports}
				s.inject(name, what, func() { hub.Tell(punch.Append) })
				s.inject(name, what, func() { m.Tell(false, call.Append) })
				time.Sleep(100 * time.Millisecond)
				s.inject(name, what, func() { m.Tell(false, (&protocol.Go{}).Append) })
				time.Sleep(2 * time.Second)
				s.check(name, what)
				s.alive(name, what)
			}
		})
	}
}
