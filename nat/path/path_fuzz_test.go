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
		p := newTestPath()
		m := model{t: t, p: p, now: epoch, asked: map[netip.AddrPort]bool{}, heard: map[netip.AddrPort]bool{}, proved: map[netip.AddrPort]bool{}}
		for len(script) >= 2 {
			m.step(script[0], script[1])
			script = script[2:]
			m.poll()
		}
		for range 200 { // whatever happened, it comes to rest or goes on
			if d := p.Deadline(); !d.IsZero() {
				m.now = d
				m.poll()
			}
		}
	})
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
	switch op % 15 {
	case 0:
		m.p.SetCandidates(m.now, uint32(arg), []address.Candidate{{Kind: address.CandidateKind(op / 15), Addr: a}, {Kind: address.KindReflexive, Addr: m.address(arg + 2)}, {Kind: address.KindHost, Addr: m.address(arg + 4)}})
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
		if m.p.Pong(m.now, nonce, a, a) && !m.asked[a] {
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
	}
}

func (m *model) poll() {
	out := m.p.Poll(m.now)
	for _, x := range out.Probes {
		if ok := m.p.policy.Probeable(x.To); !ok && (!m.p.policy.Possible(x.To) || x.TTL == 0 && !m.heard[x.To] && !m.proved[x.To]) {
			m.t.Fatalf("probe to %v", x.To)
		}
		m.asked[x.To] = true
	}
	m.pings = append(m.pings, out.Probes...)
	r := m.p.Route()
	switch {
	case r.Direct.IsValid() && !m.proved[r.Direct]:
		m.t.Fatalf("%v is used without a PONG", r.Direct)
	case !r.Direct.IsValid() && !r.Relay:
		m.t.Fatalf("no way at all: %+v", r)
	case r.Direct.IsValid() && r.MTU < pmtu.Minimum, !r.Direct.IsValid() && (r.MTU != 0 || r.RTT != 0):
		m.t.Fatalf("%+v", r)
	case (r.State == StateDirect || r.State == StateSuspect) != r.Direct.IsValid():
		m.t.Fatalf("%+v", r)
	case len(m.p.remotes) > address.MaxCandidates+maxLearnt+2 || len(m.p.pings) > maxPings:
		m.t.Fatalf("%d addresses, %d pings", len(m.p.remotes), len(m.p.pings))
	}
	if d := m.p.Deadline(); !d.IsZero() && !d.After(m.now) {
		m.t.Fatalf("deadline %v at %v", d, m.now)
	}
}
