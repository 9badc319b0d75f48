package portmap

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// reports collects what a mapper reports, with the time since the start.
type reports struct {
	mu   sync.Mutex
	list []Mapping
	at   []time.Duration
}

func (r *reports) take() (list []Mapping, at []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, at = r.list, r.at
	r.list, r.at = nil, nil
	return list, at
}

// scene is a mapper that runs in a bubble.
type scene struct {
	*Mapper
	reports
	began  time.Time
	router router
	fault  error // of Gateway
	end    context.CancelFunc
	done   chan struct{}
}

// play runs a mapper with these protocols until the test ends.
func play(t *testing.T, speakers ...speaker) *scene {
	ctx, cancel := context.WithCancel(t.Context())
	s := &scene{began: time.Now(), router: testHome, end: cancel, done: make(chan struct{})}
	s.Mapper = &Mapper{
		port: testPort, speakers: speakers, log: slog.New(slog.DiscardHandler), wake: make(chan struct{}, 1),
		gateway: func() (netip.Addr, netip.Addr, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.router.gateway, s.router.local, s.fault
		},
	}
	go func() {
		defer close(s.done)
		s.Run(ctx, func(m Mapping) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.list = append(s.list, m)
			s.at = append(s.at, time.Since(s.began))
		})
	}()
	synctest.Wait()
	t.Cleanup(func() {
		cancel()
		<-s.done
	})
	return s
}

// become moves the host to another router, or away from all.
func (s *scene) become(r router, fault error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.router, s.fault = r, fault
}

// after lets time pass and returns what was reported meanwhile.
func (s *scene) after(d time.Duration) ([]Mapping, []time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	return s.take()
}

// only fails the test unless exactly this was reported.
func only(t *testing.T, list []Mapping, want Mapping) {
	t.Helper()
	if len(list) != 1 || list[0].External != want.External || list[0].Protocol != want.Protocol || list[0].Problem != want.Problem {
		t.Errorf("reported %+v, want %+v", list, want)
	}
}

var mappedByPCP = Mapping{External: netip.AddrPortFrom(wan, testPort), Protocol: PCP}

// Mapped at once, renewed at half of the lifetime, deleted at the end.
func TestLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		s := play(t, pcp{dial: g.pipe}, natpmp{g.pipe})
		list, at := s.after(0)
		only(t, list, mappedByPCP)
		if at[0] != 0 || !list[0].Until.Equal(s.began.Add(2*time.Hour)) {
			t.Errorf("at %v until %v", at, list[0].Until.Sub(s.began))
		}
		_, at = s.after(3*time.Hour + time.Minute)
		if want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}; !slices.Equal(at, want) {
			t.Errorf("renewed at %v, want %v", at, want)
		}
		if g.mapped() != testPort {
			t.Error("not mapped")
		}
		s.end()
		<-s.done
		if g.mapped() != 0 || g.deleted() != 1 {
			t.Error("not deleted")
		}
		if list, _ := s.take(); len(list) != 0 {
			t.Errorf("reported at the end: %+v", list)
		}
	})
}

// A router that grants less than was asked for is asked more often.
func TestShortLease(t *testing.T) {
	for _, c := range []struct {
		most  uint32
		every time.Duration
	}{{600, 5 * time.Minute}, {60, 30 * time.Second}, {3, minRenew}} {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway()
			g.most = c.most
			s := play(t, natpmp{g.pipe})
			_, at := s.after(2*c.every + time.Second)
			if want := []time.Duration{0, c.every, 2 * c.every}; !slices.Equal(at, want) {
				t.Errorf("%d s: reported at %v, want %v", c.most, at, want)
			}
		})
	}
}

// The best protocol that the router speaks maps, whatever the other answers to.
func TestPreference(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(g *gateway)
		want Mapping
	}{
		{"both", func(*gateway) {}, mappedByPCP},
		{"NAT-PMP only", func(g *gateway) { g.noPCP = true }, Mapping{External: mappedByPCP.External, Protocol: NATPMP}},
		{"PCP only", func(g *gateway) { g.noPMP = true }, mappedByPCP},
		{"after junk", func(g *gateway) { g.junk = make([]byte, 60) }, mappedByPCP},
		{"another port", func(g *gateway) { g.first = 50000 }, Mapping{External: netip.AddrPortFrom(wan, 50000), Protocol: PCP}},
		{"neither", func(g *gateway) { g.noPCP, g.noPMP = true, true }, Mapping{Problem: "router at 192.168.1.1 refuses (unsupported version)"}},
		{"refused", func(g *gateway) { g.refuse = 2 }, Mapping{Problem: "router at 192.168.1.1 refuses (not authorised)"}},
		{"carrier", func(g *gateway) { g.wan = netip.MustParseAddr("100.64.0.7") },
			Mapping{Problem: "double NAT: the router's own address 100.64.0.7 is not public"}},
		{"silent", func(g *gateway) { g.off = true }, Mapping{Problem: "no router answers"}},
		{"for no time", func(g *gateway) { g.most = 0 }, Mapping{Problem: "router at 192.168.1.1 answers what is not understood (a mapping to no port, or for no time)"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway()
			c.set(g)
			s := play(t, pcp{dial: g.pipe}, natpmp{g.pipe})
			list, _ := s.after(10 * time.Second)
			only(t, list, c.want)
			if c.want.Problem != "" && c.name != "for no time" && g.mapped() != 0 {
				t.Errorf("%s: something is left at the router", c.name)
			}
		})
	}
}

// Nothing that answers is asked again after 1, 5, 15 and 30 minutes, and said
// once. Wake begins anew.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Duration
		var s *scene
		began := time.Now()
		double := &double{p: PCP, find: func(context.Context) error {
			asked = append(asked, time.Since(began).Round(time.Second))
			return errSilent
		}}
		s = play(t, doubleSpeaker{double})
		list, _ := s.after(90 * time.Minute)
		only(t, list, Mapping{Problem: "no router answers"})
		m := time.Minute
		if want := []time.Duration{0, m, 6 * m, 21 * m, 51 * m, 81 * m}; !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
		asked, began = nil, time.Now()
		s.Wake()
		if list, _ := s.after(7 * time.Minute); len(list) != 0 {
			t.Errorf("said again: %+v", list)
		}
		if want := []time.Duration{0, m, 6 * m}; !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
	})
}

// A router that was switched off and on is found out within two minutes, by
// either protocol, and maps anew.
func TestReboot(t *testing.T) {
	for _, noPCP := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := newGateway()
			g.noPCP = noPCP
			s := play(t, pcp{dial: g.pipe}, natpmp{g.pipe})
			s.after(10 * time.Minute)
			g.reboot()
			g.set(func() { g.first = 50000 })
			if list, _ := s.after(time.Minute); len(list) != 0 {
				t.Errorf("reported %+v", list)
			}
			list, _ := s.after(time.Minute + time.Second)
			if len(list) != 1 || list[0].External != netip.AddrPortFrom(wan, 50000) || g.mapped() != 50000 {
				t.Errorf("NAT-PMP %v: reported %+v", noPCP, list)
			}
		})
	}
}

// A router that has got another address tells so by NAT-PMP.
func TestRenumbered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		s := play(t, natpmp{g.pipe})
		s.after(time.Minute)
		moved := netip.MustParseAddr("198.51.100.9")
		g.set(func() { g.wan = moved })
		list, _ := s.after(2 * time.Minute)
		only(t, list, Mapping{External: netip.AddrPortFrom(moved, testPort), Protocol: NATPMP})
	})
}

// A router that falls silent is asked at a half, three quarters and so on; the
// mapping is given up when its time is over, and made again when it is back.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		s := play(t, pcp{dial: g.pipe})
		s.after(0)
		g.set(func() { g.off = true })
		if list, _ := s.after(2*time.Hour - time.Second); len(list) != 0 {
			t.Errorf("given up before its time: %+v", list)
		}
		list, at := s.after(time.Minute)
		only(t, list, Mapping{Problem: "no router answers"})
		if at[0] < 2*time.Hour {
			t.Errorf("given up at %v", at[0])
		}
		g.set(func() { g.off = false })
		s.Wake()
		list, _ = s.after(time.Second)
		only(t, list, mappedByPCP)
	})
}

// A router that is back before the time is over is no event.
func TestShortSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		s := play(t, pcp{dial: g.pipe})
		s.after(59 * time.Minute)
		g.set(func() { g.off = true })
		s.after(20 * time.Minute)
		g.set(func() { g.off = false })
		list, at := s.after(20 * time.Minute)
		only(t, list, mappedByPCP)
		if at[0] < 90*time.Minute || at[0] > 91*time.Minute {
			t.Errorf("renewed at %v", at)
		}
	})
}

// A process that was killed left its mapping behind. The next one has it again
// if it knows the secret, and else not.
func TestKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		r := testHome
		request := func(secret byte) error {
			p := pcp{dial: g.pipe, secret: [32]byte{secret}}
			found, err := p.find(t.Context(), r)
			if err != nil {
				return err
			}
			_, err = found.request(t.Context(), want{port: testPort, lifetime: lifetime})
			return err
		}
		if err := errors.Join(request(1), request(1)); err != nil {
			t.Error(err)
		}
		if err := request(2); err == nil {
			t.Error("another process has our mapping")
		}
	})
}

// A router that changes its mind is no longer used.
func TestRefusedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		s := play(t, pcp{dial: g.pipe})
		s.after(0)
		g.set(func() { g.refuse = 10 })
		list, _ := s.after(time.Hour + time.Second)
		only(t, list, Mapping{Problem: "router at 192.168.1.1 refuses (too many mappings for one user)"})
	})
}

// Wake after the host has moved maps at the new router, and lets the old one go.
func TestMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		s := play(t, pcp{dial: g.pipe})
		s.after(time.Minute)
		s.Wake()
		list, at := s.after(0)
		only(t, list, mappedByPCP)
		if at[0] != time.Minute || g.deleted() != 0 {
			t.Error("the same router: not just renewed")
		}
		s.after(time.Second)
		s.become(otherHome, nil)
		s.Wake()
		list, _ = s.after(time.Second)
		only(t, list, mappedByPCP)
		if g.deleted() != 1 {
			t.Error("the mapping at the old router is not deleted")
		}
		s.become(router{}, errNoRouter)
		s.Wake()
		list, _ = s.after(time.Second)
		only(t, list, Mapping{Problem: "there is no default route of IPv4"})
		s.become(testHome, nil)
		list, _ = s.after(time.Minute)
		only(t, list, mappedByPCP)
	})
}

// The end takes a second at most, and what is asked for at that moment is
// deleted, too.
func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway()
		s := play(t, pcp{dial: g.pipe})
		g.set(func() { g.off = true })
		ended := time.Now()
		s.end()
		<-s.done
		if d := time.Since(ended); d != releaseTime {
			t.Errorf("it took %v", d)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		released := false
		d := &double{p: UPnP, request: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}, release: func(context.Context) error {
			released = true
			return nil
		}}
		s := play(t, doubleSpeaker{d})
		s.end()
		<-s.done
		if !released {
			t.Error("a mapping may be left behind")
		}
	})
}

// double is a protocol whose steps the test writes.
type double struct {
	p                      Protocol
	find, request, release func(context.Context) error
	external               netip.AddrPort
}

type doubleService struct{ *double }

func (d *double) protocol() Protocol { return d.p }

func step(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		return nil
	}
	return f(ctx)
}

type doubleSpeaker struct{ *double }

func (d doubleSpeaker) find(ctx context.Context, _ router) (service, error) {
	if err := step(ctx, d.double.find); err != nil {
		return nil, err
	}
	return doubleService(d), nil
}

func (d doubleService) request(ctx context.Context, _ want) (grant, error) {
	if err := step(ctx, d.double.request); err != nil {
		return grant{}, err
	}
	return grant{d.external, lifetime}, nil
}

func (d doubleService) check(context.Context) error { return nil }

func (d doubleService) release(ctx context.Context) error { return step(ctx, d.double.release) }

// late returns a step that takes so long and ends with an error.
func late(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		if pause(ctx, d) != nil {
			return ctx.Err()
		}
		return err
	}
}

// Who maps, by when each answers and how.
func TestContest(t *testing.T) {
	const ms = time.Millisecond
	no := refusedFor("no")
	for _, c := range []struct {
		name   string
		find   [3]time.Duration
		faults [3]error // of find
		refuse [3]error // of request
		want   Protocol
		at     time.Duration
	}{
		{"all at once", [3]time.Duration{}, [3]error{}, [3]error{}, PCP, 0},
		{"the best one a little later", [3]time.Duration{200 * ms, 0, 0}, [3]error{}, [3]error{}, PCP, 200 * ms},
		{"the best one too late", [3]time.Duration{300 * ms, 10 * ms, 0}, [3]error{}, [3]error{}, NATPMP, 250 * ms},
		{"the best one is not there", [3]time.Duration{100 * ms, 10 * ms, 0}, [3]error{errSilent}, [3]error{}, NATPMP, 100 * ms},
		{"the best one refuses", [3]time.Duration{}, [3]error{}, [3]error{no}, NATPMP, 0},
		{"the last one only, slowly", [3]time.Duration{0, 0, 5 * time.Second}, [3]error{errSilent, errSilent}, [3]error{}, UPnP, 5 * time.Second},
		{"the last one, after refusals", [3]time.Duration{}, [3]error{}, [3]error{no, no}, UPnP, 0},
		{"all refuse", [3]time.Duration{}, [3]error{}, [3]error{no, no, no}, "", 0},
		{"none in time", [3]time.Duration{time.Minute, time.Minute, time.Minute}, [3]error{}, [3]error{}, "", findTime},
	} {
		synctest.Test(t, func(t *testing.T) {
			var speakers []speaker
			for i, p := range []Protocol{PCP, NATPMP, UPnP} {
				d := &double{p: p, find: late(c.find[i], c.faults[i]), request: late(0, c.refuse[i]), external: mappedByPCP.External}
				speakers = append(speakers, doubleSpeaker{d})
			}
			s := play(t, speakers...)
			list, at := s.after(20 * time.Second)
			if len(list) != 1 || list[0].Protocol != c.want || at[0] != c.at {
				t.Errorf("%s: %+v at %v, want %s at %v", c.name, list, at, c.want, c.at)
			}
		})
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []Config{
		{},
		{Port: 1, Off: []Protocol{"IGD"}},
		{Port: 1, Off: []Protocol{PCP, NATPMP, UPnP}},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
	m, err := New(Config{Port: 1, Off: []Protocol{NATPMP}})
	if err != nil || len(m.speakers) != 2 {
		t.Errorf("%v, %+v", err, m)
	}
}

// The reason that says most is told.
func TestTellsMore(t *testing.T) {
	here := errors.New("no buffer")
	order := []error{nil, here, errSilent, garbledBy("x"), refusedFor("x"), behindNAT(wan)}
	for i, a := range order {
		for j, b := range order {
			if got := tellsMore(a, b); got != order[max(i, j)] {
				t.Errorf("%v and %v: %v", a, b, got)
			}
		}
	}
}
