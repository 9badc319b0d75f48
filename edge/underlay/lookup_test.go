package underlay

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// resolver is a double of net.Resolver.
type resolver struct {
	r     *rig
	names map[string][]netip.Addr
	hangs bool // until the context ends
	asked []string
}

func (n *resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	n.r.mu.Lock()
	n.asked = append(n.asked, fmt.Sprintf("%v %s %s", n.r.since(), network, host))
	list, ok := n.names[host]
	n.r.mu.Unlock()
	if n.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if !ok {
		return nil, errText("no such host")
	}
	return list, nil
}

// Names are looked up every 30 s until they have an address, each for 10 s.
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
		r.run(time.Second)
		r.logged("it has no address", true)
		n.hangs = true
		r.run(40 * time.Second) // the second try of 30 s takes 10 s
		r.logged("deadline exceeded", true)
		r.mu.Lock()
		n.hangs = false
		n.names["stun.example"] = []netip.Addr{netip.MustParseAddr("::ffff:198.51.100.1"), netip.MustParseAddr("198.51.100.2")}
		n.names["turn.example"] = []netip.Addr{netip.MustParseAddr("198.51.100.3")}
		r.mu.Unlock()
		r.run(time.Minute)
		times := slices.Sorted(slices.Values(n.asked))
		want := []string{
			"0s ip empty.example", "0s ip stun.example", "0s ip4 2001:db8::3", "0s ip4 turn.example",
			"1m10s ip empty.example", "1m10s ip stun.example", "1m10s ip4 2001:db8::3", "1m10s ip4 turn.example",
			"1m40s ip empty.example", "1m40s ip4 2001:db8::3",
			"30s ip empty.example", "30s ip stun.example", "30s ip4 2001:db8::3", "30s ip4 turn.example",
		}
		if !slices.Equal(times, want) {
			t.Errorf("asked were %q", times)
		}
		if sent := r.asked(); len(sent) == 0 || sent[0].to != addr("198.51.100.1:3478") || sent[0].at != 70*time.Second {
			t.Errorf("STUN went to %v", sent)
		}
		if s := r.TURN.servers; len(s) != 1 || s[0].addr != addr("198.51.100.3:3479") || s[0].user != "u" || s[0].password != "p" {
			t.Errorf("TURN servers are %v", s)
		}
	})
}
