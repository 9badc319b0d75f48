package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Conn is a stream to a supernode. Its methods may be called from any goroutine.
type Conn struct {
	*flow
	done chan struct{}
	err  error // why it ended; valid when done is closed
}

// newConn starts the life of a stream that was dialled. It lasts until ctx ends.
func newConn(ctx context.Context, f *flow, deliver func(pkt []byte)) *Conn {
	c := &Conn{flow: f, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.err = c.run(ctx, true, deliver)
	}()
	return c
}

// Send queues a packet, which is copied, and never blocks. One of up to 400 bytes goes
// ahead of those that are longer. A packet that finds the queue of its kind full
// (64 KiB and 256 KiB), waits there for more than 150 ms and a round trip while more
// than 16 KiB do, is longer than MaxPacket or empty, or comes after the end is dropped
// and counted.
func (c *Conn) Send(pkt []byte) { c.send(pkt) }

// Dropped returns how many packets Send has dropped.
func (c *Conn) Dropped() uint64 { return c.dropped.Load() }

// Done returns a channel that is closed when the stream has ended, and its
// goroutines with it.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns nil while the stream lives, and then why it ended, in a sentence:
// net.ErrClosed after Close, and the context's error when that has ended.
func (c *Conn) Err() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// Close sends the queued packets, for half a second at most, ends the stream and
// returns when its goroutines have ended. It may be called any number of times,
// but not by the callback of received packets.
func (c *Conn) Close() {
	c.shut()
	<-c.done
}

// flow is a stream's packets between its two ends, on either side.
type flow struct {
	ws       *websocket.Conn
	liveness *liveness
	queue    *queue
	window   *window
	tasks    sync.WaitGroup // of run
	start    time.Time
	wrote    atomic.Int64 // nanoseconds after start of the last message's end
	dropped  *atomic.Uint64
}

func newFlow(ws *websocket.Conn, p *liveness, dropped *atomic.Uint64) *flow {
	ws.SetReadLimit(maxMessage)
	return &flow{ws: ws, liveness: p, queue: newQueue(dropped), window: newWindow(), start: time.Now(), dropped: dropped}
}

func (f *flow) send(pkt []byte) {
	if len(pkt) == 0 || len(pkt) > MaxPacket || !f.queue.put(pkt) {
		f.dropped.Add(1)
	}
}

// shut makes run send the queued packets, and end.
func (f *flow) shut() {
	_ = f.liveness.wire.SetWriteDeadline(time.Now().Add(closeTime))
	f.queue.close()
	f.window.release()
}

// run carries packets until ctx ends, the other end leaves or is silent, or shut
// was called. It returns why, and has joined its goroutines then.
func (f *flow) run(ctx context.Context, pings bool, deliver func(pkt []byte)) error {
	ctx, stop := context.WithCancelCause(ctx)
	f.tasks.Go(func() { stop(f.write(ctx)) })
	if pings {
		f.tasks.Go(func() { f.ping(ctx) })
	}
	stop(f.read(ctx, deliver)) // the end of ctx ends it
	f.queue.close()
	f.tasks.Wait()
	_ = f.ws.CloseNow()
	return context.Cause(ctx)
}

// read delivers the packets that arrive, until the connection ends.
func (f *flow) read(ctx context.Context, deliver func(pkt []byte)) error {
	buf := make([]byte, MaxPacket) // grows to the longest message
	for {
		kind, r, err := f.ws.Reader(ctx)
		if err != nil {
			return f.readError(err)
		}
		n := 0
		if buf, n, err = readMessage(r, buf); err != nil {
			return f.readError(err)
		}
		if kind != websocket.MessageBinary {
			return errFrame
		}
		f.liveness.heard()
		for message := buf[:n]; len(message) > 0; {
			var pkt []byte
			if pkt, message, err = nextPacket(message); err != nil {
				return err
			}
			deliver(pkt)
		}
	}
}

// readMessage reads a message into buf, or into a longer one when it does not fit,
// and returns that. The WebSocket's limit bounds it.
func readMessage(r io.Reader, buf []byte) (longer []byte, n int, err error) {
	for {
		if n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		more, err := r.Read(buf[n:])
		n += more
		if errors.Is(err, io.EOF) {
			return buf, n, nil
		}
		if err != nil {
			return buf, n, err
		}
	}
}

// Why streams end.
var (
	errStranger = errors.New("no edge registered in time")
	errSilent   = fmt.Errorf("nothing came for %v", idleTime)
	errLeft     = errors.New("the other end closed the stream")
)

// readError puts the end of reading into words.
func (f *flow) readError(err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) && f.liveness.isStrange():
		return errStranger
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSilent
	case errors.Is(err, io.EOF), websocket.CloseStatus(err) != -1:
		return errLeft
	}
	return fmt.Errorf("the stream broke: %w", err)
}

// write sends what is queued, as far as the window allows, until the queue is closed
// and empty.
func (f *flow) write(ctx context.Context) error {
	var message []byte
	tired := time.NewTimer(patience)
	defer tired.Stop()
	for {
		room := f.window.room()
		if room > 0 {
			more := true
			if message, more = f.queue.pop(message, room, f.window.rtt()); len(message) > 0 {
				if err := f.writeMessage(ctx, message); err != nil {
					return err
				}
				continue
			}
			if !more {
				return net.ErrClosed
			}
		}
		if err := f.await(ctx, room == 0, tired); err != nil {
			return err
		}
	}
}

// writeMessage sends a message, and a ping behind it when one is due.
func (f *flow) writeMessage(ctx context.Context, message []byte) error {
	err := f.ws.Write(ctx, websocket.MessageBinary, message)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		// shut waits no longer, and neither must TLS, for its own goodbye.
		_ = f.liveness.wire.NetConn().Close()
		return net.ErrClosed
	case err != nil:
		return fmt.Errorf("the stream broke: %w", err)
	}
	now := time.Now()
	f.wrote.Store(int64(now.Sub(f.start)))
	if p, due := f.window.wrote(len(message), now); due {
		f.track(ctx, p)
	}
	return nil
}

// await waits until there may be something to write: for a packet, or while the
// window is full for what opens it. It returns why, when the stream ends.
func (f *flow) await(ctx context.Context, full bool, tired *time.Timer) error {
	ready, late := f.queue.ready, (<-chan time.Time)(nil)
	if full {
		if p, due := f.window.full(time.Now()); due {
			f.track(ctx, p)
		}
		tired.Reset(patience)
		ready, late = nil, tired.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-ready:
	case <-f.window.changed:
	case <-late:
		f.window.tired()
	}
	return nil
}

// track sends a ping of the window's and waits for its answer in the background.
func (f *flow) track(ctx context.Context, p pingOut) {
	f.tasks.Go(func() {
		if f.ws.Ping(ctx) != nil {
			f.window.lost()
			return
		}
		f.window.answered(p, time.Now())
	})
}

// ping sends a ping whenever nothing was sent for pingTime. It does not wait for
// the answer: the deadline of reading tells whether the other end is there.
func (f *flow) ping(ctx context.Context) {
	timer := time.NewTimer(pingTime)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next := time.Duration(f.wrote.Load()) + pingTime - time.Since(f.start)
		if next <= 0 {
			f.pingOnce(ctx)
			next = pingTime
		}
		timer.Reset(next)
	}
}

// pingOnce sends a ping and waits for its answer, but not for long: the next one
// is due.
func (f *flow) pingOnce(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	_ = f.ws.Ping(ctx)
}
