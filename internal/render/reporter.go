package render

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// eventQueue is how many events may wait to be written. A terminal that stands
// still must not hold up the edge; what does not fit is counted.
const eventQueue = 256

// ReporterConfig says what a Reporter writes, and where.
type ReporterConfig struct {
	// Out gets the lines for the user, Log what asks the user to act.
	Out io.Writer
	Log *slog.Logger
	// LogOnly sends the lines to the log as well, for programs that read it.
	LogOnly bool
	// Messages puts the events into words.
	Messages Messages
}

// Reporter writes what happens to an edge: how it starts, line by line, and then
// every change of a peer's path with the time of day. Sentences that ask
// the user to act go to the log.
type Reporter struct {
	cfg    ReporterConfig
	ready  bool // the start is over; the writing goroutine's own
	queue  chan control.Event
	lost   atomic.Uint64
	closed chan struct{}

	mu      sync.Mutex
	refused string // the sentence of the refusal that ends the edge
}

// NewReporter returns a Reporter, whose goroutine ends with Close.
func NewReporter(cfg ReporterConfig) *Reporter {
	r := &Reporter{cfg: cfg, queue: make(chan control.Event, eventQueue), closed: make(chan struct{})}
	go r.run()
	return r
}

// Opened is what an edge has before it asks the network.
type Opened struct {
	// Program and Version are the command's.
	Program, Version string
	// Device is the name of the TAP device, MAC its hardware address and MTU its
	// MTU in bytes.
	Device, MAC string
	MTU         int
	// ID is the identity in short form, and Created says that it is new.
	ID      string
	Created bool
}

// Opened writes the first lines, before the first event.
func (r *Reporter) Opened(o Opened) {
	m := &r.cfg.Messages
	r.line("", fmt.Sprintf("%s %s  community %q  device %s (TAP, mac %s, mtu %d)", o.Program, o.Version, m.Community, o.Device, o.MAC, o.MTU))
	from := "from " + m.IdentityFile
	if o.Created {
		from = "new, saved in " + m.IdentityFile
	}
	r.line("identity", fmt.Sprintf("%s (%s)", o.ID, from))
}

// Event accepts an event. It never blocks; it must not be called after Close.
func (r *Reporter) Event(ev control.Event) {
	if ev.Kind == control.EventAddressRefused {
		r.mu.Lock()
		r.refused = r.cfg.Messages.Of(ev).Text
		r.mu.Unlock()
	}
	select {
	case r.queue <- ev:
	default:
		r.lost.Add(1)
	}
}

// Refusal returns the sentence for an edge that ended because its static
// address is held by another one.
func (r *Reporter) Refusal() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == "" {
		return "the static address is already used by another edge: choose another one with -a."
	}
	return r.refused
}

// Close writes what still waits.
func (r *Reporter) Close() {
	close(r.queue)
	<-r.closed
}

// run writes events until Close.
func (r *Reporter) run() {
	defer close(r.closed)
	for ev := range r.queue {
		r.write(ev)
		if n := r.lost.Swap(0); n > 0 {
			r.cfg.Log.Warn(fmt.Sprintf("%d events were not shown: they came faster than they could be printed", n))
		}
	}
}

// write writes one event to where its kind belongs.
func (r *Reporter) write(ev control.Event) {
	m := r.cfg.Messages.Of(ev)
	switch ev.Kind {
	case control.EventAddressRefused:
		// It ends the process, which prints the sentence at last.
	case control.EventReady:
		r.line("", m.Text)
		r.ready = true
	case control.EventPeerPath, control.EventPeerGone:
		r.news(ev, m)
	case control.EventRegistered, control.EventLease, control.EventMapping, control.EventSegment:
		if r.ready {
			r.news(ev, m)
		} else {
			r.line(m.Label, m.Text)
		}
	default:
		r.log(m)
	}
}

// line writes one line of the start, under its label.
func (r *Reporter) line(label, text string) {
	if r.cfg.LogOnly {
		r.cfg.Log.Info(text, "about", label)
		return
	}
	if label != "" {
		text = fmt.Sprintf("%-10s %s", label, text)
	}
	fmt.Fprintln(r.cfg.Out, format.Printable(text))
}

// news writes one line with the time of day, after the start.
func (r *Reporter) news(ev control.Event, m Message) {
	text := m.Label + " " + m.Text
	if r.cfg.LogOnly {
		r.cfg.Log.Info(text)
		return
	}
	fmt.Fprintf(r.cfg.Out, "%s %s\n", ev.Time.Local().Format("15:04:05"), format.Printable(text))
}

// log writes a sentence to the log.
func (r *Reporter) log(m Message) {
	switch {
	case m.Text == "":
	case m.Err != nil:
		r.cfg.Log.Log(context.Background(), m.Level, m.Text, "err", m.Err)
	default:
		r.cfg.Log.Log(context.Background(), m.Level, m.Text)
	}
}
