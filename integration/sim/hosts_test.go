package sim

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// whole asks for what was promised, and takes minutes.
var whole = flag.Bool("whole", false, "50 bridges with 100 hosts each, not 10 with 20")

// The hosts of many LANs: how often one begins to talk with another, and how unequal they
// are. Every fifth LAN is behind a NAT by which it reaches few others directly.
const (
	talkEvery  = 10 * time.Second
	zipf       = 1.1
	hardNAT    = 5
	hostsTick  = 10 * time.Millisecond
	hostsWatch = 30 * time.Second
)

// suburb is many bridged LANs with hosts, which talk with each other.
type suburb struct {
	*World
	t        *testing.T
	sn       *Supernode
	edges    []*Edge
	stations []*Station
	meters   []*lanMeter
	floods   *Floods
	random   *rand.Rand
	partner  *rand.Zipf
	popular  []int // stations, the most popular one first
	number   uint64
}

// lanMeter counts what an edge writes to its LAN.
type lanMeter struct{ arp, unicast atomic.Uint64 }

func (m *lanMeter) count(frame []byte) {
	f := protocol.Frame(frame)
	if f.EtherType() == etherTypeARP {
		m.arp.Add(1)
	}
	if !f.Dst().IsGroup() {
		m.unicast.Add(1)
	}
}

func newSuburb(t *testing.T, lans, hosts int, transparent bool) *suburb {
	s := &suburb{World: New(t, 11), t: t, random: rand.New(rand.NewPCG(11, 12))}
	s.sn = s.Supernode(supernodeAddr)
	s.floods = NewFloods(s.Community, s.sn)
	s.Net.Tap(s.floods.Tap)
	for i := range lans {
		b := nattest.PortRestricted
		if i%hardNAT == hardNAT-1 {
			b = nattest.Symmetric
		}
		lan, m := NewSegment(), new(lanMeter)
		o := Options{Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{s.sn}, Address: none}
		o.Ethernet.Bridge, o.Ethernet.Transparent = true, transparent
		lan.Attach(&o)
		deliver := o.Deliver
		o.Deliver = func(frame []byte) {
			m.count(frame)
			deliver(frame)
		}
		s.edges, s.meters = append(s.edges, s.Edge(behind(b)(s.Net, i), o)), append(s.meters, m)
		for range hosts {
			n := len(s.stations) + 1
			st := newStation(uint16(n), netip.AddrFrom4([4]byte{10, 60, byte(n >> 8), byte(n)}))
			st.Attach(lan)
			s.stations = append(s.stations, st)
		}
		time.Sleep(stagger)
	}
	s.partner, s.popular = rand.NewZipf(s.random, zipf, 1, uint64(len(s.stations)-1)), s.random.Perm(len(s.stations))
	time.Sleep(20 * time.Second)
	return s
}

func (s *suburb) end() {
	for _, e := range s.edges {
		e.Stop()
	}
	s.sn.Stop()
}

// talk has the hosts talk for a time.
func (s *suburb) talk(d time.Duration) {
	begin := 0.0
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(hostsTick) {
		for begin += float64(len(s.stations)) * hostsTick.Seconds() / talkEvery.Seconds(); begin >= 1; begin-- {
			from, to := s.stations[s.random.IntN(len(s.stations))], s.stations[s.popular[s.partner.Uint64()]]
			if from != to {
				s.number++
				from.Talk(to.IP, s.number)
			}
		}
	}
}

// answered returns how many packets were answered.
func (s *suburb) answered() (n int) {
	for _, st := range s.stations {
		n += st.Answered()
	}
	return n
}

// load is what a while of talk was to the edges.
type load struct {
	arp, arpMost, unicast, unknown float64 // frames a second of each edge; the most of one
	relayed                        float64 // share of the supernode in the bytes of floods
	floods                         float64 // bytes a second of all
	lost                           float64 // share of packets without an answer
}

func (l load) String() string {
	return fmt.Sprintf("each LAN got %.1f ARP frames/s (at most %.1f) beside %.1f unicast frames/s, each edge flooded %.3f frames/s to unknown stations; floods %.0f KB/s, %.0f %% by the supernode; %.2f %% unanswered",
		l.arp, l.arpMost, l.unicast, l.unknown, l.floods/1000, 100*l.relayed, 100*l.lost)
}

// watch has the hosts talk, and returns what that was to the edges.
func (s *suburb) watch(d time.Duration) (l load) {
	number, answered, unknown := s.number, s.answered(), s.unknown()
	direct, relayed := s.floods.Bytes()
	arp, unicast := make([]uint64, len(s.meters)), uint64(0)
	for i, m := range s.meters {
		arp[i] = m.arp.Load()
		unicast -= m.unicast.Load()
	}
	s.talk(d)
	edges, seconds := float64(len(s.edges)), d.Seconds()
	for i, m := range s.meters {
		rate := float64(m.arp.Load()-arp[i]) / seconds
		l.arp, l.arpMost = l.arp+rate/edges, max(l.arpMost, rate)
		unicast += m.unicast.Load()
	}
	l.unicast, l.unknown = float64(unicast)/seconds/edges, float64(s.unknown()-unknown)/seconds/edges
	nowDirect, nowRelayed := s.floods.Bytes()
	direct, relayed = nowDirect-direct, nowRelayed-relayed
	l.floods, l.relayed = float64(direct+relayed)/seconds, float64(relayed)/float64(direct+relayed)
	time.Sleep(askTimes * askAgain)
	l.lost = 1 - float64(s.answered()-answered)/float64(s.number-number)
	return l
}

// unknown returns how many frames the edges have flooded since they did not know where to.
func (s *suburb) unknown() (n uint64) {
	for _, e := range s.edges {
		fdb, err := e.Edge.FDB(context.Background())
		if err != nil {
			s.t.Fatal(err)
		}
		n += fdb.Totals.Unknown
	}
	return n
}

// TestManyHosts: what hosts that talk with each other are to the bridges of their LANs, and
// to the supernode; and what it is when one edge is started again. Bridges that suppress ARP
// leave a tenth of it to 50 LANs. Fewer have more of it left: an answer to each question, and
// one for each owner that is asked alone.
//
//	go test ./integration/sim -run TestManyHosts -v -whole
func TestManyHosts(t *testing.T) {
	lans, hosts, most := 10, 20, 0.4
	switch {
	case race:
		lans, hosts, most = 5, 10, 0.6
	case *whole:
		lans, hosts, most = 50, 100, 0.1
	}
	every, left := manyHosts(t, lans, hosts, true), manyHosts(t, lans, hosts, false)
	if left.arp > most*every.arp {
		t.Errorf("%.1f ARP frames/s of %.1f are left", left.arp, every.arp)
	}
}

// manyHosts is TestManyHosts for bridges that suppress ARP or are transparent. It returns
// what it is when nothing was started again.
func manyHosts(t *testing.T, lans, hosts int, transparent bool) (steady load) {
	synctest.Test(t, func(t *testing.T) {
		s := newSuburb(t, lans, hosts, transparent)
		defer s.end()
		s.talk(2 * resolutionAge) // they know whom they talk with most
		steady = s.watch(hostsWatch)
		t.Logf("%d LANs of %d hosts, transparent %v: %v", lans, hosts, transparent, steady)
		s.edges[0].Kill()
		s.edges[0].Start()
		time.Sleep(3 * time.Second) // it registers, and listens
		after := s.watch(hostsWatch)
		t.Logf("after a restart of one edge: %v", after)
		for what, l := range map[string]load{"steady": steady, "after a restart": after} {
			if l.lost > 0.01 || l.unknown > 0.02*l.unicast {
				t.Errorf("%s: %v", what, l)
			}
		}
	})
	return steady
}
