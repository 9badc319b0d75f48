package adversary_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

const (
	unprovedEpoch  = "an INIT of an epoch whose key its sender has not"
	replayedInit   = "a recorded INIT by another handle"
	forgedSource   = "PINGs from a forged source"
	saltFlood      = "SALTs without end"
	fragmentHoard  = "inners without end"
	strangersInits = "INITs of new identities"
)

// carry has the supernode relay a packet by a handle, unless it could not be made.
func (s *edgeScene) carry(handle uint32, pkt []byte, err error) {
	if err != nil {
		s.t.Fatal(err)
	}
	s.crowd.Hub().Carry(handle, pkt)
}

// outsider returns an end of somebody who has no session with the edge.
func (s *edgeScene) outsider(id *crypto.Identity, c *crypto.Community, e crypto.Epoch) *adversary.Member {
	return adversary.NewMember(adversary.MemberConfig{
		Surroundings: s.crowd.Surroundings(), Community: c, Epoch: e, Identity: id, Peer: s.crowd.Identity().Static, Index: 1 << 24,
	})
}

// An ex-member knows the community's secret and an old epoch's key. Its INITs of any
// epoch leave the edge where it is: it seals under what it did, and knows nobody by
// another handle.
func TestExMember(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		honest := s.crowd.Member(honestMember)
		for ki := range uint8(3) {
			wrong := crypto.Epoch{Index: ki, Key: [32]byte{0xbd, ki}}
			for _, id := range []*crypto.Identity{s.crowd.NewIdentity(), honest.Identity()} {
				// The honest member's static key, as somebody has who has stolen the
				// file of an old machine.
				m := s.outsider(id, s.crowd.Community(), wrong)
				handle := uint32(900 + int(ki))
				what := fmt.Sprintf("an INIT of epoch %d of %v", ki, id)
				pkt, err := m.Initiate()
				s.inject(unprovedEpoch, what, func() { s.carry(handle, pkt, err) })
				time.Sleep(time.Second)
				s.check(unprovedEpoch, what)
				s.alive(unprovedEpoch, what)
			}
		}
	})
}

// An INIT of an honest member that somebody has recorded, or held back, comes by
// another handle, and from another address.
func TestRecordedInits(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		relayed := s.crowd.Member(relayedMember)
		var tape [3][]byte
		for i := range tape {
			time.Sleep(time.Millisecond) // of another stamp
			s.crowd.Play(func() {
				relayed.Forget()
				pkt, err := relayed.Initiate()
				if err != nil {
					s.t.Fatal(err)
				}
				tape[i] = bytes.Clone(pkt)
				if i == 1 {
					relayed.Send(false, pkt, nil)
				}
			})
			if i == 1 {
				time.Sleep(time.Second)
			}
		}
		for i, when := range []string{"that was older", "that has arrived", "that was held back"} {
			what := "an INIT " + when + " by another handle"
			s.inject(replayedInit, what, func() { s.carry(999, bytes.Clone(tape[i]), nil) })
			s.inject(replayedInit, what, func() { s.crowd.Inject(s.know.Stranger, bytes.Clone(tape[i])) })
			time.Sleep(100 * time.Millisecond)
			s.check(replayedInit, what)
		}
		s.crowd.Play(relayed.MeetAgain)
		time.Sleep(time.Second)
		s.alive(replayedInit, "the recorded INITs")
	})
}

// A member sends what wants an answer from an address that is not its own: no more
// goes there than came from there.
func TestForgedSources(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		m := s.crowd.Member(hostileMember)
		for i, v := range s.know.PairMessages() {
			victim := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), uint16(3000+i))
			for _, body := range [][]byte{v.Bytes, adversary.Repeated(v)} {
				many := adversary.Value{Bytes: body}
				s.inject(forgedSource, v.Name, func() {
					pkt, err := m.Say(many.Append)
					if err == nil {
						s.crowd.Inject(victim, pkt)
					}
				})
			}
			time.Sleep(time.Second) // pings of what may be a path
			s.crowd.Play(func() {
				const pings = 30 // of what may have become the member's address
				x := s.crowd.Traffic(victim)
				if x.BytesOut > x.BytesIn+pings*120 || x.PacketsOut > x.PacketsIn+pings {
					s.fault(forgedSource, "%d packets of %d bytes went to %v for %d of %d, after %s", x.PacketsOut, x.BytesOut, victim, x.PacketsIn, x.BytesIn, v.Name)
				}
			})
			s.again(m)
			if i%20 == 0 {
				s.refresh()
				s.check(forgedSource, v.Name)
				s.alive(forgedSource, v.Name)
			}
		}
	})
}

// heap returns how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// growth is the most that one member may make an edge keep, in bytes.
const growth = 4 << 20

// hoard has something be said very often, with a pause after each 200, and asserts
// that the edge keeps little of it.
func (s *edgeScene) hoard(name string, times int, pause time.Duration, f func(i int)) {
	before := heap()
	const batch = 200
	for i := 0; i < times; i += batch {
		s.dog.note(name)
		s.crowd.Play(func() {
			for j := range batch {
				f(i + j)
			}
		})
		synctest.Wait()
		time.Sleep(pause)
		if i%(20*batch) == 0 {
			time.Sleep(10 * time.Millisecond)
			s.alive(name, name)
		}
	}
	s.check(name, name)
	if grown := heap() - before; grown > growth {
		s.fault(name, "the heap has grown by %d KiB after %d messages", grown>>10, times)
	}
}

// A member vouches for one salt after another.
func TestSaltsWithoutEnd(t *testing.T) {
	v := newVerdicts(t)
	for _, pause := range []time.Duration{0, 200 * time.Millisecond} { // faster than an edge listens to one peer, and not
		v.inScene(func(s *edgeScene) { s.vouchWithoutEnd(pause) })
	}
}

func (s *edgeScene) vouchWithoutEnd(pause time.Duration) {
	m := s.crowd.Member(hostileMember)
	salt := protocol.Salt{XF: protocol.XFGroupGCM, KI: s.crowd.Community().Epochs[0].Index}
	seconds := uint32(time.Now().Unix())
	s.hoard(saltFlood, 60_000, pause, func(i int) {
		salt.Salt = [protocol.SaltLen]byte{byte(seconds >> 24), byte(seconds >> 16), byte(seconds >> 8), byte(seconds), byte(i), byte(i >> 8), byte(i >> 16)}
		m.Tell(i%2 == 0, salt.Append)
	})
}

// A member begins inners that it never ends.
func TestFragmentsWithoutEnd(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		m := s.crowd.Member(hostileMember)
		inner := make([]byte, protocol.MaxInner)
		s.hoard(fragmentHoard, 20_000, 0, func(i int) {
			piece := protocol.AppendPiece(nil, inner, i%40, 50)
			pkt, err := m.SayInner(append([]byte{byte(protocol.KindFragment) << 6}, piece...))
			m.Send(i%2 == 0, pkt, err)
		})
	})
}

// Somebody who knows the epoch's key makes one identity after another, which all want
// to be peers.
func TestNewIdentitiesWithoutEnd(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		const identities = 3000
		s.hoard(strangersInits, identities, 0, func(i int) {
			m := s.outsider(s.crowd.NewIdentity(), s.crowd.Community(), s.crowd.Community().Epochs[0])
			pkt, err := m.Initiate()
			s.carry(uint32(1000+i), pkt, err)
		})
	})
}
