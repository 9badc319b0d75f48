package supernode

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// noFront returns a front without edges.
func noFront() *front { return newFront(slog.New(slog.DiscardHandler)) }

// behind puts edge number n behind a NAT with one address, at a port of its own.
func (r *rig) behind(nat string, c, name string, n int) *fakeEdge {
	e := r.edge(testCommunity(c, "k"), name, n)
	e.addr = netip.AddrPortFrom(netip.MustParseAddr(nat), uint16(10000+n))
	e.index = uint32(n) << 10
	return e
}

// TestManyBehindAPrivateAddress: a NAT before the supernode gives all edges its own
// address. More of them, in more communities, than one source may have are registered at
// once; the operator is told once, and the tables keep a bound for the front, too.
func TestManyBehindAPrivateAddress(t *testing.T) {
	for nat, all := range map[string]bool{"172.17.0.1": true, "fd00::1": true, "198.51.100.1": false} {
		var log bytes.Buffer
		r := newRig(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil)), Limits: Limits{InitRate: 1e6, Communities: 1024}})
		r.edge(testCommunity("elsewhere", "k"), "somebody", 9).join()
		const n = 400
		came := 0
		for i := range n {
			e := r.behind(nat, fmt.Sprint("c", i), fmt.Sprint("e", i), i)
			if e.reach() {
				if ack, _ := e.register(e.request()); ack != nil {
					came++
				}
			}
		}
		if (came == n) != all {
			t.Errorf("%s: %d of %d came, drops %v", nat, came, n, r.s.refused.drops.nonzero())
		}
		if lines := strings.Count(log.String(), "[E52]"); lines != 1 && all || lines != 0 && !all {
			t.Errorf("%s: the log says it %d times", nat, lines)
		}
		if notes := strings.Join(r.s.Status().Notes, "|"); strings.Contains(notes, nat) != all {
			t.Errorf("%s: status has %q", nat, notes)
		}
		if g := r.s.registry; all && g.shares.limits.communitiesAt(0)*g.front.sourcesIn(netip.MustParseAddr(nat)) != 64*proxyShare {
			t.Errorf("%s: the front has no bound", nat)
		}
	}
}

// TestRestartBehindAPrivateAddress: all edges behind one private address make a new session
// within seconds after the supernode was started anew, also while others flood it from
// behind the same address with INITs of their own.
func TestRestartBehindAPrivateAddress(t *testing.T) {
	const nat = "172.17.0.1"
	n := 200
	if race { // a handshake takes ten times as long
		n = 50
	}
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	var members []*fakeEdge
	for i := range n {
		r.now = r.now.Add(time.Second)
		members = append(members, r.behind(nat, "c", fmt.Sprint("e", i), i))
		members[i].join()
	}
	for i, e := range members { // each renews its session, while strangers do what they can
		for k := range 20 {
			stranger := r.behind(nat, "c", fmt.Sprint("stranger", k), 30000+20*i+k)
			_, pkt := stranger.initiate(nil)
			r.deliver(stranger.addr, pkt)
		}
		r.now = r.now.Add(50 * time.Millisecond)
		if !e.reach() {
			t.Fatalf("member %d is kept out: drops %v", i, r.s.refused.drops.nonzero())
		}
		if ack, nak := e.register(e.request()); ack == nil {
			t.Fatalf("member %d is refused: %+v", i, nak)
		}
	}
}

// TestFrontIsWhoHidesMost: edges of a LAN, each with its address, have no front before
// them, nor do those of one host among many; and a front that loses its edges is none.
func TestFrontIsWhoHidesMost(t *testing.T) {
	f := noFront()
	at := func(a string, port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(a), uint16(port))
	}
	for i := range 20 {
		f.count(at(fmt.Sprintf("192.168.7.%d", i+1), 7), 1)
	}
	for i := range 20 {
		f.count(at("192.168.7.99", i+1), 1)
	}
	if f.at.IsValid() {
		t.Errorf("%v hides half of them", f.at)
	}
	f.count(at("192.168.7.99", 21), 1)
	if f.at != netip.MustParseAddr("192.168.7.99") || f.sourcesIn(f.at) != proxyShare || f.sourcesIn(netip.MustParseAddr("192.168.7.1")) != 1 {
		t.Errorf("the front is %v", f.at)
	}
	if a, b := f.initSource(at("192.168.7.99", 1), f.at), f.initSource(at("192.168.7.99", 2), f.at); a == b {
		t.Error("two edges behind it are counted as one")
	}
	for i := range 15 {
		f.count(at("192.168.7.99", i+1), -1)
	}
	if f.at.IsValid() {
		t.Errorf("%v is the front with %d of %d", f.at, f.seen[f.at], f.all)
	}
}
