package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/integration/bench/swarm"
	"hedgerow/supernode/admin"
)

// Of the contest of two communities.
const (
	fairPairs  = 100 // greedy ones
	fairPacket = 512 // bytes
	fairLine   = 5e6 // bytes a second, where the line is full
	// fairThreads is how many threads of ours run at once: those of the single pair take the
	// processor from those of the greedy ones.
	fairThreads = 8
	fairEach    = 8e4 // packets a second of the single pair where the processor is full: above its half
)

// fairPromises are what a supernode is held to that is full in one way or another.
func fairPromises(what string) []promise {
	of := func(key string) []string { return []string{"fair/" + what + "-" + key} }
	return []promise{
		{text: what + " full: packets relayed, a second", of: itself, from: of("relayed")},
		{text: what + " full: the single pair's part of them", of: itself, from: of("part"), bound: 0.45, precision: 2},
		{text: what + " idle: ping of the single pair p99, ms", of: itself, from: of("idle"), precision: 2},
		{text: what + " full: ping of the single pair p99, ms", of: itself, from: of("ping"), precision: 2},
		{text: what + " full: ping p99 / idle", of: itself, from: of("ratio"), bound: 3, most: true, precision: 2},
	}
}

// fairness is the measurement of it.
type fairness struct {
	settings
	lasts time.Duration // of each part
	found values
}

// measureFairness has a hundred greedy pairs of one community and a single pair of another
// one share a supernode, when its line is full and when its processor is.
func measureFairness(ctx context.Context, s settings, lasts time.Duration) error {
	if len(s.cpus) < 2 {
		return errors.New("the supernode needs a processor of its own, and whoever sends to it another one")
	}
	fmt.Printf("%s; %d greedy pairs and one; %s.\n\n", machine(s.cpus), fairPairs, time.Now().UTC().Format(time.DateOnly))
	runtime.GOMAXPROCS(fairThreads)
	f := &fairness{settings: s, lasts: lasts, found: values{}}
	line := float64(fairLine) / (fairPacket + 60) // packets that it carries, about
	for _, c := range []struct {
		what    string
		contest swarm.Contest
		more    []string
	}{
		{"line", swarm.Contest{Rate: line, Greedy: fairPairs, GreedyRate: 3 * line, Size: fairPacket}, []string{"--limit", fmt.Sprintf("line-bytes=%.0f", fairLine)}},
		{"processor", swarm.Contest{Rate: fairEach, Greedy: fairPairs, GreedyRate: 1e7, Size: fairPacket}, nil},
	} {
		if err := f.contest(ctx, c.what, c.contest, c.more); err != nil {
			return err
		}
		for _, p := range fairPromises(c.what) {
			if x, ok := p.value(round{"fair": f.found}); ok {
				fmt.Println(p.line(spread{x, x, x}))
			}
		}
	}
	return nil
}

// contest measures one way to be full. The supernode has the last processor, and the edges
// have the others.
func (f *fairness) contest(ctx context.Context, what string, c swarm.Contest, more []string) error {
	dir, err := os.MkdirTemp("", "bench-fair")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var server *server
	last := len(f.cpus) - 1
	if err := on(f.cpus[last], func() (err error) {
		server, err = newServer(ctx, f.programs.Supernode, dir, more...)
		return err
	}); err != nil {
		return err
	}
	defer func() { _ = server.kill() }()
	if err := keepTo(f.cpus[:last]); err != nil {
		return err
	}
	edges, err := swarm.New(swarm.Config{Supernode: server.at, Key: server.key, Edges: 4 * fairPairs, Communities: 2, Workers: 1, Pairs: 1})
	if err != nil {
		return err
	}
	defer edges.Close()
	if _, err := edges.Arrive(ctx, 0, 4*fairPairs, 0, swarmAtOnce); err != nil {
		return err
	}
	quiet, err := edges.Compete(ctx, swarm.Contest{Size: c.Size}, func() error { return sleep(ctx, f.lasts) })
	if err != nil {
		return err
	}
	full, err := f.compete(ctx, what, c, server, edges)
	if err != nil {
		return err
	}
	idle, busy := millisOf(swarm.Quantile(quiet.Pings, 0.99)), millisOf(swarm.Quantile(full.Pings, 0.99))
	f.found[what+"-idle"], f.found[what+"-ping"], f.found[what+"-ratio"] = idle, busy, busy/idle
	return nil
}

// compete is the contest itself, of which the supernode tells who had which part.
func (f *fairness) compete(ctx context.Context, what string, c swarm.Contest, server *server, edges *swarm.Swarm) (full swarm.Outcome, err error) {
	socket := admin.Socket(server.socket())
	var before, after map[string]uint64
	full, err = edges.Compete(ctx, c, func() (err error) {
		if err := sleep(ctx, f.lasts/4); err != nil {
			return err
		}
		if before, err = relayed(ctx, socket); err == nil {
			err = sleep(ctx, f.lasts)
		}
		if err == nil {
			after, err = relayed(ctx, socket)
		}
		return err
	})
	if err != nil {
		return full, err
	}
	counters, err := socket.Counters(ctx)
	if err != nil {
		return full, err
	}
	lost, err := noRoom(server.at.Port())
	if err != nil {
		return full, err
	}
	fmt.Printf("%s: of the single pair %d of %d packets arrived, and %d of %d pings were answered; the greedy ones sent %d, in %v; dropped: %v; %d found no room in the socket\n",
		what, full.Got, full.Sent, full.Answered, len(full.Pings), full.Greedy, full.Over.Round(time.Millisecond), counters.Drops, lost)
	var one, all uint64
	for id, n := range after {
		if all += n - before[id]; id == edges.Community(0) {
			one = n - before[id]
		}
	}
	f.found[what+"-relayed"], f.found[what+"-part"] = float64(all)/f.lasts.Seconds(), float64(one)/float64(all)
	return full, nil
}

// relayed returns how many packets were relayed for each community, by its id.
func relayed(ctx context.Context, socket admin.Socket) (map[string]uint64, error) {
	told, err := socket.Communities(ctx)
	if err != nil {
		return nil, err
	}
	packets := make(map[string]uint64)
	for _, c := range told.Communities {
		packets[c.ID] = c.Relayed.Packets
	}
	return packets, nil
}

// noRoom returns how many datagrams found no room in the sockets on a port.
func noRoom(port uint16) (lost int, err error) {
	for _, table := range []string{"/proc/net/udp", "/proc/net/udp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			// proc(5): local address, remote address, state, queues, ..., drops.
			f := strings.Fields(line)
			if len(f) < 13 || !strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				continue
			}
			n, err := strconv.Atoi(f[12])
			if err != nil {
				return 0, err
			}
			lost += n
		}
	}
	return lost, nil
}

// on starts something on one processor only.
func on(cpu int, start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	return errors.Join(start(), unix.SchedSetaffinity(0, &before))
}
