package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"time"

	"hedgerow/integration/bench/swarm"
)

// Of the measurement of a supernode.
const (
	swarmPairs  = 4
	swarmAtOnce = 256  // edges on their way at any time, where as many as can be arrive
	swarmFlow   = 5000 // relayed packets a second
	swarmPacket = 512  // bytes of each
	swarmStorm  = 1000 // edges that come back at once while packets are relayed
	swarmStorms = 3
)

// swarmTable is what a supernode is held to, with so many edges.
func swarmPromises(edges int) []promise {
	back := 75.0
	if edges <= 10_000 {
		back = 8
	}
	of := func(key string) []string { return []string{"swarm/" + key} }
	return []promise{
		{text: "edges that register, a second", of: itself, from: of("rate"), bound: 3000},
		{text: "CPU of the supernode for each, us", of: itself, from: of("cpu")},
		{text: "registering at half that rate, p50, ms", of: itself, from: of("half-p50"), precision: 1},
		{text: "registering at half that rate, p99, ms", of: itself, from: of("half-p99"), bound: 100, most: true, precision: 1},
		{text: "resident memory of the supernode, MB", of: itself, from: of("rss"), bound: 500, most: true, precision: 1},
		{text: "of it for each registered edge, bytes", of: itself, from: of("each"), bound: 5000, most: true},
		{text: "relaying, p50, ms", of: itself, from: of("quiet-p50"), precision: 2},
		{text: "relaying, p99, ms", of: itself, from: of("quiet-p99"), precision: 2},
		{text: "relaying while edges come back, p50, ms", of: itself, from: of("storm-p50"), precision: 2},
		{text: "relaying while edges come back, p99, ms", of: itself, from: of("storm-p99"), bound: 10, most: true, precision: 2},
		{text: "delivered while edges come back / without them", of: itself, from: of("delivered"), bound: 0.9, precision: 3},
		{text: "after kill -9 half of the edges are back after, s", of: itself, from: of("back-p50"), precision: 1},
		{text: "after kill -9 all edges are back after, s", of: itself, from: of("back"), bound: back, most: true, precision: 1},
	}
}

// measureSupernode measures a supernode with as many edges as the command line says.
func (f flags) measureSupernode(ctx context.Context, s settings) error {
	dir, err := os.MkdirTemp("", "bench-supernode")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	server, err := newServer(ctx, s.programs.Supernode, dir)
	if err != nil {
		return err
	}
	defer func() { _ = server.kill() }()
	edges, err := swarm.New(swarm.Config{
		Supernode: server.at, Key: server.key, Edges: f.edges, Communities: f.communities, Workers: runtime.GOMAXPROCS(0), Pairs: swarmPairs,
	})
	if err != nil {
		return err
	}
	defer edges.Close()
	m := &swarmMeasurement{server: server, edges: edges, count: f.edges, values: values{}}
	began := time.Now()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{{"registering", m.arrive}, {"relaying", m.relay}, {"coming back", m.restart}} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w; %s", step.name, err, &edges.Counts)
		}
		fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(began).Seconds(), step.name)
	}
	fmt.Printf("%s; %d edges in %d communities; %s.\n", machine(s.cpus), f.edges, f.communities, time.Now().UTC().Format(time.DateOnly))
	fmt.Printf("Edges sent and got: %s.\n\n", &edges.Counts)
	for _, p := range swarmPromises(f.edges) {
		if x, ok := p.value(round{"swarm": m.values}); ok {
			fmt.Println(p.line(spread{x, x, x}))
		}
	}
	return nil
}

// swarmMeasurement is one supernode with its edges.
type swarmMeasurement struct {
	server *server
	edges  *swarm.Swarm
	count  int
	values values
}

func millisOf(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// arrive lets half of the edges register as fast as they can, and the others at half of
// that rate.
func (m *swarmMeasurement) arrive(ctx context.Context) error {
	pid := m.server.cmd.Process.Pid
	empty, _, err := memory(pid)
	if err != nil {
		return err
	}
	before, err := m.server.spent()
	if err != nil {
		return err
	}
	half := m.count / 2
	fast, err := m.edges.Arrive(ctx, 0, half, 0, swarmAtOnce)
	if err != nil {
		return err
	}
	after, err := m.server.spent()
	if err != nil {
		return err
	}
	rate := float64(half) / fast.Over.Seconds()
	m.values["rate"], m.values["cpu"] = rate, (after-before)/float64(half)*1e6
	slow, err := m.edges.Arrive(ctx, half, m.count-half, rate/2, 0)
	if err != nil {
		return err
	}
	m.values["half-p50"], m.values["half-p99"] = millisOf(swarm.Quantile(slow.Took, 0.5)), millisOf(swarm.Quantile(slow.Took, 0.99))
	full, _, err := memory(pid)
	m.values["rss"], m.values["each"] = full, (full-empty)*1e6/float64(m.count)
	return err
}

// relay has packets relayed, without anything else and while edges come back.
func (m *swarmMeasurement) relay(ctx context.Context) error {
	quiet, err := m.edges.Relay(ctx, swarmFlow, swarmPacket, func() error { return sleep(ctx, 2*time.Second) })
	if err != nil {
		return err
	}
	m.values["quiet-p50"], m.values["quiet-p99"] = millisOf(swarm.Quantile(quiet.Took, 0.5)), millisOf(swarm.Quantile(quiet.Took, 0.99))
	crowd := min(swarmStorm, m.count/2)
	stormy, err := m.edges.Relay(ctx, swarmFlow, swarmPacket, func() error {
		for range swarmStorms {
			if _, err := m.edges.Arrive(ctx, m.count-crowd, crowd, math.MaxInt32, 0); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	m.values["storm-p50"], m.values["storm-p99"] = millisOf(swarm.Quantile(stormy.Took, 0.5)), millisOf(swarm.Quantile(stormy.Took, 0.99))
	m.values["delivered"] = stormy.Delivered() / quiet.Delivered()
	return nil
}

// restart ends the supernode as a crash does, and waits until all edges are back.
func (m *swarmMeasurement) restart(ctx context.Context) error {
	if err := sleep(ctx, time.Second); err != nil { // what was registered last is on the disk
		return err
	}
	if err := m.server.kill(); err != nil {
		return err
	}
	if err := m.server.start(ctx); err != nil {
		return err
	}
	began := time.Now()
	for {
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
		back := m.edges.Returned(0, m.count, began)
		if len(back) == m.count {
			m.values["back-p50"], m.values["back"] = swarm.Quantile(back, 0.5).Seconds(), swarm.Quantile(back, 1).Seconds()
			return nil
		}
		if time.Since(began) > swarmPatience {
			return fmt.Errorf("%d of %d edges are back after %v", len(back), m.count, swarmPatience)
		}
	}
}

// swarmPatience is for how long edges may take to be back: several times what is wanted.
const swarmPatience = 5 * time.Minute

// sleep waits for a time, or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
