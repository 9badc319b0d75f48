package dataplane

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"hedgerow/protocol"
	"hedgerow/tap"
)

// stream is the group of these tests.
var stream = [4]byte{239, 1, 2, 3}

// toGroup returns a frame of UDP to the group, of n bytes of IP.
func toGroup(src protocol.MAC, n int) []byte {
	f := ethernet(protocol.MAC{1, 0, 0x5e, stream[1], stream[2], stream[3]}, src, protocol.EtherTypeIPv4, n)
	ip := f[protocol.EthernetLen:]
	clear(ip[:20])
	ip[0], ip[8], ip[9] = 0x45, 1, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(n))
	copy(ip[16:], stream[:])
	return f
}

// report returns the frame by which a host joins the group: IGMPv2.
func report(src protocol.MAC) []byte {
	f := toGroup(src, 28)
	ip := f[protocol.EthernetLen:]
	clear(ip[20:])
	ip[9], ip[20] = 2, 0x16
	copy(ip[24:], stream[:])
	sum := func(at int, b []byte) {
		s := uint32(0)
		for ; len(b) > 0; b = b[2:] {
			s += uint32(binary.BigEndian.Uint16(b))
		}
		binary.BigEndian.PutUint16(ip[at:], ^uint16(s>>16+s&0xffff))
	}
	sum(10, ip[:20])
	sum(22, ip[20:])
	return f
}

// town returns members who all have sessions with the first and whose memberships are
// known to it: the first of those by direct paths, the others through a supernode.
func town(tb testing.TB, n, direct int) (r *rig, a *member, others []*member) {
	r = newRig(tb, n+1)
	a, others = r.members[0], r.members[1:]
	for i, m := range others {
		r.join(a, m)
		if i < direct {
			r.direct(a, m)
		}
		a.view[m].Listener().SettleAt(1)
	}
	h := r.hub()
	h.direct[a] = others[:direct]
	leg := *a.links[h].hop.Load()
	leg.DirectSet = true
	a.links[h].SetRoute(leg)
	return r, a, others
}

// TestGroupsReachMembers has a frame to a group go to those who have joined, and to nobody
// else: one copy each on the wire, whichever way, and one through the supernode to all if
// they are many there.
func TestGroupsReachMembers(t *testing.T) {
	for _, c := range []struct {
		name      string
		n, direct int
		join      []int
		copies    int // datagrams that the sender sends
		others    int // who get the frame though they have not joined
	}{
		{"direct", 6, 6, []int{1, 4}, 2, 0},
		{"relayed", 8, 0, []int{2, 5}, 2, 0},
		{"both", 8, 4, []int{0, 7}, 2, 0},
		{"all", 4, 2, []int{0, 1, 2, 3}, 4, 0},
		{"many relayed", 10, 3, []int{0, 3, 4, 5, 6, 7}, 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, a, others := town(t, c.n, c.direct)
			data := toGroup(a.self, 300)
			a.send(r.now, data)
			if got := a.conn.take(); len(got) != 0 {
				t.Fatalf("%d datagrams although nobody has joined", len(got))
			}
			a.dropped(t, DropNoMember)
			for _, i := range c.join {
				others[i].send(r.now, report(others[i].self))
			}
			r.carry()
			if heard := len(a.device.take()); heard != 0 || a.drops.Count(DropReport) != uint64(len(c.join)) {
				t.Errorf("%d reports of old hosts are heard at a host", heard)
			}
			a.undrop()
			for _, m := range others {
				m.device.take()
			}
			a.send(r.now, data)
			if len(a.conn.sent) != c.copies {
				t.Errorf("%d datagrams, want %d", len(a.conn.sent), c.copies)
			}
			r.carry()
			surplus := 0
			for i, m := range others {
				got := len(m.device.take())
				if slices.Contains(c.join, i) {
					if got != 1 {
						t.Errorf("member %d got %d frames", i, got)
					}
				} else {
					surplus += got
				}
			}
			if surplus != c.others || len(a.drops.nonzero()) != 0 {
				t.Errorf("%d frames came to others, dropped %v", surplus, a.drops.nonzero())
			}
		})
	}
}

// TestGroupsReachTheUnknown has frames to a group go to those of whom it is not known what
// they have joined, and to everybody if the supernode knows more edges than we do.
func TestGroupsReachTheUnknown(t *testing.T) {
	r, a, others := town(t, 3, 1)
	got := func() (list []int) {
		a.send(r.now, toGroup(a.self, 300))
		r.carry()
		for i, m := range others {
			for range m.device.take() {
				list = append(list, i)
			}
		}
		return list
	}
	a.view[others[1]].Listener().SettleAt(0)
	if list := got(); !slices.Equal(list, []int{1}) {
		t.Errorf("one is unknown, and it came to %v", list)
	}
	a.Members().SetOthers(4)
	if list := got(); !slices.Equal(list, []int{0, 1, 2}) {
		t.Errorf("with an edge that we do not know it came to %v", list)
	}
	a.Members().SetOthers(3)
	a.view[others[1]].Listener().SettleAt(1)
	a.view[others[2]].SetRoute(Route{Session: a.entry[others[2]].session})
	others[0].send(r.now, report(others[0].self))
	r.carry()
	if list := got(); !slices.Equal(list, []int{0}) {
		t.Errorf("with one that no supernode knows it came to %v", list)
	}
}

// TestNoRelayToGroups has a member without a direct path get no frame through a
// supernode, but a path looked for, where frames may not pass one.
func TestNoRelayToGroups(t *testing.T) {
	r, a, others := town(t, 2, 1)
	for _, m := range others {
		m.send(r.now, report(m.self))
	}
	r.carry()
	a.events()
	a.bounds.noRelay = true
	a.send(r.now, toGroup(a.self, 300))
	if got := len(a.conn.take()); got != 1 {
		t.Errorf("%d datagrams", got)
	}
	if evs := a.events(); len(evs) != 1 || evs[0] != (Needed{a.view[others[1]]}) {
		t.Errorf("events %+v", evs)
	}
}

// TestGroupsInPieces has a long frame to some reach them whole.
func TestGroupsInPieces(t *testing.T) {
	r, a, others := town(t, 5, 2)
	others[0].send(r.now, report(others[0].self))
	others[4].send(r.now, report(others[4].self))
	r.carry()
	data := toGroup(a.self, 8000)
	a.send(r.now, data)
	r.carry()
	for i, m := range others {
		want := [][]byte{data}
		if i != 0 && i != 4 {
			want = nil
		}
		m.delivered(t, want)
	}
}

// toMembers returns a function that sends one frame to two of n edges, or to all.
func toMembers(tb testing.TB, n, direct int, all bool) (send func(), a *member) {
	r, a, others := town(tb, n, direct)
	for _, m := range []*member{others[0], others[n-1]} {
		m.send(r.now, report(m.self))
	}
	r.carry()
	a.undrop()
	a.conn.discard = true
	frame, buf := toGroup(a.self, 200), make([]byte, bufferLen)
	if all {
		copy(frame, protocol.Broadcast[:])
	}
	t, now := a.table.Load(), a.Since(r.now)
	f := &tap.Frame{Buf: buf, Off: headroom, Len: len(frame)}
	return func() {
		copy(buf[headroom:], frame)
		a.out.sendFrame(t, now, f)
		a.out.endBurst()
	}, a
}

// TestNoAllocationsForGroups holds that whom a frame goes to is found without memory.
func TestNoAllocationsForGroups(t *testing.T) {
	for _, direct := range []int{0, 10, 20} {
		send, a := toMembers(t, 20, direct, false)
		if n := testing.AllocsPerRun(runs, send); n != 0 {
			t.Errorf("%d direct: %v allocations per frame", direct, n)
		}
		if drops := a.drops.nonzero(); len(drops) != 0 {
			t.Errorf("%d direct: dropped %v", direct, drops)
		}
	}
}

// BenchmarkGroup is a frame to a group that two of 20 edges have joined, beside one to
// all of them, which needs nothing of that.
func BenchmarkGroup(b *testing.B) {
	for _, direct := range []int{0, 20} {
		for _, all := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d direct, broadcast=%v", direct, all), func(b *testing.B) {
				send, _ := toMembers(b, 20, direct, all)
				b.ReportAllocs()
				for b.Loop() {
					send()
				}
			})
		}
	}
}

// TestGroupsOfAnIsolatedCommunity has a hub send to the leaf that has joined, and to no
// other, in its session as it does with all floods.
func TestGroupsOfAnIsolatedCommunity(t *testing.T) {
	yards(t, func(t *testing.T, r *rig, hub, a, b *member) {
		for _, leaf := range []*member{a, b} {
			hub.view[leaf].Listener().SettleAt(1)
		}
		b.send(r.now, report(b.self))
		r.carry()
		data := toGroup(hub.self, 300)
		hub.send(r.now, data)
		r.carry()
		a.delivered(t, nil)
		b.delivered(t, [][]byte{data})
	})
}
