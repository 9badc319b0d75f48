package underlay

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/internal/printed"
	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// rig is an Underlay with the control loop of an edge, and doubles for all that is
// around it. It runs under synctest, so that times are exact.
type rig struct {
	*testing.T
	*Underlay
	queue    timer.Queue
	began    time.Time
	requests chan func(now time.Time)
	ctx      context.Context
	workers  sync.WaitGroup

	log printed.Text

	mu      sync.Mutex // what goroutines write as well
	events  []string   // what the observer was told, with the time
	sent    []datagram
	refused map[Refusal]int

	receivers map[netip.AddrPort]TURNReceiver
	peers     []netip.AddrPort // where OfPeer says that one is
	newcomer  bool             // what MetOnLAN returns
	hosts     []netip.Addr
	hostsErr  error
}

// datagram is one that was sent or heard.
type datagram struct {
	at   time.Duration // since the rig began
	to   netip.AddrPort
	pkt  []byte
	ttl  uint8
	port uint16 // of a further socket, 0 for the data socket
}

// inRig runs f with an Underlay that was not started yet.
func inRig(t *testing.T, change func(r *rig, cfg *Config), f func(r *rig)) {
	synctest.Test(t, func(t *testing.T) { withRig(t, change, f) })
}

// withRig is inRig in real time, where nothing but what the product does puts the
// goroutines in order.
func withRig(t *testing.T, change func(r *rig, cfg *Config), f func(r *rig)) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &rig{
		T: t, began: time.Now(), ctx: ctx, requests: make(chan func(time.Time)), newcomer: true,
		refused: make(map[Refusal]int), receivers: make(map[netip.AddrPort]TURNReceiver),
		hosts: []netip.Addr{netip.MustParseAddr("192.0.2.7")},
	}
	r.queue.Strict = func(name string) { t.Errorf("the timer %q would keep the loop from sleeping", name) }
	cfg := Config{
		Loop: r, Timers: &r.queue, Sender: r, Observer: observer{r}, Receivers: r,
		Own:    OwnAddresses{Port: 7000, Interfaces: func() ([]netip.Addr, error) { return r.hosts, r.hostsErr }},
		Random: rand.NewChaCha8([32]byte{1}), Jitter: func(below time.Duration) time.Duration { return below / 2 },
		Log:     slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Refused: func(why Refusal) bool { r.mu.Lock(); r.refused[why]++; r.mu.Unlock(); return true },
	}
	if change != nil {
		change(r, &cfg)
	}
	r.Underlay = New(cfg)
	defer r.workers.Wait()
	defer cancel()
	f(r)
}

// Go and Do are the control loop.
func (r *rig) Go(f func(ctx context.Context)) { r.workers.Go(func() { f(r.ctx) }) }

func (r *rig) Do(f func(now time.Time)) {
	select {
	case r.requests <- f:
	case <-r.ctx.Done():
	}
}

// run is the control loop for a time.
func (r *rig) run(d time.Duration) {
	for end := time.Now().Add(d); ; {
		r.queue.Run(time.Now())
		next := r.queue.Next()
		if next.IsZero() || next.After(end) {
			next = end
		}
		synctest.Wait()
		select {
		case f := <-r.requests:
			f(time.Now())
			continue
		default:
		}
		if !time.Now().Before(end) {
			r.queue.Run(time.Now())
			if n := r.queue.Next(); n.IsZero() || n.After(end) {
				return
			}
			r.Fatal("a timer is due again at the same time")
		}
		select {
		case f := <-r.requests:
			f(time.Now())
		case <-time.After(time.Until(next)):
		}
	}
}

// serve has the loop take so many requests, one right after the other.
func (r *rig) serve(n int) {
	for range n {
		f := <-r.requests
		f(time.Now())
		r.queue.Run(time.Now())
	}
}

// since is the time since the rig began.
func (r *rig) since() time.Duration { return time.Since(r.began) }

// Send is the data socket.
func (r *rig) Send(to netip.AddrPort, pkt []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, datagram{at: r.since(), to: to, pkt: bytes.Clone(pkt)})
}

// Receive notes who reads what a TURN server sends.
func (r *rig) OfPeer(_ time.Time, at netip.AddrPort) bool { return slices.Contains(r.peers, at) }

func (r *rig) Receive(_ time.Time, server netip.AddrPort, x TURNReceiver) {
	if r.receivers[server] = x; x == nil {
		delete(r.receivers, server)
	}
}

func (r *rig) event(format string, arguments ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, fmt.Sprintf("%v ", r.since())+fmt.Sprintf(format, arguments...))
}

// observer is told what the Underlay of a rig finds.
type observer struct{ r *rig }

func (o observer) CandidatesChanged(time.Time) {
	o.r.event("candidates %d", o.r.Addresses.Candidates().Gen)
}
func (o observer) MappingClassified(_ time.Time, m address.MappingBehavior) {
	o.r.event("mapping %v", m)
}
func (o observer) NetworkChanged(time.Time) { o.r.event("network changed") }
func (o observer) MetOnLAN(_ time.Time, statement []byte, at netip.AddrPort) bool {
	o.r.event("met %x at %v", statement[0], at)
	return o.r.newcomer
}
func (o observer) STUNAnswered(_ time.Time, server netip.AddrPort) { o.r.event("answered %v", server) }

// told checks what the observer was told since the last call.
func (r *rig) told(want ...string) {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.events, want) {
		r.Errorf("the observer was told\n\t%s\nnot\n\t%s", strings.Join(r.events, "\n\t"), strings.Join(want, "\n\t"))
	}
	r.events = nil
}

// counts checks what was refused since the last call, and that the log says so.
func (r *rig) counts(want map[Refusal]int) {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for why := range Refusals {
		if r.refused[why] != want[why] {
			r.Errorf("%v: refused %d times, not %d", why, r.refused[why], want[why])
		}
		if want[why] > 0 && !strings.Contains(r.log.String(), "msg=refused reason="+why.String()+" who=") {
			r.Errorf("the log says nothing of %v", why)
		}
	}
	clear(r.refused)
}

// logged checks that the log has a text, and empties it.
func (r *rig) logged(text string, want bool) {
	r.Helper()
	if strings.Contains(r.log.String(), text) != want {
		r.Errorf("the log has %q: %v\n%s", text, !want, r.log.String())
	}
	r.log.Reset()
}

// candidates checks our candidates, as "kind address".
func (r *rig) candidates(want ...string) {
	r.Helper()
	var got []string
	for _, c := range r.Addresses.Candidates().List {
		got = append(got, fmt.Sprintf("%v %v", address.CandidateKind(c.Kind), c.Addr))
	}
	if !slices.Equal(got, want) {
		r.Errorf("candidates are %v, not %v", got, want)
	}
}

// statement is a signed statement, as far as an Underlay can tell.
func statement(first byte) []byte {
	b := make([]byte, protocol.StatementLen)
	b[0] = first
	return b
}

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// errText is an error that says something.
type errText string

func (e errText) Error() string { return string(e) }
