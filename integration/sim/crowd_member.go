package sim

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

// CrowdMember is a member of a crowd. It does what an edge would do for the one
// that is under test, and answers what it is asked.
type CrowdMember struct {
	*adversary.Member
	crowd  *Crowd
	number int
	here   bool // it has come
	inits  int

	broadcasts atomic.Uint32 // its floods that the edge has delivered
	unicasts   atomic.Uint32 // its frames for the edge alone that the edge has delivered
	answers    atomic.Uint32 // frames of the edge that have reached it

	Lease  netip.Prefix // of the supernode, which tells the edge
	Direct bool         // it can be reached at its address
	Silent bool         // answers nothing but handshakes; what is said to it is only heard
	Hasty  bool         // what it cannot say, or not understand, is no fault
	// Hear is called with what a packet of the edge is, besides what is done about it.
	Hear func(got adversary.Heard, direct bool)
}

func newCrowdMember(c *Crowd, number int) *CrowdMember {
	return &CrowdMember{crowd: c, number: number, Member: adversary.NewMember(adversary.MemberConfig{
		Surroundings: c.world.surroundings(), Community: c.world.Community, Epoch: c.world.Community.Epochs[0], Identity: c.world.identity(),
		Peer: c.identity.Static, Index: uint32(number) << 8,
	})}
}

// name is what the member calls itself.
func (m *CrowdMember) name() string { return crowdName(m.number) }

// Handle is what the supernode knows it by.
func (m *CrowdMember) Handle() uint32 { return uint32(m.number + 1) }

// Addr is where it can be reached, if it can.
func (m *CrowdMember) Addr() netip.AddrPort {
	b := [4]byte{11, 1}
	binary.BigEndian.PutUint16(b[2:], uint16(m.number))
	return netip.AddrPortFrom(netip.AddrFrom4(b), 6000)
}

// Info is what the supernode tells of it.
func (m *CrowdMember) Info() protocol.PeerInfo {
	return protocol.PeerInfo{CID: m.crowd.world.Community.ID(), MAC: m.MAC, Handle: m.Handle(), Statement: m.Statement, Prefix: m.Lease}
}

// arrive has it come, and ask for somebody by broadcast, as a host does that looks
// for a hardware address: three times, a second apart.
func (m *CrowdMember) arrive() {
	m.here = true
	m.newGroup()
	m.broadcast()
	m.crowd.after(time.Second, m.broadcast)
	m.crowd.after(2*time.Second, m.broadcast)
}

// newGroup makes the key of its broadcasts.
func (m *CrowdMember) newGroup() { m.fault(m.NewGroup(time.Now())) }

// fault fails the test for an error of its own.
func (m *CrowdMember) fault(err error) bool {
	if err != nil && !m.Hasty {
		m.crowd.world.tb.Errorf("member %d: %v", m.number, err)
	}
	return err != nil
}

// come has the supernode tell the edge of it.
func (m *CrowdMember) come() {
	m.here = true
	m.crowd.hub.TellOf(m.number)
}

// Meet has it come and make a session, without a frame.
func (m *CrowdMember) Meet() {
	m.come()
	m.newGroup()
	m.initiate()
}

// bye ends the session.
func (m *CrowdMember) bye() {
	if m.Session != nil {
		m.Tell(false, (&protocol.Close{}).Append)
		m.Forget()
	}
}

// frame is one that says whose it is.
func (m *CrowdMember) frame(dst protocol.MAC) []byte {
	return Frame(dst, m.MAC, binary.BigEndian.AppendUint32(nil, uint32(m.number)))
}

// broadcast floods a frame; only the edge's copy is made.
func (m *CrowdMember) broadcast() {
	pkt, err := m.Flood(m.frame(protocol.Broadcast))
	m.Send(false, pkt, err)
}

// Send sends the edge a packet, directly or by the supernode, unless it could not be
// made.
func (m *CrowdMember) Send(direct bool, pkt []byte, err error) {
	switch {
	case m.fault(err):
	case direct:
		m.crowd.Inject(m.Addr(), pkt)
	default:
		m.crowd.hub.Carry(m.Handle(), pkt)
	}
}

// initiate begins a handshake unless there is a session, and repeats it as an edge
// does.
func (m *CrowdMember) initiate() {
	if m.Busy() || m.inits > 12 {
		return
	}
	m.inits++
	pkt, err := m.Initiate()
	m.Send(false, pkt, err)
	wait := 5 * time.Second
	if m.inits <= 3 {
		wait = time.Second << (m.inits - 1)
	}
	m.crowd.after(wait, m.initiate)
}

// handle takes a packet of the edge.
func (m *CrowdMember) handle(pkt []byte, direct bool) {
	if !m.here {
		return
	}
	got, err := m.Member.Handle(pkt)
	if m.fault(err) {
		return
	}
	if got.Reply != nil {
		m.Send(direct, got.Reply, nil)
	}
	if got.Began {
		m.introduce(direct)
	}
	if m.Hear != nil {
		m.Hear(got, direct)
	}
	if got.Inner != nil {
		m.handleInner(got.Inner, direct)
	}
}

// introduce says what every session begins with.
func (m *CrowdMember) introduce(direct bool) {
	var at netip.AddrPort
	if m.Direct {
		at = m.Addr()
	}
	m.Tell(direct, m.Introduction(m.name(), at)...)
}

// Tell sends the edge control messages in the session.
func (m *CrowdMember) Tell(direct bool, messages ...adversary.Message) {
	pkt, err := m.Say(messages...)
	m.Send(direct, pkt, err)
}

// speak sends the edge a frame, if there is a session.
func (m *CrowdMember) speak() {
	if m.Session != nil {
		pkt, err := m.SayFrame(m.frame(m.crowd.MAC))
		m.Send(m.Direct, pkt, err)
	}
}

func (m *CrowdMember) handleInner(inner []byte, direct bool) {
	in, err := protocol.ParseInner(inner)
	if err != nil {
		return
	}
	if in.Kind == protocol.KindFrame {
		m.answers.Add(1)
		return
	}
	if m.Silent {
		return
	}
	adversary.Messages(inner, func(typ protocol.MsgType, value []byte) {
		if typ == protocol.MsgPing {
			m.pong(value, direct)
		}
	})
}

func (m *CrowdMember) pong(value []byte, direct bool) {
	ping, err := protocol.ParsePing(value)
	if err != nil {
		return
	}
	var seen netip.AddrPort
	if direct {
		seen = crowdEdgeAddr
	}
	answer := ping.Pong(seen)
	answer.Highest, answer.Received = m.Session.Received()
	m.Tell(direct, answer.Append)
}

// MeetAgain has it make another session, whatever it has.
func (m *CrowdMember) MeetAgain() {
	m.Forget()
	m.inits = 0
	m.Meet()
}
