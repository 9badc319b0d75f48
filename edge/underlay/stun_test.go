package underlay

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/nat/stun"
)

// answer is a STUN server's answer to a request.
func answer(t *testing.T, request []byte, seen, other netip.AddrPort) []byte {
	b, err := stun.AppendResponse(nil, request, seen, other)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// asked returns when which servers were asked since the last call.
func (r *rig) asked() (list []datagram) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list, r.sent = r.sent, nil
	return list
}

func TestSTUN(t *testing.T) {
	inRig(t, func(_ *rig, cfg *Config) {
		cfg.STUN = []string{"198.51.100.1:3478", "nonsense", "198.51.100.2:99999"}
	}, func(r *rig) {
		r.Start(time.Now(), nil)
		r.run(0)
		r.logged(`not a STUN server" server=nonsense`, true)
		r.told("0s candidates 1")
		server := addr("198.51.100.1:3478")
		sent := r.asked()
		if len(sent) != 1 || sent[0].to != server {
			t.Fatalf("asked were %v", sent)
		}
		r.run(time.Second)
		good := answer(t, sent[0].pkt, addr("203.0.113.9:2000"), addr("198.51.100.9:3479"))
		r.STUN.Answered(time.Now(), addr("198.51.100.66:3478"), good)
		r.STUN.Answered(time.Now(), server, []byte("nonsense"))
		r.counts(map[Refusal]int{RefusedSTUNAnswer: 2})
		r.STUN.Answered(time.Now(), server, good)
		r.run(0)
		r.told("1s answered 198.51.100.1:3478", "1s candidates 2")
		r.candidates("host 192.0.2.7:7000", "reflexive 203.0.113.9:2000")
		r.STUN.Answered(time.Now(), server, good) // once
		r.counts(map[Refusal]int{RefusedSTUNAnswer: 1})

		// The other port that it named is asked at once, and then both together, every 25 s.
		sent = r.asked()
		if len(sent) != 1 || sent[0].to != addr("198.51.100.1:3479") || sent[0].at != time.Second {
			t.Errorf("asked were %v", sent)
		}
		r.run(25 * time.Second)
		var times []time.Duration
		for _, d := range r.asked() {
			times = append(times, d.at)
		}
		if !slices.Equal(times, []time.Duration{25 * time.Second, 25 * time.Second}) {
			t.Errorf("asked at %v", times)
		}
		// A change of the network asks both at once.
		r.NetworkChanged(time.Now())
		r.run(0)
		if sent = r.asked(); len(sent) != 2 || sent[0].at != 26*time.Second {
			t.Errorf("asked were %v", sent)
		}
		r.STUN.Add(time.Now(), addr("198.51.100.3:7654"))
		r.run(0)
		if sent = r.asked(); len(sent) != 1 || sent[0].to != addr("198.51.100.3:7654") {
			t.Errorf("asked were %v", sent)
		}
		late := answer(t, sent[0].pkt, addr("203.0.113.9:2001"), netip.AddrPort{})
		r.run(3*time.Second + 1)
		r.STUN.Answered(time.Now(), addr("198.51.100.3:7654"), late)
		r.counts(map[Refusal]int{RefusedSTUNAnswer: 1})
	})
}
