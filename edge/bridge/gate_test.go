package bridge

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// prober returns what makes the probes of the bridge with a number, in a community, and
// the key that they are sealed under.
func prober(c *crypto.Community, n byte) (*Prober, [32]byte) {
	id := crypto.NewIdentity([32]byte{n})
	return &Prober{Identity: id, CID: c.ID(), Tag: c.Tag(), Device: protocol.MAC{2, 0, 0, 0, 0, n}, Boot: 1000}, c.ProbeKey(c.Epochs[0])
}

func community(n byte) *crypto.Community {
	return &crypto.Community{Name: "tests", Secret: [32]byte{n}, Epochs: []crypto.Epoch{{Index: 7, Key: [32]byte{n, 2}}}}
}

// probeVector is what stands behind the flags of the first probe of bridge 2.
const probeVector = "7129d7f400000000000003e80000000107000009000000006b79c57e6a095239282c04818e96112f3f03a4001ba97a564c23852a3f1ea5fcc4182229810ec24f" +
	"01961216cac1b8f1af41ef78de7398b335a2e951f73c45090000000000000000000000000000000000000000000000000000000000000000e4ab70ec0dd1ab52" +
	"c8d475bdbb9d0fe19654fd192c5d9f410b3709af41e933e43ecf3cdb0ebe81d78a1d6b2173bf6c6704cbb667141d7406a7c3006424c06502515a7b03722ccac4" +
	"0e5f4a19fed5037b"

// gateOf returns the gate of the bridge with number 1.
func gateOf(c *crypto.Community) *Gate {
	g := NewGate([32]byte(crypto.NewIdentity([32]byte{1}).ID), c.Tag(), false)
	key := c.ProbeKey(c.Epochs[0])
	g.SetKeys(&[256]*[32]byte{7: &key})
	return g
}

// probe makes a frame.
func (s *Prober) probe(key [32]byte) protocol.Frame {
	return s.Frame(protocol.Probe{State: protocol.ProbeForwarding, Rank: protocol.ProbeRank{Priority: 9, ID: [32]byte(s.Identity.ID)}}, 7, key)
}

// TestProbeVector holds that a probe is these bytes: an Ed25519 signature and a MAC of
// another program are to agree with it (PROTOCOL.md, section 12).
func TestProbeVector(t *testing.T) {
	s, key := prober(community(1), 2)
	frame := s.probe(key)
	const want = "036865646765" + "420000000002" + "88b5" + "68677072" + "01" + "02" + "0000" + probeVector
	if got := hex.EncodeToString(frame); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
	p, err := protocol.ParseProbe(frame)
	body := protocol.ProbeBody(frame)
	if err != nil || p.Tag != s.Tag || p.Boot != 1000 || p.Seq != 1 || p.KI != 7 || p.Static != s.Identity.Static || p.Rank.Priority != 9 {
		t.Errorf("%+v, %v", p, err)
	}
	if !crypto.VerifyProbe(p.Rank.ID, s.CID, body[:protocol.ProbeSigned], p.Signature) || !crypto.ProbeAuthentic(key, body[:protocol.ProbeSealed], p.MAC) {
		t.Error("it is not authentic")
	}
}

// TestHear: what is no probe of a member that was not there before is not told of.
func TestHear(t *testing.T) {
	c, other := community(1), community(3)
	s, key := prober(c, 2)
	stranger, strangerKey := prober(other, 4)
	member, _ := prober(c, 5)
	own, _ := prober(c, 1)
	g := gateOf(c)
	first, second := s.probe(key), s.probe(key)
	longer := append(s.probe(key), 1, 2, 3)
	later := s.probe(key)
	later[protocol.EthernetLen+4]++
	for _, step := range []struct {
		what  string
		frame protocol.Frame
		want  error
	}{
		{"a probe", first, nil},
		{"with more behind it", longer, nil},
		{"its own", own.probe(key), ErrProbeOwn},
		{"another community's", stranger.probe(strangerKey), ErrProbeForeign},
		{"another community's key", stranger.probe(key), ErrProbeForeign},
		{"an old epoch's key", member.probe([32]byte{9}), ErrProbeForeign},
		{"an epoch that is not received", member.Frame(protocol.Probe{State: 1}, 8, key), ErrProbeForeign},
		{"a later version", later, ErrProbeForeign},
		{"too short", second[:60], ErrProbeForeign},
		{"another type", append(append(second[:12:12], 0x88, 0xb6), second[14:]...), ErrProbeForeign},
	} {
		if got := g.Hear(1, step.frame); !errors.Is(got, step.want) {
			t.Errorf("%s: %v, want %v", step.what, got, step.want)
		}
	}
	for at := range second {
		flipped := append(protocol.Frame(nil), second...)
		flipped[at] ^= 1
		source := at >= 6 && at < 12 // the only part that says nothing
		if err := g.Hear(int64(at)*int64(time.Second), flipped); (err == nil || errors.Is(err, ErrProbeCopy)) != source {
			t.Fatalf("byte %d: %v", at, err)
		}
	}
	if g.Reflected() != 1 {
		t.Error("its own probe was not noticed")
	}
	p, _ := protocol.ParseProbe(second)
	if !g.Verified(&p) || g.Verified(&p) {
		t.Error("a probe counts once")
	}
	if err := g.Hear(1<<40, second); !errors.Is(err, ErrProbeCopy) {
		t.Errorf("the same: %v", err)
	}
	if err := g.Hear(1<<40, first); !errors.Is(err, ErrProbeOld) {
		t.Errorf("an earlier one: %v", err)
	}
	s.Boot, s.seq = 1001, 0
	if err := g.Hear(1<<40, s.probe(key)); err != nil {
		t.Errorf("after a restart: %v", err)
	}
}

// TestProbeRate: a flood of probes of others keeps nobody from being heard.
func TestProbeRate(t *testing.T) {
	c := community(1)
	s, key := prober(c, 2)
	g := gateOf(c)
	p, _ := protocol.ParseProbe(s.probe(key))
	g.Verified(&p)
	passed := 0
	for i := range 1000 {
		other, _ := prober(c, byte(10+i%200))
		if g.Hear(int64(i)*int64(time.Millisecond), other.probe(key)) == nil {
			passed++
		}
		if i%500 == 0 {
			if err := g.Hear(int64(i)*int64(time.Millisecond), s.probe(key)); err != nil {
				t.Errorf("the known one: %v", err)
			}
		}
	}
	if passed < 30 || passed > 45 {
		t.Errorf("%d of 1000 a second are looked at", passed)
	}
	for i := range 1000 {
		var p protocol.Probe
		p.Rank.ID = [32]byte{byte(i), byte(i >> 8)}
		g.Verified(&p)
	}
	if len(g.known) > 4*maxNeighbours {
		t.Errorf("%d are known", len(g.known))
	}
}

// TestGateCarries: BPDUs pass if they are to, and a change of topology is noticed.
func TestGateCarries(t *testing.T) {
	bpdu := func(kind, flags byte) protocol.Frame {
		return append(append(protocol.Frame{1, 0x80, 0xc2, 0, 0, 0}, make([]byte, 6)...), 0, 38, 0x42, 0x42, 3, 0, 0, 2, kind, flags)
	}
	for _, c := range []struct {
		frame           protocol.Frame
		passes, changed bool
	}{
		{bpdu(bpduConfig, 0), true, false}, {bpdu(bpduConfig, 1), true, true}, {bpdu(bpduRapid, 0x7d), true, true},
		{bpdu(bpduRapid, 0x7c), true, false}, {bpdu(bpduTopologyChange, 0), true, true}, {bpdu(bpduTopologyChange, 0)[:21], true, true},
		{bpdu(bpduConfig, 1)[:21], true, false}, {bpdu(bpduConfig, 1)[:14], true, false}, {bpdu(7, 1), true, false},
	} {
		if passes, changed := NewGate([32]byte{}, 0, true).Carries(c.frame); passes != c.passes || changed != c.changed {
			t.Errorf("%x: %v %v", c.frame, passes, changed)
		}
		if passes, changed := NewGate([32]byte{}, 0, false).Carries(c.frame); passes || changed {
			t.Errorf("%x passes though BPDUs do not", c.frame)
		}
	}
	lldp := append(protocol.Frame{1, 0x80, 0xc2, 0, 0, 0xe}, make([]byte, 40)...)
	if passes, _ := NewGate([32]byte{}, 0, false).Carries(lldp); !passes {
		t.Error("LLDP does not pass")
	}
}

// FuzzHear gives a gate any frame.
func FuzzHear(f *testing.F) {
	c := community(1)
	s, key := prober(c, 2)
	f.Add([]byte(s.probe(key)))
	f.Add([]byte(s.probe(key)[:40]))
	g := gateOf(c)
	machine := NewForwarder(protocol.ProbeRank{Priority: 9})
	machine.Begin(noon)
	f.Fuzz(func(t *testing.T, b []byte) {
		frame := protocol.Frame(b)
		if frame.Valid() != nil {
			return
		}
		_ = g.Hear(1, frame)
		g.Carries(frame)
		if p, err := protocol.ParseProbe(frame); err == nil { // as if it had been authentic
			machine.Hear(noon, p)
			machine.Tick(noon)
			machine.Probe(noon)
			if at := machine.Deadline(noon); at.Before(noon.Add(-time.Second)) {
				t.Fatalf("the next deadline is %v", at)
			}
			if len(machine.neighbours) > maxNeighbours {
				t.Fatal("too many neighbours")
			}
		}
	})
}

// FuzzProbes has any probes heard at any time, of a few bridges: the machine stays in
// its bounds, and its deadline does not lie behind for ever.
func FuzzProbes(f *testing.F) {
	f.Add([]byte("0123456789abcdef0123456789abcdef"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, now := NewForwarder(protocol.ProbeRank{Priority: 3, ID: [32]byte{5}}), noon
		m.Begin(now)
		for ; len(b) >= 6; b = b[6:] {
			now = now.Add(time.Duration(b[0]) * 10 * time.Millisecond)
			m.Hear(now, protocol.Probe{
				State: protocol.ProbeState(b[1]%5 + 1), Rank: protocol.ProbeRank{Isolated: b[2]&64 != 0, Priority: uint16(b[2] & 7), ID: [32]byte{b[3] & 31}},
				Forwarder: protocol.ProbeRank{Priority: uint16(b[4] & 7), ID: [32]byte{b[4] >> 3}}, Age: uint16(b[5]) * 8,
			})
			m.Tick(now)
			m.Probe(now)
			if at := m.Deadline(now); at.Before(now) || at.After(now.Add(ProbeEvery)) {
				t.Fatalf("at %v the next deadline is %v", now, at)
			}
			if len(m.neighbours) > maxNeighbours {
				t.Fatal("too many neighbours")
			}
		}
		now = now.Add(time.Minute) // nobody is heard any more
		for range 200 {
			m.Tick(now)
			m.Probe(now)
			now = m.Deadline(now)
		}
		if state, _ := m.State(); state != Forwarding {
			t.Fatalf("alone it is %v", state)
		}
	})
}
