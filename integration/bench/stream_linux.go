package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// Sizes of the calls that move a stream, in bytes.
const (
	writeSize = 128 << 10
	readSize  = 256 << 10
)

// streamed is what the reader of streams has found out.
type streamed struct {
	Bytes   uint64
	Seconds float64
	Machine float64 // CPU seconds of everything
	Edges   float64 // CPU seconds of the processes of the task
}

func (s streamed) gbits() float64 { return float64(s.Bytes) * 8 / 1e9 / s.Seconds }

// perGB is CPU seconds per 10^9 bytes.
func (s streamed) perGB(cpu float64) float64 { return cpu / (float64(s.Bytes) / 1e9) }

// mark is one end of a measured interval.
type mark struct {
	bytes uint64
	at    time.Time
	cpu   times
}

// readStreams accepts the streams and counts what arrives in the interval that
// begins with the warm-up's end.
func readStreams(t task, ready func()) (any, error) {
	listener, err := net.Listen("tcp", t.Addr.String())
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	ready()
	var count atomic.Uint64
	ended := make(chan error, t.Streams)
	for range t.Streams {
		conn, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		go func() { ended <- drain(conn, &count) }()
	}
	take := func(after time.Duration) (m mark, err error) {
		select {
		case err := <-ended:
			return m, fmt.Errorf("a stream ended early: %w", err)
		case <-time.After(after):
		}
		m.cpu, err = readTimes(t.CPUs, t.Pids)
		m.bytes, m.at = count.Load(), time.Now()
		return m, err
	}
	first, err := take(t.Warmup)
	if err != nil {
		return nil, err
	}
	last, err := take(t.Length)
	if err != nil {
		return nil, err
	}
	return streamed{
		Bytes: last.bytes - first.bytes, Seconds: last.at.Sub(first.at).Seconds(),
		Machine: last.cpu.machine - first.cpu.machine, Edges: last.cpu.processes - first.cpu.processes,
	}, nil
}

func drain(conn net.Conn, count *atomic.Uint64) error {
	b := make([]byte, readSize)
	for {
		n, err := conn.Read(b)
		count.Add(uint64(n))
		if err != nil {
			return err
		}
	}
}

// writeStreams writes into its streams until their reader has gone.
func writeStreams(t task, _ func()) (any, error) {
	ended := make(chan error, t.Streams)
	for range t.Streams {
		conn, err := net.Dial("tcp", t.Addr.String())
		if err != nil {
			return nil, err
		}
		go func() { ended <- pour(conn) }()
	}
	for range t.Streams {
		if err := <-ended; !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			return nil, err
		}
	}
	return struct{}{}, nil
}

func pour(w io.WriteCloser) error {
	defer w.Close()
	b := make([]byte, writeSize)
	for {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
}

// Ports of the generators on both hosts.
const (
	streamPort   = 5001
	datagramPort = 5002
)

// streams measures TCP streams from one side to the other one.
func (s *scene) streams(ctx context.Context, from, to *side, count int, l lengths) (got streamed, err error) {
	// What a stalled path may take beyond the plan before it is called broken.
	ctx, cancel := context.WithTimeout(ctx, l.warmup+l.stream+patience)
	defer cancel()
	t := task{Kind: "tcp-read", Addr: to.at(streamPort), Streams: count, Warmup: l.warmup, Length: l.stream,
		CPUs: s.cpus, Pids: s.pids()}
	reader, err := start(ctx, to.host, t)
	if err != nil {
		return got, err
	}
	defer reader.kill()
	if err := reader.ready(); err != nil {
		return got, err
	}
	writer, err := start(ctx, from.host, task{Kind: "tcp-write", Addr: t.Addr, Streams: count})
	if err != nil {
		return got, err
	}
	defer writer.kill()
	if err := reader.result(&got); err != nil {
		return got, err
	}
	if got.Bytes == 0 {
		return got, fmt.Errorf("no byte of %d streams arrived at %s in %v", count, to.host.Name(), l.stream)
	}
	return got, nil
}
