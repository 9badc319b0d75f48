package adversary_test

import (
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

// supernodeStage is a supernode scene that scripts are played in.
type supernodeStage struct {
	*supernodeScene
	heap   heapWatch
	values []adversary.Value // of the present session
}

func (s *supernodeStage) play(script []byte) {
	for x := range adversary.Steps(script) {
		s.do(x)
		time.Sleep(onTheWay)
		synctest.Wait()
		for s.hostile.Poll() != nil { // nobody reads it
		}
	}
}

func (s *supernodeStage) check() {
	after := "the input"
	if err := s.sn.Server.Verify(); err != nil {
		s.fault("fuzz", "%v", err)
	}
	s.supernodeScene.alive("fuzz", after)
	for _, fault := range s.faults.Take() {
		if isOfStranger(fault) {
			s.fault("fuzz", "%s", fault)
		}
	}
	s.heap.check(s.verdicts)
}

// old reports whether leases may be over.
func (s *supernodeStage) old() bool { return false }

// value is a message of the table, damaged by the bytes of a step.
func (s *supernodeStage) value(x adversary.Step) adversary.Value {
	if s.values == nil {
		s.values = s.know.EdgeMessages(s.hostile.Guest)
	}
	return damaged(s.values, x)
}

// What a hostile edge does.
const (
	edgeSaysValue  = iota // a message of the table
	edgeSaysMany          // as many as a datagram holds
	edgeSaysTwo           // two messages of the table in one body
	edgeSaysType          // a message of any type
	edgeSaysBody          // any body
	edgeSaysInner         // any inner
	edgeRelays            // any packet to any handle
	edgeSaysPacket        // a packet of any header
	edgeWaits             // time passes
	edgeRegisters         // as it should
	edgeMeetsAgain        // another session
	edgeGuestOnly         // another session, without a registration
	edgeOps               // how many there are
)

func (s *supernodeStage) do(x adversary.Step) {
	body := adversary.Value{Bytes: x.Bytes}
	switch x.Op % edgeOps {
	case edgeSaysValue:
		s.say(s.value(x).Append)
	case edgeSaysMany:
		body.Bytes = adversary.Repeated(s.value(x))
		s.say(body.Append)
	case edgeSaysTwo:
		if x.Bytes = x.Bytes[:min(len(x.Bytes), 2)]; len(x.Bytes) == 2 {
			other := adversary.Step{A: x.Bytes[0], B: x.Bytes[1]}
			x.Bytes = nil
			s.say(s.value(x).Append, s.value(other).Append)
		}
	case edgeSaysType:
		s.say(of(x.B, x).Append)
	case edgeSaysBody:
		s.say(body.Append)
	case edgeSaysInner:
		s.write(s.hostile.SayInner(x.Bytes))
	case edgeRelays:
		handle := []uint32{s.know.Honest.Handle, protocol.HandleAll, 0, uint32(x.Number())}[x.A&3]
		s.write(s.hostile.Relay(handle, protocol.Flags(x.B&3), append(append([]byte(nil), x.Bytes...), make([]byte, 32)...)))
	case edgeSaysPacket:
		h := protocol.Header{Type: protocol.Type(x.A & 31), XF: protocol.Transform(x.B), KI: protocol.KINone, RX: s.hostile.Session.RemoteIndex()}
		s.write(s.hostile.Packet(h, append(append([]byte(nil), x.Bytes...), make([]byte, 16)...)), nil)
	case edgeWaits:
		time.Sleep(time.Duration(x.Number()%4096) * time.Millisecond)
	case edgeRegisters:
		s.say(s.hostile.Guest.Register(s.world.Community).Append)
	case edgeMeetsAgain, edgeGuestOnly:
		s.meet()
		s.values = nil
		if x.Op%edgeOps == edgeMeetsAgain {
			s.say(s.hostile.Guest.Register(s.world.Community).Append)
		}
	}
}

// FuzzHostileEdge plays what a hostile edge may do to a supernode.
func FuzzHostileEdge(f *testing.F) {
	rig := &fuzzRig{begin: stages["edge"]}
	seeds(f, edgeOps)
	f.Fuzz(func(t *testing.T, script []byte) { rig.run(t, script) })
}
