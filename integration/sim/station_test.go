package sim

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/bridge"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// village is three LANs behind bridging edges, and a station on each of them: the owner
// of an address on the first, somebody else on the second, and who talks to the owner on
// the third.
type village struct {
	*World
	lans                [3]*Segment
	edges               [3]*Edge
	owner, other, third *Station
	asked               uint64
}

func newVillage(t *testing.T, seed uint64, size bridge.Size) *village {
	return newVillageOf(t, seed, size, NewStation(1), NewStation(2), NewStation(3))
}

func newVillageOf(t *testing.T, seed uint64, size bridge.Size, owner, other, third *Station) *village {
	v := &village{World: New(t, seed), owner: owner, other: other, third: third}
	sn := v.Supernode(supernodeAddr)
	stations := []*Station{v.owner, v.other, v.third}
	for i := range v.lans {
		l := NewSegment()
		router := v.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), nattest.FullCone)
		o := Options{Name: fmt.Sprintf("edge%d", i+1), Supernodes: []*Supernode{sn}, Ethernet: edge.Ethernet{Bridge: true, Stations: size}}
		l.Attach(&o)
		v.edges[i] = v.Edge(router.Host(netip.MustParseAddr("192.168.1.2")), o)
		v.lans[i] = l
		stations[i].Attach(l)
	}
	t.Cleanup(func() {
		for _, e := range v.edges {
			e.Stop()
		}
		sn.Stop()
	})
	time.Sleep(2 * time.Second)
	for _, e := range v.edges { // a session for each pair
		for _, other := range v.edges {
			if e != other {
				e.Send(other.MAC, number(1))
			}
		}
	}
	time.Sleep(2 * time.Second)
	for _, s := range stations {
		s.Announce()
	}
	time.Sleep(100 * time.Millisecond)
	v.third.Ask(v.owner, 0) // the first is not counted
	time.Sleep(time.Second)
	if v.third.Answered() != 1 {
		t.Fatal("the owner does not answer")
	}
	return v
}

// talk has the third station ask the owner for a time, and returns how many times.
func (v *village) talk(d, every time.Duration) (n int) {
	for end := time.Now().Add(d); time.Now().Before(end); n++ {
		v.asked++
		v.third.Ask(v.owner, v.asked)
		time.Sleep(every)
	}
	return n
}

// flushed is how long frames and their answers are on their way.
const flushed = 500 * time.Millisecond

// A host claims the address of one behind another edge, by broadcasts and by frames to
// whoever talks with the owner. The owner loses next to nothing, however often it is
// talked to, and its own LAN never hears its address from elsewhere.
func TestStationClaimed(t *testing.T) {
	for _, rate := range some(10, 1000) {
		for _, every := range []time.Duration{10 * time.Millisecond, time.Second, 7 * time.Second} {
			t.Run(fmt.Sprintf("%d a second, asked every %v", rate, every), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := newVillage(t, 1, bridge.Size{})
					done := make(chan bool)
					go func() { claim(v, rate, done) }()
					const long = 70 * time.Second // twice as long as a station is held, and more
					n := v.talk(long, every)
					close(done)
					time.Sleep(flushed)
					if lost := v.lost(1); lost*100 > n {
						t.Errorf("the owner lost %d of %d frames", lost, n)
					}
					if got := v.lans[0].From(v.owner.MAC); got != 0 {
						t.Errorf("the owner's LAN got %d frames with its address", got)
					}
					if at, contested := v.at(t, v.owner); at != "edge1" || contested == 0 {
						t.Errorf("the owner is behind %q, %d contests", at, contested)
					}
				})
			})
		}
	}
}

// at returns behind which edge the third one has a station, and how many claims were
// contested there.
func (v *village) at(t *testing.T, s *Station) (edge string, contested uint64) {
	fdb, err := v.edges[2].Edge.FDB(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range fdb.Stations {
		if e.MAC == s.MAC.String() {
			edge = e.Edge
		}
	}
	return edge, fdb.Totals.Contested
}

// claim has the other station send in the owner's name until done is closed.
func claim(v *village, rate int, done <-chan bool) {
	thief := NewStation(1)
	thief.IP = v.other.IP // it does not answer for the owner
	thief.Attach(v.lans[1])
	defer thief.Attach(nil)
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		case <-time.After(time.Second / time.Duration(rate)):
		}
		to := protocol.Broadcast
		if i%2 == 1 {
			to = v.third.MAC
		}
		thief.Say(to, number(uint64(i)))
	}
}

// A station that is plugged in elsewhere and says so is reached there within a second,
// and its old LAN learns where it is.
func TestStationMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, 2, bridge.Size{})
		v.talk(5*time.Second, 20*time.Millisecond)
		for round, to := range []*Segment{v.lans[1], v.lans[0], v.lans[1]} {
			before := v.lans[0].From(v.owner.MAC)
			v.owner.Attach(to)
			v.owner.Announce()
			first := v.asked + 1
			moved := time.Now()
			v.talk(5*time.Second, 20*time.Millisecond)
			time.Sleep(flushed)
			if after := v.until(first, moved); after > time.Second {
				t.Errorf("move %d: reached after %v", round, after)
			}
			if round != 1 && v.lans[0].From(v.owner.MAC) == before {
				t.Errorf("move %d: the old LAN does not know", round)
			}
			v.talk(10*time.Second, time.Second)
		}
	})
}

// lost returns how many frames did not reach the owner, from a number on.
func (v *village) lost(first uint64) (n int) {
	for i := first; i <= v.asked; i++ {
		if v.owner.Got(i).IsZero() {
			n++
		}
	}
	return n
}

// until returns how long after a time the owner was reached, by the frames from a number
// on, and every one from then on came.
func (v *village) until(first uint64, from time.Time) (after time.Duration) {
	for n := v.asked; n >= first; n-- {
		at := v.owner.Got(n)
		if at.IsZero() {
			break
		}
		after = at.Sub(from)
	}
	if v.owner.Got(v.asked).IsZero() {
		return time.Hour
	}
	return after
}

// A station that is plugged in elsewhere and says nothing is found within 5 s, although the
// switch there has heard it from the edge: by its IPv4 address, or if it has IPv6 alone by
// that; by whoever talked with it, behind a third edge, on the LAN where it is now, or on the one that
// it has left.
func TestStationMovesSilently(t *testing.T) {
	for name, make := range map[string]func(n byte) *Station{"IPv4": NewStation, "IPv6 alone": NewStation6} {
		for where, lan := range map[string]int{"a third LAN": 2, "its new LAN": 1, "its old LAN": 0} {
			t.Run(name+", talked to from "+where, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					v := newVillageOf(t, 3, bridge.Size{}, make(1), make(2), make(3))
					v.third.Attach(v.lans[lan])
					v.third.Announce()
					v.talk(5*time.Second, 50*time.Millisecond)
					v.owner.Attach(v.lans[1])
					first, moved := v.asked+1, time.Now()
					v.talk(10*time.Second, 50*time.Millisecond)
					time.Sleep(flushed)
					after := v.until(first, moved)
					t.Logf("found after %v", after)
					if after > 5*time.Second {
						t.Error("too late")
					}
				})
			})
		}
	}
}

// Nobody is looked for who answers, or who nobody talks to: the LANs hear no question of
// an edge.
func TestStationsNotSought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, 7, bridge.Size{})
		v.talk(20*time.Second, time.Second)
		v.edges[2].Kill() // it has to learn where everybody is
		v.edges[2].Start()
		time.Sleep(5 * time.Second)
		v.talk(20*time.Second, time.Second)
		for i, e := range v.edges {
			if n := v.lans[i].From(e.MAC); n != 0 {
				t.Errorf("LAN %d got %d questions", i, n)
			}
		}
	})
}

// A host that sends to addresses that nobody has makes the bridges ask their LANs for few
// of them.
func TestSeekingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, 8, bridge.Size{})
		const long = 20
		for range long * 100 {
			for n := range byte(3) {
				v.third.Ask(NewStation(100+n+byte(v.asked%30)*3), v.asked)
			}
			v.asked++
			time.Sleep(10 * time.Millisecond)
		}
		for i, e := range v.edges {
			n := v.lans[i].From(e.MAC)
			t.Logf("LAN %d was asked %d times", i, n)
			if n == 0 || n > 10+5*long {
				t.Errorf("LAN %d was asked %d times", i, n)
			}
		}
	})
}

// The same if its old edge has died and cannot be asked.
func TestStationLeavesDeadEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, 6, bridge.Size{})
		v.talk(5*time.Second, 50*time.Millisecond)
		v.edges[0].Kill()
		v.owner.Attach(v.lans[1])
		first, moved := v.asked+1, time.Now()
		v.talk(10*time.Second, 50*time.Millisecond)
		time.Sleep(flushed)
		if after := v.until(first, moved); after > 5*time.Second {
			t.Errorf("found after %v", after)
		}
		v.edges[0].Start()
	})
}

// A station that moves behind an edge of which nothing more is learned loses one frame
// at most once it has spoken.
func TestStationMovesToFullEdge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, 4, bridge.Size{All: 64, Behind: bridge.MinSize})
		for n := range byte(2 * bridge.MinSize) { // they fill what is learned of the second edge
			s := NewStation(100 + n)
			s.Attach(v.lans[1])
			s.Announce()
			time.Sleep(time.Millisecond)
		}
		v.talk(2*time.Second, 50*time.Millisecond)
		v.owner.Attach(v.lans[1])
		v.owner.Say(v.third.MAC, number(1))
		time.Sleep(flushed / 10)
		first := v.asked + 1
		n := v.talk(5*time.Second, 50*time.Millisecond)
		time.Sleep(flushed)
		if lost := v.lost(first); lost > 1 {
			t.Errorf("%d of %d frames were lost", lost, n)
		}
	})
}

// A hostile host that claims every address it knows has few of them asked about, and
// nobody loses a frame.
func TestStationsAllClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVillage(t, 5, bridge.Size{})
		for n := range byte(200) {
			s := NewStation(20 + n)
			s.Attach(v.lans[0])
			s.Announce()
		}
		time.Sleep(time.Second)
		thief := NewStation(0)
		thief.Attach(v.lans[1])
		mac := thief.MAC
		for round := range 20 {
			for n := range byte(220) {
				mac[5] = n
				if n != v.third.MAC[5] && n != v.other.MAC[5] {
					thief.send(Frame(protocol.Broadcast, mac, binary.BigEndian.AppendUint64(nil, uint64(round))))
				}
			}
			v.talk(500*time.Millisecond, 50*time.Millisecond)
		}
		time.Sleep(flushed)
		if lost := v.lost(1); lost != 0 {
			t.Errorf("%d of %d frames were lost", lost, v.asked)
		}
	})
}
