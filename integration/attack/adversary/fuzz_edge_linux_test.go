package adversary_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
	"hedgerow/integration/sim"
	"hedgerow/protocol"
)

// edgeStage is an edge scene that scripts are played in.
type edgeStage struct {
	*edgeScene
	heap    heapWatch
	hostile *sim.CrowdMember
	values  []adversary.Value
	do      func(x adversary.Step)
	echo    uint32 // of the last CALL that the hostile member heard
}

// newEdgeStage returns a stage whose steps are a hostile member's, or a hostile
// supernode's.
func newEdgeStage(v *verdicts, supernode bool) *edgeStage {
	s := &edgeStage{edgeScene: newEdgeScene(v, nil, nil)}
	s.hostile = s.crowd.Member(hostileMember)
	s.values, s.do = s.know.PairMessages(), s.asMember
	if supernode {
		s.loose = true
		s.values, s.do = s.know.HopMessages(), s.asSupernode
	}
	s.crowd.Play(func() { s.hasten(supernode) })
	return s
}

// hasten has the scripts put up with what a hostile end does to them. It runs among
// them.
func (s *edgeStage) hasten(supernode bool) {
	s.hostile.Hasty = true
	s.hostile.Hear = func(got adversary.Heard, _ bool) {
		adversary.Messages(got.Inner, func(typ protocol.MsgType, value []byte) {
			if m, err := protocol.ParseCall(value); typ == protocol.MsgCall && err == nil {
				s.echo = m.Sent
			}
		})
	}
	if supernode {
		s.crowd.Hub().Hasty = true
		for i := range absentMember {
			s.crowd.Member(i).Hasty = true
		}
	}
}

func (s *edgeStage) play(script []byte) {
	for x := range adversary.Steps(script) {
		s.do(x)
		synctest.Wait()
	}
}

// check asserts what has to hold after every input.
func (s *edgeStage) check() {
	time.Sleep(20 * time.Millisecond)
	s.tables("fuzz", "the input")
	s.heap.check(s.verdicts)
	after := "the input"
	s.refresh()
	s.alive("fuzz", after)
	s.checkOwners("fuzz", after)
	status, err := s.crowd.Edge.Status(s.t.Context())
	if err != nil {
		s.fault("fuzz", "no status: %v", err)
	}
	s.checkAddresses("fuzz", after, status)
}

// old reports whether the next epoch is near, which the members have not.
func (s *edgeStage) old() bool { return time.Since(s.began) > sim.NextEpoch-10*time.Minute }

// value is a message of the table.
func (s *edgeStage) value(x adversary.Step) adversary.Value { return damaged(s.values, x) }

// damaged is a message of a table, damaged by the bytes of a step.
func damaged(values []adversary.Value, x adversary.Step) adversary.Value {
	v := values[x.Number()%len(values)]
	if len(x.Bytes) == 0 {
		return v
	}
	b := append([]byte(nil), v.Bytes...)
	for i, c := range x.Bytes {
		b[(i+int(x.Bytes[0]))%len(b)] ^= c
	}
	return adversary.Value{Name: v.Name, Bytes: b}
}

// of is a message of a type with the bytes of a step.
func of(typ byte, x adversary.Step) adversary.Value {
	return adversary.Value{Bytes: append([]byte{typ, 0, byte(len(x.Bytes))}, x.Bytes...)}
}

// What a hostile member does.
const (
	sayValue   = iota // a message of the table
	sayMany           // as many as a datagram holds
	sayType           // a message of any type
	sayBody           // any body
	sayInner          // any inner
	sayPiece          // a piece of an inner
	sayFlood          // a GROUP packet, maybe of a new salt
	sayInit           // an INIT with any payload
	sayPacket         // a packet of any header
	sayForged         // any body, from another address
	answerCall        // CALLACK
	punchMe           // the supernode has both punch
	wait              // time passes
	speak             // an honest member, or the edge's host
	meetAgain         // another session
	memberOps         // how many there are
)

func (s *edgeStage) asMember(x adversary.Step) {
	m, direct := s.hostile, x.A&1 == 0
	s.crowd.Play(func() {
		switch x.Op % memberOps {
		case sayValue:
			m.Tell(direct, s.value(x).Append)
		case sayMany:
			many := adversary.Value{Bytes: adversary.Repeated(s.value(x))}
			m.Tell(direct, many.Append)
		case sayType:
			m.Tell(direct, of(x.B, x).Append)
		case sayBody:
			m.Tell(direct, adversary.Value{Bytes: x.Bytes}.Append)
		case sayInner:
			pkt, err := m.SayInner(x.Bytes)
			m.Send(direct, pkt, err)
		case sayPiece:
			inner := append([]byte{byte(protocol.KindFragment) << 6, x.A&0x80 | x.B&0x7f}, x.Bytes...)
			pkt, err := m.SayInner(inner)
			m.Send(direct, pkt, err)
		case sayFlood:
			s.flood(x)
		case sayInit:
			var payload [protocol.InitPayloadLen]byte
			copy(payload[:], x.Bytes)
			m.SetEpoch(s.epoch(x.B))
			pkt, err := m.InitiateWith(payload)
			m.SetEpoch(s.epoch(0))
			m.Send(direct, pkt, err)
		case sayPacket:
			s.packet(x)
		case sayForged:
			if pkt, err := m.Say(adversary.Value{Bytes: x.Bytes}.Append); err == nil {
				s.crowd.Inject(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, x.A}), 1024+uint16(x.B)), pkt)
			}
		case answerCall:
			if c, err := protocol.ParseCall(x.Bytes); err == nil {
				ack := protocol.CallAck{Echo: s.echo, Call: c}
				m.Tell(direct, ack.Append)
			}
		case punchMe:
			punch := protocol.Punch{Handle: m.Handle(), Seen: m.Addr(), Delay: time.Duration(x.A) * time.Millisecond}
			s.crowd.Hub().Tell(punch.Append)
		case meetAgain:
			m.Direct = direct
			m.MeetAgain()
		}
	})
	s.pass(x, memberOps)
}

// epoch is one that the edge has, or not, with a right or a wrong key.
func (s *edgeStage) epoch(b byte) crypto.Epoch {
	list := s.crowd.Community().Epochs
	e := list[int(b)%len(list)]
	if b&0x40 != 0 {
		e.Key[0] ^= b
	}
	if b&0x80 != 0 {
		e.Index = b & 0x3f
	}
	return e
}

func (s *edgeStage) flood(x adversary.Step) {
	m := s.hostile
	if x.A != 0 || m.Group == nil {
		if m.NewGroup(time.Now().Add(time.Duration(int8(x.A))*10*time.Second)) != nil {
			return
		}
	}
	pkt, err := m.FloodInner(x.Bytes)
	m.Send(x.B&1 == 0, pkt, err)
}

func (s *edgeStage) packet(x adversary.Step) {
	h := protocol.Header{Type: protocol.Type(x.A & 31), XF: protocol.Transform(x.B), KI: x.A >> 5}
	if s.hostile.Session != nil && x.B&1 == 0 {
		h.RX = s.hostile.Session.RemoteIndex()
	}
	s.hostile.Send(x.B&2 == 0, s.hostile.Packet(h, append(append([]byte(nil), x.Bytes...), make([]byte, 16)...)), nil)
}

// pass lets time pass, and hosts send frames.
func (s *edgeStage) pass(x adversary.Step, ops byte) {
	switch x.Op % ops {
	case wait:
		time.Sleep(time.Duration(x.Number()%4096) * time.Millisecond)
	case speak:
		s.crowd.Play(func() { s.crowd.Speak(int(x.A) % absentMember) })
	}
}

// What a hostile supernode does. Those that it has in common with a member have the
// same numbers.
const (
	relayBytes = memberOps + iota // a RELAY of any packet by any handle
	relaySaid                     // what a member says, by another handle
	reset                         // a RESET
	answerAs                      // what REGISTERs are answered with from now on
	tellOf                        // PEER_INFO of a member
	supernodeOps
)

func (s *edgeStage) asSupernode(x adversary.Step) {
	hub := s.crowd.Hub()
	s.crowd.Play(func() {
		if hub.Session == nil {
			return
		}
		switch x.Op % supernodeOps {
		case sayValue:
			hub.Tell(s.value(x).Append)
		case sayMany:
			many := adversary.Value{Bytes: adversary.Repeated(s.value(x))}
			hub.Tell(many.Append)
		case sayType:
			hub.Tell(of(x.B, x).Append)
		case sayBody:
			hub.Tell(adversary.Value{Bytes: x.Bytes}.Append)
		case sayInner:
			hub.Send(hub.SayInner(x.Bytes))
		case sayPacket:
			h := protocol.Header{Type: protocol.Type(x.A & 31), XF: protocol.Transform(x.B), KI: protocol.KINone, RX: hub.Session.RemoteIndex()}
			hub.Write(hub.Packet(h, append(append([]byte(nil), x.Bytes...), make([]byte, 16)...)))
		case relayBytes:
			hub.Carry(uint32(x.Number()), append(append([]byte(nil), x.Bytes...), make([]byte, protocol.HeaderLen)...))
		case relaySaid:
			if pkt, err := s.hostile.Say(adversary.Value{Bytes: x.Bytes}.Append); err == nil {
				hub.Carry(uint32(x.Number()), append([]byte(nil), pkt...))
			}
		case reset:
			h := protocol.Header{Type: protocol.TypeReset, XF: protocol.XFHop, KI: protocol.KINone, RX: hub.Session.LocalIndex()}
			hub.Write(hub.Packet(h, append(append([]byte(nil), x.Bytes...), make([]byte, 16)...)[:16]))
		case answerAs:
			v := s.value(x)
			ack, err := protocol.ParseAck(v.Bytes[3:])
			hub.Ack = func(honest protocol.Ack) protocol.Ack {
				if err != nil {
					return honest
				}
				return ack
			}
		case tellOf:
			hub.TellOf(int(x.A) % absentMember)
		}
	})
	s.pass(x, supernodeOps)
}

// FuzzHostileMember plays what a hostile member may do to an edge.
func FuzzHostileMember(f *testing.F) {
	rig := &fuzzRig{begin: stages["member"]}
	seeds(f, memberOps)
	f.Fuzz(func(t *testing.T, script []byte) { rig.run(t, script) })
}

// FuzzHostileSupernode plays what a hostile supernode may do to an edge.
func FuzzHostileSupernode(f *testing.F) {
	rig := &fuzzRig{begin: stages["supernode"]}
	seeds(f, supernodeOps)
	f.Fuzz(func(t *testing.T, script []byte) { rig.run(t, script) })
}

// seeds are each step alone, and each two.
func seeds(f *testing.F, ops byte) {
	for op := range ops {
		first := adversary.Step{Op: op, A: op, B: 7 * op, Bytes: []byte{op, 0, 1, 2}}
		f.Add(first.Append(nil))
		for other := range ops {
			next := adversary.Step{Op: other, A: other, B: 3, Bytes: make([]byte, 20)}
			f.Add(adversary.Step{Op: wait, A: 1}.Append(next.Append(first.Append(nil))))
		}
	}
}
