package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"hedgerow/integration/lab"
)

// generateWord is the first argument of this program when it is a generator;
// the second one is its task.
const generateWord = "generate"

// A task is what one generator does. Fields that its kind does not need are
// zero.
type task struct {
	Kind string
	Addr netip.AddrPort // where the listener listens and the sender sends

	Streams int           // TCP connections
	Warmup  time.Duration // of TCP, not measured
	Length  time.Duration // of the measurement; of a UDP sender: how long it sends

	Size  int     // UDP payload in bytes
	Rate  float64 // datagrams or pings a second
	Count uint64  // datagrams or pings to send
	Flows int     // UDP sockets to send from
	Run   uint64  // tells the datagrams of one trial from those of another one
	Allow uint64  // losses after which a receiver may give up; 0: never

	CPUs []int // whose time is counted
	Pids []int // processes whose time is counted
}

// generators are the kinds of tasks. Each says ready on out as soon as the
// other side may begin, and returns what it has found out.
var generators = map[string]func(t task, ready func()) (any, error){
	"tcp-read":  readStreams,
	"tcp-write": writeStreams,
	"udp-read":  readDatagrams,
	"udp-write": writeDatagrams,
	"ping":      sendPings,
}

// generate is the main function of a generator.
func generate(text string, out io.Writer) error {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return err
	}
	run, ok := generators[t.Kind]
	if !ok {
		return fmt.Errorf("no generator is called %q", t.Kind)
	}
	found, err := run(t, func() { fmt.Fprintln(out, "ready") })
	if err != nil {
		return fmt.Errorf("%s %s: %w", t.Kind, t.Addr, err)
	}
	return json.NewEncoder(out).Encode(found)
}

// generator is a running task.
type generator struct {
	task   task
	host   *lab.Host
	cmd    *lab.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// start starts a generator on a host.
func start(ctx context.Context, h *lab.Host, t task) (*generator, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	g := &generator{task: t, host: h, cmd: h.Command(ctx, self, generateWord, string(text))}
	g.cmd.Stderr = &g.stderr
	if g.stdin, err = g.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := g.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	g.stdout = bufio.NewReader(out)
	return g, g.cmd.Start()
}

// ready waits until a listener listens.
func (g *generator) ready() error {
	line, err := g.stdout.ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "ready" {
		return g.fail(err)
	}
	return nil
}

// stop tells a receiver that nothing more is sent.
func (g *generator) stop() { g.stdin.Close() }

// result waits for what the generator has found out.
func (g *generator) result(v any) error {
	line, err := g.stdout.ReadBytes('\n')
	if err != nil {
		return g.fail(err)
	}
	if err := json.Unmarshal(line, v); err != nil {
		return g.fail(err)
	}
	return g.cmd.Wait()
}

// kill ends a generator whose result is not wanted any more.
func (g *generator) kill() {
	// Its error says that it was killed.
	_ = g.cmd.Kill()
}

// fail ends the generator and says why it did not do what it should.
func (g *generator) fail(err error) error {
	// It may have ended by itself, with the reason on its standard error.
	time.Sleep(10 * time.Millisecond)
	ended := g.cmd.Kill()
	return fmt.Errorf("generator %s on %s: %w (%w) %s", g.task.Kind, g.host.Name(), err, ended, strings.TrimSpace(g.stderr.String()))
}
