package dataplane

import (
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/tap"
)

// gated makes a member of a rig a bridge.
func gated(r *rig, m *member, carries bool) *bridge.Gate {
	m.guard.gate = bridge.NewGate([32]byte{m.self[5]}, r.community.Tag(), carries)
	key := r.community.ProbeKey(r.community.Epochs[0])
	m.guard.gate.SetKeys(&[256]*[32]byte{7: &key})
	return m.guard.gate
}

// bpdu is a spanning tree's message that the topology has changed, from a device.
func bpdu(src protocol.MAC) []byte {
	f := append([]byte{1, 0x80, 0xc2, 0, 0, 0}, src[:]...)
	return append(f, 0, 7, 0x42, 0x42, 3, 0, 0, 0, 0x80)
}

// TestGate: which frames pass a bridge that forwards, and one that stands by.
func TestGate(t *testing.T) {
	for _, c := range []struct {
		name         string
		dst, src     func(a, b *member) protocol.MAC // a is the bridge
		out          bool
		open, closed bool // passes
	}{
		{"of the device to a peer", peerOf, selfOf, true, true, true},
		{"of the device to all", broadcastOf, selfOf, true, true, false},
		{"of the device to nobody known", strangerOf, selfOf, true, true, false},
		{"of a host to a peer", peerOf, hostOf, true, true, false},
		{"of a host to all", broadcastOf, hostOf, true, true, false},
		{"of a host, a probe's address", probeOf, hostOf, true, false, false},
		{"to the device", selfOf, peerOf, false, true, true},
		{"to all", broadcastOf, peerOf, false, true, false},
		{"to a host", hostOf, peerOf, false, true, false},
		{"to a host of a host", hostOf, strangerOf, false, true, false},
		{"to a probe's address", probeOf, peerOf, false, false, false},
	} {
		for _, open := range []bool{true, false} {
			r, a, b := pair(t)
			gated(r, a, false).Set(open)
			frame := ethernet(c.dst(a, b), c.src(a, b), protocol.EtherTypeIPv4, 60)
			want := open && c.open || !open && c.closed
			got := 0
			if c.out {
				a.send(r.now, frame)
				got = len(a.conn.take())
			} else {
				b.send(r.now, frame)
				r.carry()
				got = len(a.device.take())
			}
			if (got > 0) != want {
				t.Errorf("a frame %s, open=%v: %d pass; dropped %v", c.name, open, got, a.drops.nonzero())
			}
			if !want && len(a.drops.nonzero()) != 1 {
				t.Errorf("a frame %s, open=%v: dropped %v", c.name, open, a.drops.nonzero())
			}
			if hosts, _ := a.fdb.Len(); !open && hosts != 0 {
				t.Errorf("a frame %s: %d hosts were learned while the bridge stands by", c.name, hosts)
			}
		}
	}
}

func selfOf(a, _ *member) protocol.MAC      { return a.self }
func peerOf(_, b *member) protocol.MAC      { return b.self }
func hostOf(_, _ *member) protocol.MAC      { return host(1) }
func strangerOf(_, _ *member) protocol.MAC  { return host(2) }
func broadcastOf(_, _ *member) protocol.MAC { return protocol.Broadcast }
func probeOf(_, _ *member) protocol.MAC     { return protocol.ProbeGroup }

// TestProbesAndTrees: a probe of a member and a change of topology are told of, whatever
// the state, and neither passes where it must not.
func TestProbesAndTrees(t *testing.T) {
	for _, carries := range []bool{true, false} {
		r, a, b := pair(t)
		gate := gated(r, a, carries)
		s := bridge.Prober{Identity: crypto.NewIdentity([32]byte{9}), CID: r.community.ID(), Tag: r.community.Tag(), Device: host(3), Boot: 1}
		frame := s.Frame(protocol.Probe{State: protocol.ProbeForwarding, Rank: protocol.ProbeRank{ID: [32]byte(s.Identity.ID)}}, 7, r.community.ProbeKey(r.community.Epochs[0]))
		a.send(r.now, frame)
		if evs := a.events(); len(evs) != 1 || evs[0].(ProbeHeard).Frame == nil || len(a.conn.take()) != 0 {
			t.Fatalf("%+v", evs)
		}
		gate.Set(true)
		a.send(r.now, bpdu(a.self))
		a.send(r.now, bpdu(a.self)) // it is told of once a second
		passed := 0
		for _, d := range a.conn.take() {
			passed++
			r.deliver(a, d)
		}
		b.device.take()
		changes := 0
		for _, ev := range a.events() {
			if c, ok := ev.(TopologyChanged); ok && c.From == nil {
				changes++
			}
		}
		if carries != (passed == 2) || carries != (changes == 1) || carries != (a.drops.Count(DropBPDU) == 0) {
			t.Errorf("carries=%v: %d pass, %d are told, dropped %v", carries, passed, changes, a.drops.nonzero())
		}
		b.send(r.now, bpdu(b.self))
		r.carry()
		if got := len(a.device.take()); carries != (got == 1) {
			t.Errorf("carries=%v: %d come in", carries, got)
		}
	}
}

// TestFrameOfAStandby: the forwarder of a segment may send frames of the device of the
// bridge that stands by there, and nobody else may.
func TestFrameOfAStandby(t *testing.T) {
	r := newRig(t, 3)
	a, standby, forwarder := r.members[0], r.members[1], r.members[2]
	for _, m := range []*member{standby, forwarder} {
		r.join(a, m)
		r.direct(a, m)
	}
	frame := ethernet(a.self, standby.self, protocol.EtherTypeIPv4, 60)
	send := func() int {
		forwarder.send(r.now, frame)
		r.carry()
		return len(a.device.take())
	}
	if send() != 0 {
		t.Error("it came though nobody stands by")
	}
	a.view[standby].SetBehind(a.view[forwarder])
	if send() != 1 || a.Stations().Hosts(a.view[forwarder]) != 0 {
		t.Errorf("dropped %v, learned %d", a.drops.nonzero(), a.Stations().Hosts(a.view[forwarder]))
	}
	a.view[standby].SetBehind(nil)
	if send() != 0 {
		t.Error("it came though nobody stands by any more")
	}
}

// TestMovedHosts moves and forgets the hosts behind peers.
func TestMovedHosts(t *testing.T) {
	r := newRig(t, 3)
	a, b, c := r.members[0], r.members[1], r.members[2]
	for _, m := range []*member{b, c} {
		r.join(a, m)
		r.direct(a, m)
	}
	for n := range byte(10) {
		b.send(r.now, ethernet(a.self, host(n), protocol.EtherTypeIPv4, 60))
		c.send(r.now, ethernet(a.self, host(100+n), protocol.EtherTypeIPv4, 60))
	}
	r.carry()
	check := func(what string, behindB, behindC int) {
		t.Helper()
		if x, y := a.Stations().Hosts(a.view[b]), a.Stations().Hosts(a.view[c]); x != behindB || y != behindC {
			t.Errorf("%s: %d hosts are behind b and %d behind c, want %d and %d", what, x, y, behindB, behindC)
		}
	}
	check("learned", 10, 10)
	a.MoveHosts(r.now, a.view[b], a.view[c])
	check("moved", 0, 20)
	b.send(r.now, ethernet(a.self, host(50), protocol.EtherTypeIPv4, 60))
	r.carry()
	a.ForgetHostsBut(a.view[b])
	check("all but b's are forgotten", 1, 0)
	a.ForgetHosts(a.view[b])
	check("forgotten", 0, 0)
}

// TestNoAllocationsOfABridge: a bridge's frames cost no memory either, passed or dropped.
func TestNoAllocationsOfABridge(t *testing.T) {
	r, a, b := pair(t)
	a.conn.discard = true
	gate := gated(r, a, false)
	for name, c := range map[string]struct {
		frame []byte
		open  bool
	}{
		"of a host":                {ethernet(b.self, host(1), protocol.EtherTypeIPv4, 60), true},
		"of a host, standing by":   {ethernet(b.self, host(1), protocol.EtherTypeIPv4, 60), false},
		"flooded":                  {ethernet(protocol.Broadcast, host(1), protocol.EtherTypeIPv4, 60), true},
		"a probe of another kind":  {ethernet(protocol.ProbeGroup, host(1), protocol.EtherTypeProbe, 300), true},
		"a BPDU":                   {bpdu(a.self), true},
		"of the device, to a peer": {ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60), false},
	} {
		gate.Set(c.open)
		buf := make([]byte, bufferLen)
		table, now := a.table.Load(), a.Since(r.now.Add(time.Second))
		f := &tap.Frame{Buf: buf, Off: headroom, Len: len(c.frame)}
		if n := testing.AllocsPerRun(runs, func() {
			copy(buf[headroom:], c.frame)
			a.out.sendFrame(table, now, f)
			a.out.endBurst()
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestTaggedProbes: a probe in a VLAN that is carried counts, and one in another does not;
// the VLANs of hosts are those in which probes are sent, while another bridge forwards, too.
func TestTaggedProbes(t *testing.T) {
	for vlan, carried := range map[uint16]bool{0: true, 9: false, 10: true} {
		r, a, _ := pair(t)
		gate := gated(r, a, false)
		list := new(bridge.VLANs)
		list.Add(10)
		a.guard.filter = bridge.Filter{VLANs: list}
		id := crypto.NewIdentity([32]byte{77})
		s := bridge.Prober{Identity: id, CID: r.community.ID(), Tag: r.community.Tag(), Boot: 1}
		probe := s.Frame(protocol.Probe{State: protocol.ProbeForwarding, Rank: protocol.ProbeRank{ID: [32]byte(id.ID)}}, 7, r.community.ProbeKey(r.community.Epochs[0]))
		if vlan != 0 {
			probe = protocol.AppendTagged(nil, probe, protocol.EtherTypeVLAN, vlan)
		}
		a.send(r.now, probe)
		a.send(r.now, inVLAN(protocol.Broadcast, protocol.MAC{2, 9, 9, 9, 9, 9}, vlan))
		heard := 0
		for len(a.mailbox.known) > 0 {
			if _, ok := (<-a.mailbox.known).(ProbeHeard); ok {
				heard++
			}
		}
		if (heard == 1) != carried || len(a.conn.take()) != 0 {
			t.Errorf("VLAN %d: %d probes were heard", vlan, heard)
		}
		if got := gate.Tags().Next(1); (len(got) == 1) != (vlan == 10) {
			t.Errorf("VLAN %d: probes go to %v", vlan, got)
		}
		if !carried && a.drops.Count(DropVLAN) != 1 {
			t.Error("not counted")
		}
	}
}
