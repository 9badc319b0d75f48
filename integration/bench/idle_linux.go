package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// What -idle starts: an edge alone, one with idlePeers peers, and as many more that the
// supernode has idleEdges.
const (
	idlePeers = 10
	idleEdges = 100
	// idleSettles is how long they are left alone before anything is counted: the first
	// keepalives are more frequent until it is known how long mappings live (docs/NAT.md).
	idleSettles = 100 * time.Second
)

// idlers are the programs of -idle.
type idlers struct {
	*scene
	alone, met *rig.Program
	others     []*rig.Program
}

// countWakeUps measures how often edges and a supernode wake up that nobody uses.
func countWakeUps(ctx context.Context, c settings, length time.Duration) (err error) {
	s := &idlers{scene: &scene{life: ctx, rig: rig.Rig{Programs: c.programs}, cpus: c.cpus}}
	defer func() { err = errors.Join(err, s.close()) }()
	if s.rig.Dir, err = os.MkdirTemp("", "hedgerow-bench-"); err != nil {
		return err
	}
	if s.lab, err = lab.New("idle"); err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, 24*patience)
	defer cancel()
	if err := s.start(starting); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d edges are left alone for %v and looked at for %v\n", idleEdges, idleSettles, length)
	if err := sleep(ctx, idleSettles); err != nil {
		return err
	}
	return s.count(ctx, length)
}

// count prints how often the programs of interest wake up.
func (s *idlers) count(ctx context.Context, length time.Duration) (err error) {
	watched := []struct {
		title string
		of    *rig.Program
	}{
		{"edge without peers", s.alone},
		{fmt.Sprintf("edge with %d peers, direct paths, no traffic", idlePeers), s.met},
		{fmt.Sprintf("supernode with %d edges", idleEdges), s.super},
	}
	before, began := make([]wakings, len(watched)), time.Now()
	for i, w := range watched {
		if before[i], err = wakingsOf(w.of.Pid()); err != nil {
			return err
		}
	}
	if err := sleep(ctx, length); err != nil {
		return err
	}
	fmt.Printf("Wake-ups of processes that nobody uses, %v; %s\n\n| Process | wake-ups a second | CPU ms a minute |\n|---|---|---|\n", length, machine(s.cpus))
	for i, w := range watched {
		now, err := wakingsOf(w.of.Pid())
		if err != nil {
			return err
		}
		seconds := time.Since(began).Seconds()
		fmt.Printf("| %s | %.1f | %.0f |\n", w.title, float64(now.count-before[i].count)/seconds, (now.cpu-before[i].cpu).Seconds()*1e3*60/seconds)
	}
	return nil
}

// start starts all programs, and has the edge with peers meet each of them.
func (s *idlers) start(ctx context.Context) error {
	host, err := s.lab.Host("super", publicSuper)
	if err != nil {
		return err
	}
	if s.super, err = s.rig.Supernode(s.life, host, "super"); err != nil {
		return err
	}
	if err := s.super.Await(ctx, "listening on"); err != nil {
		return err
	}
	if s.alone, err = s.edge("alone", "198.51.100.1", "alone"); err != nil {
		return err
	}
	for i := range 1 + idlePeers {
		p, err := s.edge(fmt.Sprint("member", i), fmt.Sprintf("198.51.100.%d", 10+i), "town")
		if err != nil {
			return err
		}
		if s.others = append(s.others, p); i == 0 {
			s.met = p
		}
	}
	if err := s.crowd(); err != nil {
		return err
	}
	for _, p := range append(s.others, s.alone) {
		if err := p.Await(ctx, "ready"); err != nil {
			return err
		}
	}
	for _, p := range s.others[1 : 1+idlePeers] {
		if err := s.meet(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// edge starts an edge of a community on a public host of its own.
func (s *idlers) edge(name, address, community string) (*rig.Program, error) {
	h, err := s.lab.Host(name, address)
	if err != nil {
		return nil, err
	}
	return s.rig.Edge(s.life, h, name, "-l", publicSuper+superPort, "-c", community, "--insecure-no-encryption")
}

// crowd starts the edges that the supernode has beside, each in a community of its own,
// on one host.
func (s *idlers) crowd() error {
	h, err := s.lab.Host("crowd", "198.51.100.100")
	if err != nil {
		return err
	}
	for i := range idleEdges - 2 - idlePeers {
		name := fmt.Sprint("crowd", i)
		dir := filepath.Join(s.rig.Dir, name)
		p, err := s.rig.Run(s.life, h, name, dir+".sock", s.rig.Programs.Edge, "--name", name, "-d", name, "-p", "0", "--state-dir", dir, "--control", dir+".sock",
			"-l", publicSuper+superPort, "-c", name, "--insecure-no-encryption")
		if err != nil {
			return err
		}
		s.others = append(s.others, p)
	}
	return nil
}

// meet pings a peer of the edge with peers until it answers directly.
func (s *idlers) meet(ctx context.Context, peer *rig.Program) error {
	status, err := s.rig.Status(ctx, peer)
	if err != nil {
		return err
	}
	for {
		out, err := s.met.Host.Command(ctx, s.rig.Programs.Edge, "ping", "--until-direct", "--control", s.met.Socket, status.ID).CombinedOutput()
		if err == nil {
			return nil
		}
		if sleep(ctx, time.Second) != nil {
			return fmt.Errorf("%s does not reach %s: %w\n%s", s.met.Name, peer.Name, err, out)
		}
	}
}

// close ends the programs beside those of the scene, and the scene.
func (s *idlers) close() error {
	for _, p := range append(s.others, s.alone) {
		if p != nil {
			_ = p.Signal(os.Interrupt)
		}
	}
	return s.scene.close()
}

// wakings are what a process has done so far: how often one of its threads has slept, and
// for how long they have run.
type wakings struct {
	count int
	cpu   time.Duration
}

// wakingsOf reads them from /proc (proc_pid_status(5), proc_pid_schedstat(5)). A thread
// that sleeps has to be woken: each voluntary switch is a wake-up.
func wakingsOf(pid int) (w wakings, err error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(threads) == 0 {
		return w, fmt.Errorf("process %d is gone: %w", pid, errors.Join(err, os.ErrProcessDone))
	}
	for _, t := range threads {
		status, err := os.ReadFile(filepath.Join(t, "status"))
		if err != nil {
			return w, err
		}
		for line := range bytes.Lines(status) {
			if text, ok := bytes.CutPrefix(line, []byte("voluntary_ctxt_switches:")); ok {
				n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
				if err != nil {
					return w, err
				}
				w.count += n
			}
		}
		ran, err := os.ReadFile(filepath.Join(t, "schedstat"))
		if err != nil {
			return w, err
		}
		var ns int64
		if _, err := fmt.Sscan(string(ran), &ns); err != nil {
			return w, err
		}
		w.cpu += time.Duration(ns)
	}
	return w, nil
}
