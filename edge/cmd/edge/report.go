package main

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"hedgerow/edge"
	"hedgerow/internal/cli"
)

// eventQueue is how many events may wait to be printed. A terminal that stands
// still must not hold up the edge; what does not fit is counted.
const eventQueue = 256

// reporter prints what happens to a person: how the edge starts up, line by
// line, and then every change of a link with the time of day. Sentences that
// ask for something to be done go to the log.
type reporter struct {
	out     io.Writer
	log     *slog.Logger
	plain   bool // lines for a person; otherwise all goes to the log
	options options
	state   string // state directory of the community
	name    string // of the community
	ready   bool   // the start-up is over; the printing goroutine's own

	queue  chan edge.Event
	lost   atomic.Uint64
	closed chan struct{}

	mu      sync.Mutex
	refused string // the sentence of the refusal that ends Run
}

// newReporter returns a reporter whose goroutine ends with close.
func newReporter(out io.Writer, log *slog.Logger, o options, state string) *reporter {
	r := &reporter{
		out: out, log: log, options: o, state: state,
		plain:  o.Log.Format == "" || o.Log.Format == cli.LogFormats[0],
		queue:  make(chan edge.Event, eventQueue),
		closed: make(chan struct{}),
	}
	go r.print()
	return r
}

// opened prints what the start-up has reached before the network is asked.
func (r *reporter) opened(community string, d tapDevice, id, idPath string, created bool) {
	r.name = community
	r.line("", fmt.Sprintf("%s %s  community %q  device %s (TAP, mac %s, mtu %d)",
		program, cli.Release, community, d.Name(), macText(d.MAC()), d.MTU()))
	from := "from " + idPath
	if created {
		from = "new, saved in " + idPath
	}
	r.line("identity", fmt.Sprintf("%s (%s)", id, from))
}

// event takes an event from the edge. It never blocks.
func (r *reporter) event(ev edge.Event) {
	if ev.Kind == edge.EventAddressRefused {
		r.mu.Lock()
		r.refused = addressRefused(ev)
		r.mu.Unlock()
	}
	select {
	case r.queue <- ev:
	default:
		r.lost.Add(1)
	}
}

// refusal returns the sentence for an edge that ended because its static
// address is taken.
func (r *reporter) refusal() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refused == "" {
		return "the static address is already used by another edge: choose another one with -a."
	}
	return r.refused
}

// close prints what still waits. No event may come after it.
func (r *reporter) close() {
	close(r.queue)
	<-r.closed
}

func (r *reporter) print() {
	defer close(r.closed)
	for ev := range r.queue {
		r.show(ev)
		if n := r.lost.Swap(0); n > 0 {
			r.log.Warn(fmt.Sprintf("%d events were not shown: they came faster than they could be printed", n))
		}
	}
}

// line prints one line of the start-up, under its label.
func (r *reporter) line(label, text string) {
	if !r.plain {
		r.log.Info(text, "about", label)
		return
	}
	if label != "" {
		text = fmt.Sprintf("%-10s %s", label, text)
	}
	fmt.Fprintln(r.out, cli.Printable(text))
}

// news prints one line with the time of day, after the start-up.
func (r *reporter) news(ev edge.Event, text string) {
	if !r.plain {
		r.log.Info(text)
		return
	}
	fmt.Fprintf(r.out, "%s %s\n", ev.Time.Local().Format("15:04:05"), cli.Printable(text))
}

// lineOrNews prints under a label during the start-up and with the time of day
// after it.
func (r *reporter) lineOrNews(ev edge.Event, label, text string) {
	if r.ready {
		r.news(ev, label+" "+text)
		return
	}
	r.line(label, text)
}
