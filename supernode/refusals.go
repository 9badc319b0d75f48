package supernode

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"hedgerow/handshake"
	"hedgerow/internal/bucket"
	"hedgerow/transport"
)

// Debug lines about refusals. Anybody can cause those of the first kind, so a flood
// of junk is a few lines for each reason; those of the second kind take a session.
const (
	strangerLinesEvery = 30 * time.Second // for each reason, after strangerLinesBurst
	strangerLinesBurst = 2
	memberLinesRate    = 100 // a second, over all reasons
	memberLinesBurst   = 1000
)

// refusals counts why something went no further, and explains it in debug lines. It
// may be used by any goroutine.
type refusals struct {
	log      *slog.Logger
	late     *lateLog // of its debug lines
	now      func() time.Time
	drops    drops
	failures handshake.Counts

	mu        sync.Mutex
	strangers map[string]*lineBudget // by reason
	members   lineBudget
	olders    lineBudget // lines about edges of an older protocol
}

// lineBudget bounds some of the lines.
type lineBudget struct {
	bucket.Bucket
	leftOut uint64 // since the last line
}

// initReasons are the failures of a handshake that have a counter here. All
// others are counted by handshake.Reason.
var initReasons = [...]struct {
	err    handshake.Error
	reason dropReason
}{
	{handshake.ErrLength, dropLength},
	{handshake.ErrHeader, dropHeader},
	{handshake.ErrTransform, dropTransform},
	{handshake.ErrKeyIndex, dropTransform},
	{handshake.ErrMAC1, dropMAC1},
	{handshake.ErrCookieDemanded, dropCookie},
	{handshake.ErrSourceRate, dropInitRate},
	{handshake.ErrFull, dropGuests},
	{handshake.ErrStale, dropStamp},
}

// origin is where a datagram came from.
type origin struct {
	addr   netip.AddrPort
	source netip.Addr // of the connection, for a stream
}

// described is something with attributes that name it in a log.
type described interface{ attributes() []any }

// attributes returns the origin of a stream as the address of its connection: its
// own means nothing to a person.
func (o origin) attributes() []any {
	if transport.IsSide(o.addr.Addr()) {
		return []any{"stream", o.source}
	}
	return []any{"address", o.addr}
}

// drop counts a refusal that is not explained: of a relayed packet, or of one that
// was to be sent.
func (r *refusals) drop(reason dropReason) { r.drops.drop(reason) }

// count counts and explains a refusal. authentic says that an edge with a session
// caused it. who is called for attributes that say whom it was about, and only if
// there is a line.
func (r *refusals) count(reason dropReason, authentic bool, who func() []any) {
	r.drops.drop(reason)
	r.explain(reason.String(), authentic, who)
}

// about is count with the attributes of an origin and of an edge, nil for none.
func (r *refusals) about(reason dropReason, authentic bool, from origin, edge described) {
	r.count(reason, authentic, func() []any {
		if edge == nil {
			return from.attributes()
		}
		return append(from.attributes(), edge.attributes()...)
	})
}

// olderEvery is how often the log says that edges speak an older protocol.
const olderEvery = 10 * time.Minute

// older says, now and then, that an edge has to be updated: it was told nothing, since
// it would understand no answer, and takes its network for one that blocks UDP.
func (r *refusals) older(from origin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.olders.Take(r.now(), 1, 1/olderEvery.Seconds(), 1) {
		r.olders.leftOut++
		return
	}
	attributes := append(from.attributes(), "others", r.olders.leftOut)
	r.olders.leftOut = 0
	r.log.Warn("an edge speaks the protocol as it was before version 1 was final and cannot register: update it [E22]", attributes...)
}

// init counts and explains why an INIT made no session.
func (r *refusals) init(from origin, err error) {
	if errors.Is(err, handshake.ErrOlder) {
		r.older(from)
	}
	r.explain(r.countInit(err), false, func() []any { return append(from.attributes(), "err", err) })
}

// countInit counts why an INIT made no session and returns the counter's name.
func (r *refusals) countInit(err error) string {
	for _, known := range initReasons {
		if errors.Is(err, known.err) {
			r.drops.drop(known.reason)
			return known.reason.String()
		}
	}
	r.failures.Count(err)
	return handshake.Reason(err)
}

// reasons returns the counters that have counted, by name.
func (r *refusals) reasons() map[string]uint64 { return r.failures.AddTo(r.drops.nonzero()) }

// explain writes the debug line of a refusal. The attribute "reason" is the name of
// the counter. At other levels a refusal costs a counter and nothing else.
func (r *refusals) explain(reason string, authentic bool, who func() []any) {
	if !r.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	leftOut, ok := r.line(reason, authentic)
	if !ok {
		return
	}
	attributes := append([]any{"reason", reason}, who()...)
	if leftOut > 0 {
		attributes = append(attributes, "left_out", leftOut)
	}
	r.log.Debug("refused", attributes...)
}

// line reports whether there may be a line now, and how many there were not since
// the last one. The caller holds r.mu.
func (r *refusals) line(reason string, authentic bool) (leftOut uint64, ok bool) {
	b, rate, burst := &r.members, float64(memberLinesRate), float64(memberLinesBurst)
	if !authentic {
		rate, burst = 1/strangerLinesEvery.Seconds(), strangerLinesBurst
		if b = r.strangers[reason]; b == nil {
			if r.strangers == nil {
				r.strangers = make(map[string]*lineBudget)
			}
			b = new(lineBudget)
			r.strangers[reason] = b
		}
	}
	if !b.Take(r.now(), 1, rate, burst) {
		b.leftOut++
		return 0, false
	}
	leftOut, b.leftOut = b.leftOut, 0
	return leftOut, true
}
