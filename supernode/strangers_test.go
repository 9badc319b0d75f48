package supernode

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/blake2s"

	"hedgerow/crypto"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// siege is a supernode with registered edges while strangers flood it. It is what the
// supernode decides, without sockets: no packet is lost on its way, and each is handled
// at once.
type siege struct {
	*rig
	random    *rand.Rand
	community *crypto.Community
	members   []*fakeEdge
	flood     flooder
	events    []event // in the order of their times
	came      int     // honest newcomers
	refused   int     // of them
	lost      int     // members that did not get their next session
}

// flooder makes the packets of strangers. It has a few hundred of each kind and sends
// them again and again, so that the test costs what the supernode costs. One that gets
// what is sent to its addresses makes sessions besides, confirms them and keeps them up.
type flooder struct {
	r       *rig
	from    func(n int) netip.AddrPort
	proves  bool // it gets what is sent to its addresses
	n       int
	inits   [][]byte // unmasked
	masked  [][]byte // INITs, HELLOs, STUN requests and packets of another boot
	cookies map[netip.AddrPort][16]byte
	opening []*crypto.Initiation // of inits
	guests  []*fakeEdge
	fresh   float64 // INITs of its own that it may make now
	spoken  int     // of guests
	mask    *crypto.Mask
	sc      *crypto.Scratch
}

func (r *rig) flooder(from func(n int) netip.AddrPort, proves bool) flooder {
	f := flooder{
		r: r, from: from, proves: proves, cookies: make(map[netip.AddrPort][16]byte),
		mask: crypto.NewMask(crypto.SupernodeMaskKey(r.s.Key(), r.s.cfg.Cover.ObfsKey)), sc: crypto.NewScratch(),
	}
	count := 600
	if race {
		count = 150
	}
	for n := range count {
		e := r.edge(testCommunity("flood", "k"), fmt.Sprint("stranger ", n%100), 1)
		e.index = uint32(n) << 4
		i, pkt := e.initiate(nil)
		f.masked = append(f.masked, bytes.Clone(pkt))
		e.mask.Show(e.sc, pkt)
		f.inits, f.opening = append(f.inits, pkt), append(f.opening, i)
		if n%3 == 0 {
			hello := protocol.AppendHello(nil, [16]byte{byte(n >> 8), byte(n)})
			r.s.strangers.greeter.mask.Hide(e.sc, hello)
			data := junk(60)
			protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: uint32(r.s.sessions.boot-1)<<24 | uint32(n), CTR: 1}.Put(data)
			f.masked = append(f.masked, hello, e.hide(data), stun.AppendRequest(nil, [12]byte{byte(n >> 8), byte(n)}))
		}
	}
	return f
}

// guestsEach is how many sessions a second a flood makes, or tries to: more than there are
// places for in the time of the test.
func guestsEach() float64 {
	if race {
		return 120
	}
	return 300
}

// connect makes a session and confirms it, if it may.
func (f *flooder) connect() {
	f.fresh--
	e := f.r.edge(testCommunity("flood", "k"), fmt.Sprint("stranger ", f.n%100), 1)
	e.index, e.addr = uint32(f.n), f.from(f.n)
	var cookie *[16]byte
	for range 3 {
		i, pkt := e.initiate(cookie)
		got := f.r.deliver(e.addr, pkt)
		switch {
		case len(got) != 1:
			return
		case len(got[0].pkt) == protocol.CookieLen:
			e.show(got[0].pkt)
			given, err := i.OpenCookie(got[0].pkt)
			if err != nil {
				panic(err)
			}
			cookie = &given
		case e.finish(i, got[0].pkt):
			f.r.deliver(e.addr, e.seal())
			f.guests = append(f.guests, e)
			return
		}
	}
}

// keepUp has the guests speak, each every 20 s.
func (f *flooder) keepUp(step time.Duration) {
	for range int(float64(len(f.guests)) * step.Seconds() / 20) {
		f.spoken++
		e := f.guests[f.spoken%len(f.guests)]
		f.r.deliver(e.addr, e.seal())
	}
}

// send sends the next packet and returns its length. A source that gets answers shows
// the cookie that it was given.
func (f *flooder) send() int {
	f.n++
	if f.proves && f.fresh >= 1 && f.n%3 == 0 {
		f.connect()
		return protocol.InitLen
	}
	from := f.from(f.n)
	which := f.n % len(f.inits)
	cookie, given := f.cookies[from]
	if !f.proves || !given && f.n%2 == 0 || f.n%8 == 0 {
		pkt := f.masked[f.n%len(f.masked)]
		f.r.deliver(from, pkt)
		return len(pkt)
	}
	pkt := bytes.Clone(f.inits[which])
	if given {
		mac, err := blake2s.New128(cookie[:])
		if err != nil {
			panic(err)
		}
		mac.Write(pkt[:protocol.InitLen-16])
		mac.Sum(pkt[:protocol.InitLen-16])
	}
	f.mask.Hide(f.sc, pkt)
	for _, p := range f.r.deliver(from, pkt) {
		if len(p.pkt) != protocol.CookieLen {
			continue
		}
		f.mask.Show(f.sc, p.pkt)
		if len(f.cookies) > 4096 {
			clear(f.cookies)
		}
		if got, err := f.opening[which].OpenCookie(p.pkt); err == nil {
			f.cookies[from] = got
		}
	}
	return len(pkt)
}

// attempt tries once to make a session and to register, obeying COOKIE and challenge.
func (e *fakeEdge) attempt() bool {
	var cookie *[16]byte
	for range 4 {
		i, pkt := e.initiate(cookie)
		got := e.r.deliver(e.addr, pkt)
		if len(got) != 1 {
			return false
		}
		if len(got[0].pkt) == protocol.CookieLen {
			e.show(got[0].pkt)
			given, err := i.OpenCookie(got[0].pkt)
			if err != nil {
				e.r.t.Fatal(err)
			}
			cookie = &given
			continue
		}
		if e.finish(i, got[0].pkt) {
			ack, _ := e.register(e.request())
			return ack != nil
		}
	}
	return false
}

// event is what honest edges do at a time.
type event struct {
	at   time.Time
	does func()
}

// within tries as an edge does, every 2 s, and counts a failure when it has not
// succeeded after 3 s.
func (s *siege) within(attempt func() bool, failed *int) {
	if !attempt() {
		s.at(s.now.Add(2*time.Second), func() {
			if !attempt() {
				*failed++
			}
		})
	}
}

// at has something happen at a time.
func (s *siege) at(at time.Time, does func()) {
	i := len(s.events)
	for i > 0 && s.events[i-1].at.After(at) {
		i--
	}
	s.events = slices.Insert(s.events, i, event{at: at, does: does})
}

// newSiege returns a supernode with n registered edges and few places for guests, so
// that they fill in the time of the test.
func newSiege(t *testing.T, n, guests int) *siege {
	s := &siege{rig: newRig(t, Config{Limits: Limits{Guests: guests}}), random: rand.New(rand.NewPCG(5, 6)), community: testCommunity("c", "k")}
	for i := range n {
		e := s.edge(s.community, fmt.Sprint("member ", i), i)
		e.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, byte(i >> 4), byte(i << 4), 1}), uint16(2000+i))
		s.members = append(s.members, e.join())
		s.pass(10*time.Millisecond, 10*time.Millisecond)
	}
	return s
}

// plan says what honest edges do while the flood lasts: each member sends a keepalive
// every 20 s and makes its next session after 900 s, and five newcomers a second say
// HELLO and register, each from another network.
func (s *siege) plan(lasts time.Duration) {
	start := s.now
	sometime := func() time.Time { return start.Add(time.Duration(s.random.Int64N(int64(lasts)))) }
	for i, e := range s.members {
		for at := start.Add(time.Duration(i%20) * time.Second); at.Before(start.Add(lasts)); at = at.Add(20 * time.Second) {
			s.at(at, func() { s.deliver(e.addr, e.seal()) })
		}
	}
	for i := range len(s.members) * int(lasts/time.Second) / 900 {
		e := s.members[i*7%len(s.members)]
		s.at(sometime(), func() { s.within(e.attempt, &s.lost) })
	}
	mask := s.s.strangers.greeter.mask
	for i := range int(5 * lasts / time.Second) {
		s.came++
		e := s.edge(s.community, fmt.Sprint("newcomer ", i), 1)
		e.index = uint32(1+i) << 12
		e.addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i), byte(i >> 8)}), 7000)
		welcomed := false
		s.at(sometime(), func() {
			s.within(func() bool {
				if !welcomed {
					hello := protocol.AppendHello(nil, [16]byte{byte(i >> 8), byte(i), 9})
					mask.Hide(e.sc, hello)
					welcomed = len(s.deliver(e.addr, hello)) == 1
				}
				return welcomed && e.attempt()
			}, &s.refused)
		})
	}
}

// last floods the supernode for a time with so many bytes a second.
func (s *siege) last(lasts time.Duration, rate float64) {
	const step = 10 * time.Millisecond
	owed := 0.0
	for end := s.now.Add(lasts + 3*time.Second); s.now.Before(end); {
		s.flood.fresh += guestsEach() * step.Seconds()
		if s.now.UnixMilli()%1000 == 0 {
			s.flood.keepUp(time.Second)
		}
		for owed += rate * step.Seconds(); owed > 0; {
			owed -= float64(s.flood.send())
			if len(s.events) > 0 && s.events[0].at.Before(s.now.Add(time.Duration(s.random.Int64N(int64(step))))) {
				e := s.events[0]
				s.events = s.events[1:]
				e.does()
			}
		}
		s.pass(step, step)
	}
	for len(s.events) > 0 {
		e := s.events[0]
		s.events = s.events[1:]
		e.does()
	}
}

// guestMemory is the most that what strangers leave in the supernode may take, and in
// the flooder, which keeps its own ends of all sessions that it made.
const guestMemory = 64 << 20

// wholeSiege asks for the whole of TestStrangersKeepNobodyOut, which takes some 15 minutes of
// a processor.
var wholeSiege = flag.Bool("siege", false, "flood a supernode with 1000 edges for a minute, not one with 200 for 6 s")

// TestStrangersKeepNobodyOut floods a supernode with registered edges from one IPv4
// address, one /48 and forged addresses, at 100 kB/s and at 50 Mbit/s. No edge loses its
// session or does not get its next one, of honest newcomers from elsewhere 99 % are
// registered within 3 s, and memory is bounded.
//
//	go test ./supernode -run TestStrangersKeepNobodyOut -siege -timeout 1h
func TestStrangersKeepNobodyOut(t *testing.T) {
	members, guests, lasts := 200, 512, 6*time.Second
	rates := []float64{100e3, 50e6 / 8}
	switch {
	case *wholeSiege:
		members, guests, lasts = 1000, 2048, time.Minute
	case race:
		members, guests, lasts, rates = 60, 256, 3*time.Second, rates[:1]
	}
	for name, source := range map[string]struct {
		from   func(n int) netip.AddrPort
		proves bool
	}{
		"one IPv4 address": {func(n int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 66}), uint16(1+n%60000))
		}, true},
		"one /48": {func(n int) netip.AddrPort {
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 6: byte(n >> 8), 7: byte(n), 15: 1}), 4000)
		}, true},
		"forged addresses": {func(n int) netip.AddrPort {
			var b [16]byte
			binary.BigEndian.PutUint64(b[:], uint64(n)*0x9e3779b97f4a7c15)
			if n%2 == 0 {
				return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[:4])), 4000)
			}
			b[0] = 0x20
			return netip.AddrPortFrom(netip.AddrFrom16(b), 4000)
		}, false},
	} {
		for _, rate := range rates {
			t.Run(fmt.Sprintf("%s, %.0f kB/s", name, rate/1e3), func(t *testing.T) {
				s := newSiege(t, members, guests)
				s.flood = s.flooder(source.from, source.proves)
				s.plan(lasts)
				var before, after runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&before)
				s.last(lasts, rate)
				runtime.GC()
				runtime.ReadMemStats(&after)
				st := s.s.Status()
				for i, e := range s.members {
					if h := s.s.sessions.byIdx[e.session.RemoteIndex()]; h == nil || h.reg == nil || h.reg.hop != h || h.reg.place < 0 {
						t.Errorf("member %d has no session", i)
					}
				}
				if s.lost > 0 || s.refused*100 > s.came {
					t.Errorf("%d members without their next session; of %d newcomers %d not registered", s.lost, s.came, s.refused)
				}
				if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > guestMemory {
					t.Errorf("memory has grown by %d MiB", grown>>20)
				}
				t.Logf("%d packets, %d guests, %+d MiB, %v", s.flood.n, st.Guests, (int64(after.HeapAlloc)-int64(before.HeapAlloc))>>20, st.Drops)
			})
		}
	}
}
