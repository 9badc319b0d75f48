package underlay

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/protocol"
)

// lanDouble is a LAN of which the test hears everything, and on which it speaks.
type lanDouble struct {
	r         *rig
	announced []datagram
	incoming  chan datagram
	sendErr   error
	serveErr  error
}

func (l *lanDouble) Announce(pkt []byte) (int, error) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	l.announced = append(l.announced, datagram{at: l.r.since(), pkt: bytes.Clone(pkt)})
	return 1, l.sendErr
}

func (l *lanDouble) Serve(ctx context.Context, heard func(from netip.AddrPort, pkt []byte)) error {
	if l.serveErr != nil {
		return l.serveErr
	}
	for {
		select {
		case d := <-l.incoming:
			heard(d.to, d.pkt)
			clear(d.pkt) // it was lent
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// times returns when we were announced since the last call.
func (l *lanDouble) times() (list []time.Duration) {
	l.r.mu.Lock()
	defer l.r.mu.Unlock()
	for _, d := range l.announced {
		list = append(list, d.at)
	}
	l.announced = nil
	return list
}

// say has somebody speak on the LAN.
func (l *lanDouble) say(from netip.AddrPort, pkt []byte) {
	l.incoming <- datagram{to: from, pkt: bytes.Clone(pkt)}
	l.r.run(0)
}

// packetsDouble marks a packet with a byte of the community, and one that makes it
// unique.
type packetsDouble struct {
	sealErr         error
	seen            map[string]bool
	checked, opened int
}

func (p *packetsDouble) Seal(_ time.Time, body []byte) ([]byte, error) {
	if p.sealErr != nil {
		return nil, p.sealErr
	}
	return append([]byte{0xcc, 0}, body...), nil
}

func (p *packetsDouble) Check(pkt []byte) error {
	p.checked++
	if len(pkt) < 2 || pkt[0] != 0xcc {
		return errText("tag of another community")
	}
	return nil
}

func (p *packetsDouble) Open(_ time.Time, _ netip.AddrPort, pkt []byte) ([]byte, error) {
	p.opened++
	if p.seen[string(pkt)] {
		return nil, errText("seen before")
	}
	p.seen[string(pkt)] = true
	return pkt[2:], nil
}

// announcement is one of another member, numbered so that it is no copy.
func announcement(number byte, port uint16) []byte {
	m := protocol.Announce{Statement: statement(number), Port: port}
	return append([]byte{0xcc, number}, m.Append(nil)...)
}

// inLAN runs f in a rig with a LAN.
func inLAN(t *testing.T, f func(r *rig, l *lanDouble, p *packetsDouble)) {
	l := &lanDouble{}
	p := &packetsDouble{seen: make(map[string]bool)}
	inRig(t, func(r *rig, cfg *Config) {
		l.r, l.incoming = r, make(chan datagram)
		cfg.Network.LAN, cfg.Network.Packets = l, p
	}, func(r *rig) { f(r, l, p) })
}

// We are announced at the start, every 30 s (jitter is half of +-20 % here), and
// at once after a change of the network.
func TestAnnounce(t *testing.T) {
	inLAN(t, func(r *rig, l *lanDouble, p *packetsDouble) {
		r.Start(time.Now(), statement(7))
		r.run(0)
		l.r.mu.Lock()
		if len(l.announced) != 1 {
			t.Fatal("not announced at the start")
		}
		body, err := p.Open(time.Now(), netip.AddrPort{}, l.announced[0].pkt)
		if err != nil {
			t.Fatal(err)
		}
		if m, err := parseAnnounce(body); err != nil || m.Port != 7000 || m.Statement[0] != 7 {
			t.Errorf("announced %v: %v", m, err)
		}
		l.r.mu.Unlock()
		r.run(65 * time.Second)
		if got := l.times(); !slices.Equal(got, []time.Duration{0, 30 * time.Second, 60 * time.Second}) {
			t.Errorf("announced at %v", got)
		}
		r.NetworkChanged(time.Now())
		l.sendErr = errText("network is unreachable")
		r.run(30 * time.Second)
		if got := l.times(); !slices.Equal(got, []time.Duration{65 * time.Second, 95 * time.Second}) {
			t.Errorf("announced at %v", got)
		}
		r.logged("network is unreachable", true)
		p.sealErr = errText("no epoch is valid")
		r.run(30 * time.Second)
		p.sealErr = nil
		r.run(30 * time.Second)
		if got := l.times(); !slices.Equal(got, []time.Duration{155 * time.Second}) {
			t.Errorf("announced at %v", got)
		}
		r.logged("no epoch is valid", true)
	})
}

// The times between announcements are within 20 % of 30 s.
func TestAnnounceJitter(t *testing.T) {
	for _, c := range []struct {
		jitter func(below time.Duration) time.Duration
		want   time.Duration
	}{
		{func(time.Duration) time.Duration { return 0 }, 24 * time.Second},
		{func(below time.Duration) time.Duration { return below - 1 }, 36*time.Second - 1},
	} {
		inLAN(t, func(r *rig, l *lanDouble, _ *packetsDouble) {
			r.cfg.Jitter = c.jitter
			r.Start(time.Now(), statement(7))
			r.run(40 * time.Second)
			if got := l.times(); !slices.Equal(got, []time.Duration{0, c.want}) {
				t.Errorf("announced at %v", got)
			}
		})
	}
}

// A newcomer is answered within 500 ms (the half of it here), but not before 2 s
// have passed since the last announcement; one that is known is not answered.
func TestMeet(t *testing.T) {
	inLAN(t, func(r *rig, l *lanDouble, _ *packetsDouble) {
		r.Start(time.Now(), statement(7))
		r.run(time.Second)
		l.say(addr("192.0.2.8:7655"), announcement(1, 6000))
		l.say(addr("[fe80::8%eth0]:7655"), announcement(2, 6000))
		r.run(9 * time.Second)
		r.told("0s candidates 1", "1s met 1 at 192.0.2.8:6000", "1s met 2 at [fe80::8%eth0]:6000")
		if got := l.times(); !slices.Equal(got, []time.Duration{0, 2 * time.Second}) {
			t.Errorf("announced at %v", got)
		}
		l.say(addr("192.0.2.9:7655"), announcement(3, 6000))
		r.run(time.Second)
		if got := l.times(); !slices.Equal(got, []time.Duration{10*time.Second + 250*time.Millisecond}) {
			t.Errorf("announced at %v", got)
		}
		r.newcomer = false
		l.say(addr("192.0.2.9:7655"), announcement(4, 6000))
		r.run(20 * time.Second)
		if got := l.times(); got != nil {
			t.Errorf("announced at %v", got)
		}
		// What is due anyway is not put off.
		r.newcomer = true
		r.run(9*time.Second + 150*time.Millisecond)
		l.say(addr("192.0.2.9:7655"), announcement(5, 6000))
		r.run(time.Second)
		if got := l.times(); !slices.Equal(got, []time.Duration{40*time.Second + 250*time.Millisecond}) {
			t.Errorf("announced at %v", got)
		}
		r.counts(nil)
	})
}

// Each fault has its reason.
func TestAnnouncementRefused(t *testing.T) {
	inLAN(t, func(r *rig, l *lanDouble, p *packetsDouble) {
		r.Start(time.Now(), statement(7))
		r.run(0)
		from := addr("192.0.2.8:7655")
		other := (&protocol.Close{}).Append([]byte{0xcc, 9})
		short := announcement(8, 6000)
		good := announcement(1, 6000)
		for _, c := range []struct {
			name string
			pkt  []byte
			want map[Refusal]int
			log  string
		}{
			{"long", make([]byte, protocol.MaxDatagram+1), map[Refusal]int{RefusedAnnouncementLong: 1}, ""},
			{"foreign", []byte{1, 2, 3}, nil, "tag of another community"},
			{"empty", []byte{0xcc, 1}, map[Refusal]int{RefusedAnnouncementForm: 1}, ""},
			{"other message", other, map[Refusal]int{RefusedAnnouncementForm: 1}, "is no ANNOUNCE"},
			{"short", short[:len(short)-1], map[Refusal]int{RefusedAnnouncementForm: 1}, ""},
			{"port", announcement(2, 53), map[Refusal]int{RefusedAnnouncementAddress: 1}, "192.0.2.8:53"},
			{"good", good, nil, ""},
			{"copy", good, nil, "seen before"},
		} {
			l.say(from, c.pkt)
			r.counts(c.want)
			r.logged(c.log, true)
		}
		r.told("0s candidates 1", "0s met 1 at 192.0.2.8:6000")
		if p.checked != 7 || p.opened != 6 {
			t.Errorf("%d packets were checked, %d opened", p.checked, p.opened)
		}
	})
}

// A source that announces too often is not opened any more, and takes nothing from
// others; what is of another community costs nobody anything.
func TestAnnouncementSource(t *testing.T) {
	inLAN(t, func(r *rig, l *lanDouble, p *packetsDouble) {
		r.Start(time.Now(), statement(7))
		r.run(0)
		flooder, neighbour := addr("[fe80::bad%eth0]:7655"), addr("[fe80::8%eth0]:7655")
		want := []string{"0s candidates 1"}
		for i := range 500 {
			l.say(neighbour, []byte{1, 2, 3})
			l.say(flooder, announcement(66, uint16(6000+i)))
			if i < sourceBurst {
				want = append(want, fmt.Sprintf("0s met 42 at [fe80::bad%%eth0]:%d", 6000+i))
			}
		}
		if p.opened != sourceBurst {
			t.Errorf("%d packets of a flooder were opened", p.opened)
		}
		r.counts(map[Refusal]int{RefusedAnnouncementSource: 500 - sourceBurst})
		l.say(neighbour, announcement(1, 6000))
		r.told(append(want, "0s met 1 at [fe80::8%eth0]:6000")...)
		r.run(time.Second)
		for i := range byte(10) {
			l.say(flooder, announcement(100+i, 6000))
		}
		r.counts(map[Refusal]int{RefusedAnnouncementSource: 10 - sourceRate})
	})
}

// Strangers who repeat what a member has announced, from its own address, take nothing
// from that member: what it says next is heard. What does not open has a limit of its
// own, within which a member is heard.
func TestStrangersTakeNoTokens(t *testing.T) {
	inLAN(t, func(r *rig, l *lanDouble, p *packetsDouble) {
		r.Start(time.Now(), statement(7))
		r.run(0)
		member := addr("192.0.2.8:7655")
		recorded := announcement(1, 6000)
		l.say(member, recorded)
		for range 500 {
			l.say(member, recorded)
		}
		l.say(member, announcement(2, 6000))
		r.told("0s candidates 1", "0s met 1 at 192.0.2.8:6000", "0s met 2 at 192.0.2.8:6000")
		r.counts(nil)
		for range strangerBurst {
			l.say(addr("192.0.2.66:7655"), recorded)
		}
		if p.opened > strangerBurst+2 {
			t.Errorf("%d packets were tried to be opened", p.opened)
		}
		r.counts(map[Refusal]int{RefusedAnnouncementStranger: 500})
		r.run(time.Second)
		l.say(member, announcement(3, 6000))
		r.told("1s met 3 at 192.0.2.8:6000")
		r.counts(nil)
	})
}

// All members together cost 100 signatures at once, and 20 a second then.
func TestAnnouncementRate(t *testing.T) {
	inLAN(t, func(r *rig, l *lanDouble, _ *packetsDouble) {
		r.Start(time.Now(), statement(7))
		r.run(0)
		say := func(n int) {
			for i := range n {
				l.say(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 7655), announcement(byte(i), uint16(6000+r.since()/time.Second)))
			}
		}
		say(120)
		r.counts(map[Refusal]int{RefusedAnnouncementRate: 20})
		r.run(time.Second)
		say(30)
		r.counts(map[Refusal]int{RefusedAnnouncementRate: 10})
	})
}

// A LAN that cannot be heard is a warning.
func TestLANFails(t *testing.T) {
	inLAN(t, func(r *rig, l *lanDouble, _ *packetsDouble) {
		l.serveErr = errText("no multicast")
		r.Start(time.Now(), statement(7))
		r.run(0)
		r.logged("no multicast", true)
		if got := l.times(); len(got) != 1 {
			t.Error("not announced, though that may be heard")
		}
	})
}

// Without a LAN nothing is announced, whatever happens.
func TestWithoutLAN(t *testing.T) {
	inRig(t, nil, func(r *rig) {
		r.Start(time.Now(), statement(7))
		r.NetworkChanged(time.Now())
		r.LAN.answer(time.Now())
		r.run(time.Minute)
		if r.LAN.next.IsSet() {
			t.Error("an announcement is planned")
		}
	})
}

func TestSourceKey(t *testing.T) {
	for a, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "169.254.1.2": "169.254.1.2", "2001:db8::1": "2001:db8::1", "fe80::1:2%eth0": "::1:2:0:0:1:2",
	} {
		if got := sourceKey(netip.MustParseAddr(a)); got.String() != netip.MustParseAddr(want).String() {
			t.Error(fmt.Sprint(a, ": ", got))
		}
	}
}
