package attack

import (
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
	"hedgerow/integration/lab"
	"hedgerow/integration/sim"
	"hedgerow/protocol"
)

// A shot is one kind of what a hostile end sends: it makes the next packet.
type shot func() ([]byte, error)

// hostile is a hostile end with a socket. It sends as many bytes of each of its kinds of
// packets, and hears and answers what comes meanwhile.
type hostile struct {
	t      *testing.T
	conn   *net.UDPConn
	to     netip.AddrPort
	in     chan datagram
	hear   func(d datagram)
	shots  []shot
	spent  []int // bytes, by shot
	random *mathrand.Rand
}

// datagramMost is the largest UDP payload of an Ethernet link with IPv4.
const datagramMost = 1472

func newHostile(t *testing.T, h *lab.Host, port uint16, to netip.AddrPort) *hostile {
	t.Helper()
	x := &hostile{
		t: t, conn: lab.Must(h.ListenUDP("udp4", netip.AddrPortFrom(h.Addr(), port).String())), to: to, in: make(chan datagram, 4096),
		random: mathrand.New(mathrand.NewPCG(3, 4)),
	}
	t.Cleanup(func() { x.conn.Close() })
	go func() {
		for b := make([]byte, 2048); ; {
			n, from, err := x.conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			select {
			case x.in <- datagram{from: from, payload: append([]byte(nil), b[:n]...)}:
			default:
			}
		}
	}()
	return x
}

// write sends a packet. One that could not be made, or that no link carries, is left out.
func (x *hostile) write(pkt []byte, err error) (bytes int) {
	if err != nil || len(pkt) > datagramMost {
		return 0
	}
	if _, err := x.conn.WriteToUDPAddrPort(pkt, x.to); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
		x.t.Error(err)
	}
	return len(pkt)
}

// listen hears what comes for a time.
func (x *hostile) listen(d time.Duration) {
	for end := time.After(d); ; {
		select {
		case in := <-x.in:
			x.hear(in)
		case <-end:
			return
		}
	}
}

// send sends the packet that is next.
func (x *hostile) send(int, int) (packets, bytes int, err error) {
	for len(x.in) > 0 {
		x.hear(<-x.in)
	}
	least := 0
	for i := range x.shots {
		if x.spent[i] < x.spent[least] {
			least = i
		}
	}
	n := x.write(x.shots[least]())
	x.spent[least] += max(n, 64) // one that cannot be made costs its turn
	return 1, n, nil
}

// arm says what is sent.
func (x *hostile) arm(shots ...shot) {
	x.shots, x.spent = shots, make([]int, len(shots))
}

// noise returns random bytes, from some length to another one.
func (x *hostile) noise(least, most int) []byte {
	b := make([]byte, least+x.random.IntN(most-least))
	for i := range b {
		b[i] = byte(x.random.Uint32())
	}
	return b
}

// inTurn returns one of a list after the other. CLOSE is not among them: a hostile end
// wants its session.
func inTurn(list []adversary.Value) func() adversary.Value {
	n := 0
	return func() adversary.Value {
		for {
			v := list[n%len(list)]
			n++
			if v.Bytes[0] != byte(protocol.MsgClose) {
				return v
			}
		}
	}
}

// surroundings are the real ones.
var surroundings = adversary.Surroundings{Rand: rand.Reader, Now: time.Now}

// newHostileMember returns a member that has a session with an edge, of the static key,
// and sends it everything that a member can: frames for all and for it, messages of every
// type and value, bodies full of each, SALTs, INITs of new identities, and junk in its
// session and outside.
func newHostileMember(t *testing.T, h *lab.Host, k *secrets, to netip.AddrPort, static [32]byte, know *adversary.Knowledge) *hostile {
	x := newHostile(t, h, 7070, to)
	m := adversary.NewMember(adversary.MemberConfig{
		Surroundings: surroundings, Community: k.community, Epoch: k.community.Epochs[0], Identity: know.Self, Peer: static, Index: 1 << 20,
	})
	x.hear = func(d datagram) {
		got, err := m.Handle(d.payload)
		if err != nil {
			return
		}
		if got.Reply != nil {
			x.write(got.Reply, nil)
		}
		if got.Began {
			salt, statement, about := m.Salt(), protocol.Statement{Signed: m.Statement}, protocol.About{Name: "hostile"}
			x.write(m.Say(salt.Append, statement.Append, about.Append))
		}
	}
	if err := m.NewGroup(time.Now()); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if m.Session == nil {
			x.write(m.Initiate())
			x.listen(100 * time.Millisecond)
		}
	}
	if m.Session == nil {
		t.Fatal("the edge makes no session with a member")
	}
	x.arm(append(x.sayAll(m, know), x.initAll(m, k, static)...)...)
	return x
}

// initAll are INITs of new identities, and of the member itself: another session each
// second, in case that the edge has ended this one.
func (x *hostile) initAll(m *adversary.Member, k *secrets, static [32]byte) []shot {
	began := time.Now()
	var fresh [][]byte
	for i := range uint32(500) {
		other := adversary.NewMember(adversary.MemberConfig{
			Surroundings: surroundings, Community: k.community, Epoch: k.community.Epochs[0], Identity: identityOf("fresh", i), Peer: static, Index: i << 8,
		})
		fresh = append(fresh, append([]byte(nil), lab.Must(other.Initiate())...))
	}
	return []shot{
		func() ([]byte, error) { return append([]byte(nil), fresh[x.random.IntN(len(fresh))]...), nil },
		func() ([]byte, error) {
			if time.Since(began) < time.Second {
				return x.noise(48, 1300), nil
			}
			began = time.Now()
			return m.Initiate()
		},
	}
}

// sayAll is everything else that a member can send.
func (x *hostile) sayAll(m *adversary.Member, know *adversary.Knowledge) []shot {
	one, many := inTurn(adversary.Variants(know.PairMessages())), inTurn(know.PairMessages())
	return []shot{
		func() ([]byte, error) { return m.Flood(sim.Frame(protocol.Broadcast, m.MAC, x.noise(46, 1200))) },
		func() ([]byte, error) { return m.SayFrame(sim.Frame(know.Edge.MAC, m.MAC, x.noise(46, 1200))) },
		func() ([]byte, error) { return m.Say(one().Append) },
		func() ([]byte, error) { return m.Say(adversary.Value{Bytes: adversary.Repeated(many())}.Append) },
		func() ([]byte, error) { // a new salt each time
			if err := m.NewGroup(time.Now()); err != nil {
				return nil, err
			}
			salt := m.Salt()
			return m.Say(salt.Append)
		},
		func() ([]byte, error) { return m.SayInner(x.noise(1, 1300)) },
		func() ([]byte, error) { // what does not open, under the right index
			return m.Packet(protocol.Header{
				Type: protocol.TypeData, XF: protocol.Transform(m.Session.XF()), KI: m.Session.KI(), RX: m.Session.RemoteIndex(), CTR: x.random.Uint64() >> 20,
			}, x.noise(48, 1300)), nil
		},
	}
}

// newHostileSupernode returns a supernode at which an edge can register, and which sends
// it everything that one can: messages of every type and value, bodies full of each,
// relayed packets of anybody, and junk in its session and outside.
func newHostileSupernode(t *testing.T, h *lab.Host, id *crypto.Identity, know *adversary.Knowledge) *hostile {
	x := newHostile(t, h, 7654, netip.AddrPort{})
	s := adversary.NewSupernode(surroundings, id)
	x.hear = func(d datagram) {
		got, err := s.Handle(d.payload)
		if err != nil {
			return
		}
		if got.Reply != nil {
			x.to = d.from
			x.write(got.Reply, nil)
		}
		adversary.Messages(got.Inner, func(typ protocol.MsgType, value []byte) {
			switch typ {
			case protocol.MsgPing:
				if m, err := protocol.ParsePing(value); err == nil {
					answer := m.Pong(d.from)
					x.write(s.Say(answer.Append))
				}
			case protocol.MsgRegister:
				ack := protocol.Ack{Handle: 1 << 30, Seen: d.from, LeaseSeconds: 3600, Members: 3}
				x.write(s.Say(ack.Append))
			}
		})
	}
	x.arm(x.tellAll(s, know)...)
	for range 100 {
		if s.Session == nil {
			x.listen(100 * time.Millisecond)
		}
	}
	if s.Session == nil {
		t.Fatal("the edge does not come to the supernode")
	}
	x.listen(time.Second)
	return x
}

// tellAll is everything that a supernode can send.
func (x *hostile) tellAll(s *adversary.Supernode, know *adversary.Knowledge) []shot {
	one, many := inTurn(adversary.Variants(know.HopMessages())), inTurn(know.HopMessages())
	return []shot{
		func() ([]byte, error) { return s.Say(one().Append) },
		func() ([]byte, error) { return s.Say(adversary.Value{Bytes: adversary.Repeated(many())}.Append) },
		func() ([]byte, error) { return s.Relay(x.random.Uint32N(4), 0, x.noise(40, 1300)) },
		func() ([]byte, error) { return s.SayInner(x.noise(1, 1300)) },
		func() ([]byte, error) {
			return s.Packet(protocol.Header{
				Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: s.Session.RemoteIndex(), CTR: x.random.Uint64() >> 20,
			}, x.noise(48, 1300)), nil
		},
		func() ([]byte, error) { return x.noise(48, 1300), nil },
	}
}
