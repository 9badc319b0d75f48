package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// asker is a host that asks for others by ARP and remembers what it was told, and that
// answers for itself.
type asker struct {
	ip [4]byte

	mu     sync.Mutex // edges bring frames while the test asks
	mac    protocol.MAC
	silent bool
	port   *port
	lan    *Segment
	cache  map[[4]byte]protocol.MAC
}

// plug puts the host on a LAN, from the one that it was on.
func (h *asker) plug(lan *Segment) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lan != nil {
		h.lan.remove(h.port)
	}
	h.lan = lan
	h.port = &port{out: func(frame []byte) {
		h.mu.Lock()
		defer h.mu.Unlock()
		f := protocol.Frame(frame)
		if f.EtherType() != etherTypeARP || f.Dst() != h.mac && f.Dst() != protocol.Broadcast || h.silent {
			return
		}
		sender, target := [4]byte(frame[28:]), [4]byte(frame[38:])
		switch {
		case target != h.ip:
		case frame[21] == 1:
			go h.say(2, f.Src(), h.ip, sender) // not before the switch has passed on the question
		default:
			h.cache[sender] = f.Src()
		}
	}}
	lan.plug(h.port)
}

// set says whether the host answers, and gives it a hardware address.
func (h *asker) set(silent bool, mac protocol.MAC) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent, h.mac = silent, mac
}

// say sends ARP.
func (h *asker) say(op byte, dst protocol.MAC, sender, target [4]byte) {
	h.mu.Lock()
	lan, port, mac := h.lan, h.port, h.mac
	h.mu.Unlock()
	lan.receive(port, slices.Concat(dst[:], mac[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, op}, mac[:], sender[:], make([]byte, 6), target[:], make([]byte, 18)))
}

// resolve asks for an address three times at most, as hosts do, and returns whose it is.
func (h *asker) resolve(ip [4]byte) (mac protocol.MAC, ok bool) {
	h.mu.Lock()
	delete(h.cache, ip)
	h.mu.Unlock()
	for range 3 {
		h.say(1, protocol.Broadcast, h.ip, ip)
		for range 10 {
			time.Sleep(100 * time.Millisecond)
			h.mu.Lock()
			mac, ok = h.cache[ip]
			h.mu.Unlock()
			if ok {
				return mac, true
			}
		}
	}
	return mac, false
}

// street is LANs behind bridges, with hosts on them.
type street struct {
	*World
	lans  []*Segment
	edges []*Edge
	hosts []*asker

	mu    sync.Mutex
	heard []int // ARP that came into each LAN from its edge
}

// arrived returns how much ARP has come into each LAN since it was asked last.
func (s *street) arrived() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.heard
	s.heard = make([]int, len(heard))
	return heard
}

// newStreet makes LANs of so many hosts each.
func newStreet(t *testing.T, lans, each int, transparent bool) *street {
	s := &street{World: New(t, 1), heard: make([]int, lans)}
	sn := s.Supernode(supernodeAddr)
	for i := range lans {
		lan := NewSegment()
		router := s.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)}), nattest.FullCone)
		o := Options{
			Name: fmt.Sprintf("edge%d", i+1), Supernodes: []*Supernode{sn},
			Ethernet: edge.Ethernet{Bridge: true, Transparent: transparent},
		}
		lan.Attach(&o)
		deliver := o.Deliver
		o.Deliver = func(frame []byte) {
			if protocol.Frame(frame).EtherType() == etherTypeARP {
				s.mu.Lock()
				s.heard[i]++
				s.mu.Unlock()
			}
			deliver(frame)
		}
		s.lans, s.edges = append(s.lans, lan), append(s.edges, s.Edge(router.Host(netip.MustParseAddr("192.168.1.2")), o))
		for n := range each {
			h := &asker{
				mac: protocol.MAC{0x52, 0x54, 0, 0, byte(i), byte(n + 1)}, ip: [4]byte{10, 0, byte(i), byte(n + 1)},
				cache: make(map[[4]byte]protocol.MAC),
			}
			h.plug(lan)
			s.hosts = append(s.hosts, h)
		}
	}
	t.Cleanup(func() {
		for _, e := range s.edges {
			e.Stop()
		}
		sn.Stop()
	})
	time.Sleep(5 * time.Second) // each bridge has listened, and has sessions with the others
	return s
}

// live has the hosts ask for each other for a time, some more often than others, and
// returns how much ARP came into the LANs.
func (s *street) live(t *testing.T, d time.Duration) (heard int) {
	s.arrived()
	dice := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(dice, 1.1, 2, uint64(len(s.hosts)-1))
	for end := time.Now().Add(d); time.Now().Before(end); {
		from, to := s.hosts[dice.IntN(len(s.hosts))], s.hosts[zipf.Uint64()]
		if from == to {
			continue
		}
		if mac, ok := from.resolve(to.ip); !ok || mac != to.mac {
			t.Fatalf("%v is at %v (%v), not at %v", to.ip, mac, ok, to.mac)
		}
	}
	for _, n := range s.arrived() {
		heard += n
	}
	return heard
}

// TestSuppression: every answer is right, and what comes into the LANs of ARP is a sixth of
// what it would be. With ten LANs it cannot be much less, with four it is a half, since an
// owner that is asked alone is one question and one answer instead of ten; with fifty it is.
func TestSuppression(t *testing.T) {
	lans, each, part := 10, 6, 6
	if race {
		lans, each, part = 4, 4, 2
	}
	const long = 3 * time.Minute
	var heard [2]int
	for i, transparent := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStreet(t, lans, each, transparent)
			s.live(t, time.Minute) // the first questions are news to everybody
			heard[i] = s.live(t, long)
			fdb, err := s.edges[0].Edge.FDB(t.Context())
			if a := fdb.Totals.Addresses; err != nil || transparent != (a == nil) || a != nil && a.Answered == 0 {
				t.Errorf("%v: %+v", err, a)
			}
		})
	}
	t.Logf("%d frames of ARP came into %d LANs in %v, %d without suppression", heard[1], lans, long, heard[0])
	if heard[1]*part > heard[0] {
		t.Errorf("%d frames of ARP, %d without suppression", heard[1], heard[0])
	}
}

// TestSuppressionStaysRight: hosts that move, die, are replaced or look whether an address
// is free, on a street where everybody is known.
func TestSuppressionStaysRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreet(t, 3, 2, false)
		one, moving, dying, other := s.hosts[0], s.hosts[2], s.hosts[3], s.hosts[4]
		is := func(from *asker, ip [4]byte, want protocol.MAC, known bool) {
			t.Helper()
			if mac, ok := from.resolve(ip); ok != known || ok && mac != want {
				t.Errorf("%v is at %v (%v), want %v (%v)", ip, mac, ok, want, known)
			}
		}
		for _, h := range s.hosts {
			h.say(1, protocol.Broadcast, h.ip, h.ip)
		}
		time.Sleep(time.Second)
		is(one, moving.ip, moving.mac, true)
		is(other, dying.ip, dying.mac, true)
		s.arrived()
		is(one, dying.ip, dying.mac, true)
		if got := s.arrived(); slices.Max(got[1:]) != 0 || got[0] != 1 {
			t.Errorf("%v frames of ARP for a host that is known", got)
		}

		moving.plug(s.lans[2])
		moving.say(1, protocol.Broadcast, moving.ip, moving.ip)
		time.Sleep(2 * time.Second)
		is(one, moving.ip, moving.mac, true)

		one.say(1, protocol.Broadcast, [4]byte{}, dying.ip) // is it free? Its owner says no
		time.Sleep(time.Second)
		s.arrived()
		one.say(1, protocol.Broadcast, [4]byte{}, dying.ip)
		time.Sleep(time.Second)
		if got := s.arrived(); got[1] != 1 || got[0] != 1 || got[2] != 1 {
			t.Errorf("%v frames of ARP for a probe and its answer", got)
		}

		dying.set(true, dying.mac)
		one.say(1, dying.mac, one.ip, dying.ip) // it doubts what it knows
		time.Sleep(time.Second)
		is(one, dying.ip, dying.mac, false)
		dying.set(false, protocol.MAC{0x52, 0x54, 9, 9, 9, 9}) // its card was replaced
		dying.plug(s.lans[1])
		dying.say(1, protocol.Broadcast, dying.ip, dying.ip)
		time.Sleep(time.Second)
		is(one, dying.ip, dying.mac, true)
		is(other, dying.ip, dying.mac, true)
	})
}
