package stream

import (
	"context"
	"strings"
	"sync/atomic"
	"time"
)

// stagger is how long Dial waits for one port before it tries the next besides.
const stagger = 250 * time.Millisecond

// DialError says for each port why no stream could be opened.
type DialError struct {
	// Attempts are the errors of the ports in the order of DialConfig.Ports;
	// ports that were not tried have none.
	Attempts []error
}

// Error lists the attempts.
func (e *DialError) Error() string {
	texts := make([]string, len(e.Attempts))
	for i, err := range e.Attempts {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the attempts.
func (e *DialError) Unwrap() []error { return e.Attempts }

// Dial opens a stream. It tries the ports one after another, 250 ms apart or as
// soon as one has failed, and uses the first on which a WebSocket opens; it
// closes the other connections. The error is a *DialError, or names a fault of
// cfg.
//
// The stream lives until ctx ends, Close is called, the other end closes it or
// nothing has come for 90 s. Its goroutines have ended when Done is closed.
func Dial(ctx context.Context, cfg DialConfig) (*Conn, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	won, err := cfg.race(ctx)
	if err != nil {
		return nil, err
	}
	won.liveness.admit()
	return newConn(ctx, won, cfg.Deliver), nil
}

// outcome is the result of an attempt.
type outcome struct {
	index int // in DialConfig.Ports
	flow  *flow
	err   error
}

// race tries all ports and returns the first that opens. It has joined every
// attempt when it returns.
func (c *DialConfig) race(ctx context.Context) (*flow, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	outcomes := make(chan outcome)
	begun, running := 0, 0
	next := time.NewTimer(0)
	defer next.Stop()
	faults := make([]error, len(c.Ports))
	for {
		select {
		case <-next.C:
			if begun == len(c.Ports) {
				continue
			}
			go func(index int) { outcomes <- c.try(ctx, index) }(begun)
			begun++
			running++
			next.Reset(stagger)
		case o := <-outcomes:
			running--
			switch {
			case o.err == nil:
				cancel()
				dismiss(outcomes, running)
				return o.flow, nil
			case running == 0 && (begun == len(c.Ports) || ctx.Err() != nil):
				faults[o.index] = o.err
				return nil, dialError(faults)
			}
			faults[o.index] = o.err
			next.Reset(0)
		}
	}
}

// try makes one attempt.
func (c *DialConfig) try(ctx context.Context, index int) outcome {
	ws, p, err := attempt{cfg: c, port: c.Ports[index]}.dial(ctx)
	if err != nil {
		return outcome{index: index, err: err}
	}
	return outcome{index: index, flow: newFlow(ws, p, new(atomic.Uint64))}
}

// dismiss waits for n attempts that were not used and closes what they opened.
func dismiss(outcomes <-chan outcome, n int) {
	for range n {
		if o := <-outcomes; o.err == nil {
			_ = o.flow.ws.CloseNow()
		}
	}
}

// dialError gathers the faults there were.
func dialError(faults []error) *DialError {
	e := &DialError{}
	for _, err := range faults {
		if err != nil {
			e.Attempts = append(e.Attempts, err)
		}
	}
	return e
}
