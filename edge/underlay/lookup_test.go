package underlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hedgerow/nat/nat64"
)

// resolver is a double of net.Resolver.
type resolver struct {
	r     *rig
	names map[string][]netip.Addr
	hangs bool          // until the context ends
	slow  time.Duration // for how long it thinks about the prefix of a NAT64
	asked []string
}

// mu calls f while nobody asks.
func (n *resolver) mu(f func()) {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	f()
}

func (n *resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	n.r.mu.Lock()
	n.asked = append(n.asked, fmt.Sprintf("%v %s %s", n.r.since(), network, host))
	list, ok := n.names[host]
	hangs, slow := n.hangs, n.slow
	n.r.mu.Unlock()
	if host == nat64.Name {
		time.Sleep(slow)
	}
	if hangs {
		noteNameServer(ctx, "192.0.2.53:53")
		noteNameServer(ctx, "[2001:db8::53]:53")
		<-ctx.Done()
		return nil, &net.DNSError{Err: ctx.Err().Error(), IsTimeout: true}
	}
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return list, nil
}

// find has the resolver know a name from now on, and answer.
func (n *resolver) find(host string, list ...string) {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	n.hangs = false
	for _, a := range list {
		n.names[host] = append(n.names[host], netip.MustParseAddr(a))
	}
}

// times returns when a name was asked for.
func (n *resolver) times(host string) (list []string) {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	for _, s := range n.asked {
		if at, found := strings.CutSuffix(s, " "+host); found {
			list = append(list, at)
		}
	}
	return list
}

// Names are looked up until they have an address, after 1, 2, 4, 8, 16 and then always 30 s.
func TestLookUp(t *testing.T) {
	n := &resolver{names: map[string][]netip.Addr{"empty.example": nil}}
	turns := turnServers{}
	inRig(t, func(r *rig, cfg *Config) {
		n.r = r
		cfg.Resolver = n
		cfg.STUN = []string{"stun.example:3478", "empty.example:3478"}
		cfg.TURN = []TURNServer{{Host: "turn.example", Port: 3479, User: "u", Password: "p"}, {Host: "2001:db8::3", Port: 3479}}
		turns.into(r, cfg)
	}, func(r *rig) {
		r.Start(time.Now(), nil)
		r.run(100 * time.Second)
		r.logged("it has no address", true)
		want := []string{"0s ip", "1s ip", "3s ip", "7s ip", "15s ip", "31s ip", "1m1s ip", "1m31s ip"}
		for _, host := range []string{"stun.example", "empty.example"} {
			if got := n.times(host); !slices.Equal(got, want) {
				t.Errorf("%s was asked for at %q", host, got)
			}
		}
		n.find("stun.example", "::ffff:198.51.100.1", "198.51.100.2")
		n.find("turn.example", "198.51.100.3")
		r.run(30 * time.Second)
		if got := n.times("turn.example"); !slices.Equal(got[:2], []string{"0s ip4", "1s ip4"}) || len(n.times("2001:db8::3")) < len(want) {
			t.Errorf("a TURN server was asked for at %q", got)
		}
		if sent := r.asked(); len(sent) == 0 || sent[0].to != addr("198.51.100.1:3478") || sent[0].at != 121*time.Second {
			t.Errorf("STUN went to %v", sent)
		}
		if s := r.TURN.servers; len(s) != 1 || s[0].addr != addr("198.51.100.3:3479") || s[0].user != "u" || s[0].password != "p" {
			t.Errorf("TURN servers are %v", s)
		}
	})
}

// A network that appears has every name looked up at once that has no address: also one
// whose look-up hangs, since that asks name servers of before.
func TestLookUpOnNewNetwork(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		n := &resolver{names: map[string][]netip.Addr{}, hangs: hangs}
		inRig(t, func(r *rig, cfg *Config) {
			n.r = r
			cfg.Resolver = n
			cfg.STUN = []string{"stun.example:3478"}
		}, func(r *rig) {
			r.Start(time.Now(), nil)
			r.run(40 * time.Second)
			before := len(n.times("stun.example"))
			n.find("stun.example", "198.51.100.1")
			r.NetworkChanged(time.Now())
			r.run(time.Second)
			if got := n.times("stun.example"); len(got) != before+1 || got[before] != "40s ip" {
				t.Errorf("hangs %v: asked for at %q", hangs, got)
			}
			if sent := r.asked(); len(sent) == 0 || sent[0].to != addr("198.51.100.1:3478") || sent[0].at != 40*time.Second {
				t.Errorf("hangs %v: STUN went to %v", hangs, sent)
			}
			r.run(time.Minute)
			if got := n.times("stun.example"); len(got) != before+1 {
				t.Errorf("hangs %v: a look-up that counts no more had an effect: %q", hangs, got)
			}
		})
	}
}

// That name servers do not answer is told after four seconds, with their names, while the
// look-up goes on; and of many addresses a few are used.
func TestLookUpSlow(t *testing.T) {
	n := &resolver{names: map[string][]netip.Addr{}, hangs: true}
	inRig(t, func(r *rig, cfg *Config) {
		n.r = r
		cfg.Resolver = n
	}, func(r *rig) {
		type outcome struct {
			at   time.Duration
			list int
			err  error
		}
		var told []outcome
		x := r.Names.New("ip", "vps.example", func(_ time.Time, list []netip.Addr, err error) {
			told = append(told, outcome{r.since(), len(list), err})
		})
		x.LookUp(time.Now())
		r.run(lookUpSlow)
		var dns *net.DNSError
		if len(told) != 1 || told[0].at != lookUpSlow || !errors.As(told[0].err, &dns) || !dns.IsTimeout || dns.Server != "192.0.2.53, 2001:db8::53" || !x.Pending() {
			t.Fatalf("told %+v", told)
		}
		for range 40 {
			n.find("vps.example", "198.51.100.1")
		}
		r.run(20 * time.Second)
		if len(told) != 3 || told[2].err != nil || told[2].list != maxAnswers || x.Pending() {
			t.Errorf("told %+v", told)
		}
	})
}

// The resolver of the system says which name servers it waits for, also where its sockets
// are kept out of the overlay. The name servers are played by a socket that does not answer.
func TestNameServersAreNoted(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var kept atomic.Int32
	control := func(_, address string, _ syscall.RawConn) error { kept.Add(1); return nil }
	for i, of := range []*net.Resolver{SystemResolver, NewResolver(control)} {
		var noting sync.WaitGroup
		r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			noting.Add(1)
			defer noting.Done()
			return of.Dial(ctx, "udp", silent.LocalAddr().String())
		}}
		var s nameServers
		ctx, cancel := context.WithTimeout(s.of(t.Context()), 200*time.Millisecond)
		defer cancel()
		_, err = r.LookupNetIP(ctx, "ip", "vps.example.")
		noting.Wait()
		var dns *net.DNSError
		if err = s.blame(err); !errors.As(err, &dns) || dns.Server != "127.0.0.1" || !dns.IsTimeout || of.PreferGo != (i == 1) || (kept.Load() > 0) != (i == 1) {
			t.Errorf("%d: %v, %d sockets", i, err, kept.Load())
		}
		other := errors.New("another")
		if s.blame(other) != other {
			t.Error("another error was changed")
		}
	}
}
