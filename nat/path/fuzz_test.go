package path

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/nat/address"
	"hedgerow/nat/pmtu"
)

// FuzzPath feeds a path any order of inputs and checks what must always hold.
func FuzzPath(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add([]byte{8, 3, 0, 1, 9, 2, 10, 5, 4, 10, 5, 10, 5, 11, 60, 11, 200, 10, 5, 12, 0})
	f.Add([]byte("a long life of a path with many events in it, and then some more of them"))
	f.Fuzz(func(t *testing.T, script []byte) {
		m := newModel(t)
		for len(script) >= 2 {
			m.step(script[0], script[1])
			m.checkReported()
			script = script[2:]
			m.poll()
		}
		for range 200 { // whatever happened, it comes to rest or goes on
			if d := m.p.Deadline(); !d.IsZero() {
				m.now = d
				m.poll()
			}
		}
	})
}

// patterns are NATs of all classes.
var patterns = []address.Pattern{
	{Mapping: address.MappingEndpointIndependent},
	{Mapping: address.MappingAddressAndPortDependent, Ports: []uint16{5000, 5001, 5002}},
	{Mapping: address.MappingAddressAndPortDependent, Ports: []uint16{5000, 5900, 5400}},
	{Mapping: address.MappingAddressAndPortDependent, Ports: []uint16{5000, 60000, 33333}},
}

// model is what a path's owner knows.
type model struct {
	t      *testing.T
	p      *Machine
	now    time.Time
	pings  []Probe
	asked  map[netip.AddrPort]bool
	heard  map[netip.AddrPort]bool
	proved map[netip.AddrPort]bool
	state  State            // as the transitions say
	seen   map[[2]State]int // transitions, if somebody counts them
}

func newModel(t *testing.T) *model {
	return &model{t: t, p: newTestPath(), now: epoch, asked: map[netip.AddrPort]bool{}, heard: map[netip.AddrPort]bool{}, proved: map[netip.AddrPort]bool{}}
}

// checkReported checks that the change of state that an input made, if any, waits for
// the next Poll with its reason.
func (m *model) checkReported() {
	if r := &m.p.reported; r.state != m.p.state() || r.selected != m.p.selection.remote {
		m.t.Fatalf("%v is reported, %v is derived; or another address", r.state, m.p.state())
	}
}

// follow checks that transitions lead from the state that was known to the present
// one, with a reason each.
func (m *model) follow(list []Transition) {
	for _, x := range list {
		if x.From != m.state || x.Why == "" || x.From == x.To && x.To != StateDirect && x.To != StateSuspect {
			m.t.Fatalf("in state %v: %+v", m.state, x)
		}
		m.state = x.To
		if m.seen != nil {
			m.seen[[2]State{x.From, x.To}]++
		}
	}
	if s := m.p.Route().State; s != m.state {
		m.t.Fatalf("the transitions end in %v, the state is %v: %+v", m.state, s, list)
	}
}

func (m *model) address(arg byte) netip.AddrPort {
	switch {
	case arg&15 == 6:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, arg >> 4}), 5060)
	case arg&1 == 0:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, arg >> 4}), 4000+uint16(arg))
	}
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: arg}), 4000)
}

func (m *model) step(op, arg byte) {
	a := m.address(arg)
	switch op % 17 {
	case 0:
		m.p.SetCandidates(m.now, uint32(arg), []address.Candidate{{Kind: address.CandidateKind(op / 17), Addr: a}, {Kind: address.KindReflexive, Addr: m.address(arg + 2)}, {Kind: address.KindHost, Addr: m.address(arg + 4)}})
	case 1:
		m.p.Punch(m.now, a, time.Duration(op)*10*time.Millisecond)
	case 2:
		m.p.Received(m.now, a)
		m.heard[a] = true
	case 3, 4:
		if len(m.pings) == 0 {
			return
		}
		x := m.pings[int(arg)%len(m.pings)]
		if m.p.Pong(m.now, x.Nonce, x.To, a) {
			m.proved[x.To] = true
		}
	case 5:
		var nonce [8]byte
		if len(m.pings) > 0 {
			nonce = m.pings[0].Nonce
		}
		// The pings of a technique share a nonce, and are answered from ports that
		// nobody could name. Such an answer makes a candidate.
		technique := m.p.hardNAT.running() && nonce == m.p.hardNAT.nonce
		switch ok := m.p.Pong(m.now, nonce, a, a); {
		case ok && technique:
			m.heard[a] = true
		case ok && !m.asked[a]:
			m.t.Fatalf("%v answered a ping that never went there", a)
		}
		m.proved[a] = m.proved[a] || m.asked[a]
	case 6:
		m.p.Used(m.now)
	case 7:
		m.p.SendFailed(m.now, a)
	case 8:
		m.p.Reset(m.now)
	case 9:
		m.now = m.now.Add(time.Duration(arg) * time.Millisecond)
	case 10:
		m.now = m.now.Add(time.Duration(arg) * time.Second)
	case 11:
		if d := m.p.Deadline(); d.After(m.now) {
			m.now = d
		}
	case 12:
		m.p.TooBig(m.now, a)
	case 13:
		m.p.Agreed(m.now, m.now.Add(time.Duration(arg)*20*time.Millisecond))
	case 14:
		m.p.Keep(m.now)
	case 15:
		m.p.Roamed(m.now)
	case 16:
		m.p.Arrange(m.now, m.now, patterns[int(arg)%len(patterns)], patterns[int(arg/8)%len(patterns)])
	}
}

func (m *model) poll() {
	out := m.p.Poll(m.now)
	for _, x := range out.Probes {
		if ok := m.p.prober.policy.Probeable(x.To); !ok && (m.p.prober.policy.ReplyRefusal(x.To) != address.Allowed || x.TTL == 0 && !m.heard[x.To] && !m.proved[x.To]) {
			m.t.Fatalf("probe to %v", x.To)
		}
		m.asked[x.To] = true
	}
	m.pings = append(m.pings, out.Probes...)
	m.pings = m.pings[max(0, len(m.pings)-32):] // the older ones are hardly worth an answer
	m.checkReported()
	m.follow(out.Transitions)
	r := m.p.Route()
	switch {
	case r.Direct.IsValid() && !m.proved[r.Direct]:
		m.t.Fatalf("%v is used without a PONG", r.Direct)
	case !r.Direct.IsValid() && !r.Relay:
		m.t.Fatalf("no path at all: %+v", r)
	case r.Direct.IsValid() && r.MTU < pmtu.Minimum, !r.Direct.IsValid() && (r.MTU != 0 || r.RTT != 0):
		m.t.Fatalf("%+v", r)
	case (r.State == StateDirect || r.State == StateSuspect) != r.Direct.IsValid():
		m.t.Fatalf("%+v", r)
	case len(m.p.remotes.list) > address.MaxCandidates+maxLearnt+2 || len(m.p.prober.pings) > maxPings:
		m.t.Fatalf("%d addresses, %d pings", len(m.p.remotes.list), len(m.p.prober.pings))
	}
	if d := m.p.Deadline(); !d.IsZero() && !d.After(m.now) {
		m.t.Fatalf("deadline %v at %v", d, m.now)
	}
}
