package sim

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/dataplane"
	"hedgerow/nat/nattest"
	"hedgerow/nat/stun"
	"hedgerow/protocol"
)

// seen is one datagram as a middlebox sees it.
type seen struct {
	out   bool // from the client
	size  int
	stun  bool
	first byte
}

// signs counts what the flow of one client shows of this protocol: STUN beside noise, the
// lengths of a question and its answer in a handshake, one length that most short datagrams
// have, and a beginning that is not noise.
func signs(flow []seen) (n int) {
	var plain, shaken bool
	short, firsts := make(map[int]int), make(map[byte]int)
	count := 0
	for i, d := range flow {
		plain = plain || d.stun
		if i > 0 && i < 40 && flow[i-1].out && !d.out {
			pair := [2]int{flow[i-1].size, d.size}
			shaken = shaken || pair == [2]int{protocol.InitLen, protocol.RespLen} || pair == [2]int{protocol.HelloLen, protocol.WelcomeLen} || pair == [2]int{protocol.InitLen, protocol.CookieLen}
		}
		if d.size < 250 {
			short[d.size]++
			count++
		}
		firsts[d.first]++
	}
	most := func(counts map[int]int) (m int) {
		for _, c := range counts {
			m = max(m, c)
		}
		return m
	}
	begins := 0
	for _, c := range firsts {
		begins = max(begins, c)
	}
	for _, sign := range []bool{plain, shaken, count > 20 && most(short)*3 > count, begins*4 > len(flow)} {
		if sign {
			n++
		}
	}
	return n
}

// captured runs pairs of edges that are relayed and returns the flow of each with the
// supernode, and how many bytes all had.
func captured(t *testing.T, seed uint64, key []byte, padding dataplane.Padding, pairs int) (flows [][]seen, bytes int) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, seed)
		defer w.Close()
		var mu sync.Mutex
		by := make(map[netip.AddrPort]int)
		w.Net.Tap(func(from, to netip.AddrPort, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			far, out := from, true
			if from.Addr() == supernodeAddr {
				far, out = to, false
			}
			far = netip.AddrPortFrom(far.Addr(), 0) // a NAT may give it a port for each destination
			at, known := by[far]
			if !known {
				at = len(flows)
				by[far], flows = at, append(flows, nil)
			}
			flows[at] = append(flows[at], seen{out, len(b), stun.IsMessage(b), b[0]})
			bytes += len(b)
		})
		sn := w.SupernodeWith(Beside{ObfsKey: key}, supernodeAddr)
		var sinks [8]Sink
		var edges []*Edge
		for i := range 2 * pairs {
			o := Options{Supernodes: []*Supernode{sn}, Reach: edge.Reach{Padding: padding}, Around: Around{NoPin: i%2 == 0}}
			edges = append(edges, w.Edge(behind(nattest.Symmetric)(w.Net, i), with(o, fmt.Sprint("edge", i), &sinks[i])))
		}
		time.Sleep(time.Second)
		for i := range pairs {
			w.Flow(edges[2*i], edges[2*i+1].MAC, &sinks[2*i+1]).For(10*time.Second, 200*time.Millisecond)
		}
		time.Sleep(time.Minute)
		for _, e := range edges {
			e.Stop()
		}
		sn.Stop()
	})
	return flows, bytes
}

// others are flows of other protocols over UDP that a middlebox may not take for this one: of
// media, whose lengths vary, and of a transfer.
func others(random *rand.Rand) (flows [][]seen) {
	for i := range 40 {
		var flow []seen
		for range 200 {
			size := 60 + random.IntN(1200)
			if i%2 == 0 && random.IntN(10) > 0 {
				size = 1200 + random.IntN(3)
			}
			flow = append(flow, seen{out: random.IntN(3) == 0, size: size, first: byte(random.Uint32())})
		}
		flows = append(flows, flow)
	}
	return flows
}

// A simple classifier of a middlebox, whose threshold is learnt from flows with a supernode and
// from others, recognises edges without an obfuscation key and padding, and does not recognise
// them with both.
func TestClassifier(t *testing.T) {
	least, most := 99, 0
	train, plainBytes := captured(t, 81, nil, dataplane.PaddingOff, 2)
	for _, f := range train {
		least = min(least, signs(f))
	}
	for _, f := range others(rand.New(rand.NewPCG(1, 2))) {
		most = max(most, signs(f))
	}
	threshold := most + 1
	if least < threshold {
		t.Fatalf("it cannot be taught: the flows of edges have %d signs at least, others up to %d", least, most)
	}
	recognised := func(flows [][]seen) (n int) {
		for _, f := range flows {
			if signs(f) >= threshold {
				n++
			}
		}
		return n
	}
	plain, _ := captured(t, 82, nil, dataplane.PaddingOff, 2)
	if n := recognised(plain); n < len(plain) {
		t.Errorf("%d of %d flows are recognised that hide nothing", n, len(plain))
	}
	if n := recognised(others(rand.New(rand.NewPCG(3, 4)))); n > 0 {
		t.Errorf("%d flows of others are taken for those of edges", n)
	}
	if padded, _ := captured(t, 83, nil, dataplane.PaddingLight, 2); recognised(padded) < len(padded) {
		t.Errorf("padding alone hides %d of %d flows, which docs/hiding.md says it does not", len(padded)-recognised(padded), len(padded))
	}
	for _, p := range []dataplane.Padding{dataplane.PaddingLight, dataplane.PaddingFull} {
		var all [][]seen
		bytes := 0
		for seed := range uint64(3) {
			flows, n := captured(t, 90+seed, obfsKey, p, 2)
			all, bytes = append(all, flows...), bytes+n
		}
		n := recognised(all)
		t.Logf("%v: %d of %d flows are recognised, and %.2f times the bytes of small frames and pings", p, n, len(all), float64(bytes)/3/float64(plainBytes))
		if n*10 > len(all) { // random lengths are now and then those of a handshake: in one flow of 700
			t.Errorf("%v: %d of %d flows are recognised, 1 in 10 is the most", p, n, len(all))
		}
	}
}
