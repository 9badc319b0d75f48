package adversary_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

const (
	scanOfPool  = "a REGISTER that has a whole pool searched"
	unendingReg = "UNREGISTER and REGISTER in one body"
)

// edgeAttackOf names the attack that an edge's message is.
func edgeAttackOf(v adversary.Value) string {
	if strings.HasPrefix(v.Name, "REGISTER: wants") || strings.HasPrefix(v.Name, "REGISTER: insists") {
		return scanOfPool
	}
	return strings.Fields(strings.ReplaceAll(v.Name, ",", " "))[0]
}

// An edge says everything that there is to say: the tables agree and are within their
// bounds, who is registered stays, strangers get no more than they sent, and the
// others' frames pass.
func TestEveryEdgeMessage(t *testing.T) {
	newVerdicts(t).inSupernodeScene(func(s *supernodeScene) {
		s.again()
		list := adversary.Variants(s.know.EdgeMessages(s.hostile.Guest))
		for i, v := range list {
			name := edgeAttackOf(v)
			s.inject(name, v.Name, func() { s.say(v.Append) })
			if s.check(name, v.Name); i%20 == 0 {
				s.alive(name, v.Name)
			}
			if i%100 == 99 {
				s.again()
			}
		}
		s.alive("at the end", "all messages")
	})
}

// A datagram is full of one message, or of a message and what undoes it.
func TestManyEdgeMessagesAtOnce(t *testing.T) {
	newVerdicts(t).inSupernodeScene(func(s *supernodeScene) {
		s.again()
		undo := adversary.Value{Bytes: (&protocol.Unregister{}).Append(nil)}
		for i, v := range s.know.EdgeMessages(s.hostile.Guest) {
			name := edgeAttackOf(v)
			if strings.HasPrefix(v.Name, "REGISTER") {
				name = unendingReg // what the datagrams before have left
			}
			many := adversary.Value{Bytes: adversary.Repeated(v)}
			s.inject(name, "many of "+v.Name, func() { s.say(many.Append) })
			s.check(name, "many of "+v.Name)
			if !strings.HasPrefix(v.Name, "REGISTER") {
				continue
			}
			for _, body := range [][]adversary.Message{{undo.Append, v.Append}, {v.Append, undo.Append}, {v.Append, undo.Append, v.Append}} {
				if size := len(body) * len(v.Bytes); size > 1400 {
					continue
				}
				s.inject(name, "undone "+v.Name, func() { s.say(body...) })
				s.check(name, "undone "+v.Name)
				time.Sleep(time.Second)
			}
			if i%4 == 0 {
				s.alive(name, v.Name)
				s.again()
			}
		}
	})
}

// An edge floods, relays to everybody and names itself: packets of every header.
func TestEdgePackets(t *testing.T) {
	newVerdicts(t).inSupernodeScene(func(s *supernodeScene) {
		s.again()
		for _, handle := range []uint32{0, 1, s.know.Honest.Handle, protocol.HandleAll} {
			for flags := range protocol.Flags(4) {
				for _, n := range []int{32, 33, 100, 1400} {
					what := fmt.Sprintf("RELAY of %d bytes to %08x with flags %d", n, handle, flags)
					s.inject("RELAY", what, func() {
						pkt, err := s.hostile.Relay(handle, flags, make([]byte, n))
						s.hostile.Write(pkt, err)
					})
					s.check("RELAY", what)
				}
			}
		}
		for typ := range protocol.Type(32) {
			for _, xf := range []protocol.Transform{0, 1, 2, 0x10, 0x11, protocol.XFHop, 0xff} {
				what := fmt.Sprintf("a packet of type %d and transform %#x", typ, uint8(xf))
				s.inject("packet", what, func() {
					h := protocol.Header{Type: typ, XF: xf, KI: protocol.KINone, RX: s.hostile.Session.RemoteIndex(), CTR: 1 << 63}
					s.hostile.Write(s.hostile.Packet(h, make([]byte, 112)), nil)
				})
				s.check("packet", what)
			}
		}
		s.alive("packet", "all packets")
		synctest.Wait()
	})
}

// An edge makes a session anew for each REGISTER, so that no bucket of a session's
// limits it, and wants an address of every kind of network.
func TestWantedPrefixes(t *testing.T) {
	newVerdicts(t).inSupernodeScene(func(s *supernodeScene) {
		for _, p := range adversary.Prefixes() {
			least := time.Hour
			for range tries {
				s.again()
				m := s.hostile.Guest.Register(s.world.Community)
				m.Prefix = p
				s.dog.note("a REGISTER that wants " + p.String())
				time.Sleep(6 * time.Second)
				spent := took(func() {
					s.say(m.Append)
					time.Sleep(onTheWay)
					synctest.Wait()
				})
				if least = min(least, spent); least <= limit(perMessage) {
					break
				}
			}
			if least > limit(perMessage) {
				s.fault(scanOfPool, "%v takes %v of processor time", p, least)
			}
			s.check(scanOfPool, "a REGISTER that wants "+p.String())
			s.alive(scanOfPool, "a REGISTER that wants "+p.String())
		}
	})
}
