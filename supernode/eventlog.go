package supernode

import (
	"cmp"
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"hedgerow/supernode/admission"
)

const (
	// summedEvery is how often the log says what was refused, sumReasons how many of the
	// reasons it names: those that counted most.
	summedEvery = 10 * time.Minute
	sumReasons  = 12
	// Lines about communities: strangers make as many communities as there is room for.
	communityLinesRate  = 1.0 / 10 // a second
	communityLinesBurst = 100
	// waitingLines is how many lines wait for the log at most.
	waitingLines = 256
)

// eventLog writes what an operator reads without -v: a line for the first and the last
// member of a community, and one now and then for all that was refused. Lines wait until
// nobody holds the mutex of the tables, since a log may keep whoever writes to it waiting.
// A nil one writes nothing.
type eventLog struct {
	refused *refusals         // of which the log and the clock are
	policy  *admission.Policy // of which the labels are

	lines       chan logLine
	communities lineBudget // under the mutex of the tables, as all below
	summed      time.Time  // when the refusals were
	counted     map[string]uint64
}

// logLine is a line at Info level.
type logLine struct {
	text       string
	attributes []any
}

func newEventLog(refused *refusals, policy *admission.Policy) *eventLog {
	return &eventLog{refused: refused, policy: policy, lines: make(chan logLine, waitingLines), summed: refused.now()}
}

// occupied says that the community with an id and a hash of its name has its first member.
func (e *eventLog) occupied(id [16]byte, name [32]byte) {
	if e != nil {
		e.community("a community has its first member", id, name)
	}
}

// deserted says that a community has no member any more, where somebody was since a time
// and so many bytes were relayed.
func (e *eventLog) deserted(id [16]byte, name [32]byte, since time.Time, relayed uint64) {
	if e != nil {
		e.community("a community has no member any more", id, name, "after", e.refused.now().Sub(since).Round(time.Second), "relayed", relayed)
	}
}

// community queues a line about a community, unless there were too many.
func (e *eventLog) community(text string, id [16]byte, name [32]byte, more ...any) {
	b := &e.communities
	if !b.Take(e.refused.now(), 1, communityLinesRate, communityLinesBurst) {
		b.leftOut++
		return
	}
	attributes := []any{"community", hex.EncodeToString(id[:])}
	if label := e.policy.Label(id, name); label != "" {
		attributes = append(attributes, "label", label)
	}
	attributes = append(attributes, more...)
	if b.leftOut > 0 {
		attributes = append(attributes, "left_out", b.leftOut)
	}
	if e.queue(text, attributes) {
		b.leftOut = 0
	} else {
		b.leftOut++
	}
}

// queue queues a line, if there is room.
func (e *eventLog) queue(text string, attributes []any) bool {
	select {
	case e.lines <- logLine{text, attributes}:
		return true
	default:
		return false
	}
}

// look sums what was refused, if that is due.
func (e *eventLog) look(now time.Time) {
	if now.Sub(e.summed) >= summedEvery {
		e.sum(now)
	}
}

// sum queues a line about what was refused since the last one, those reasons first that
// counted most. Without any there is none.
func (e *eventLog) sum(now time.Time) {
	all, fresh := e.refused.reasons(), make(map[string]uint64)
	for reason, n := range all {
		if n > e.counted[reason] {
			fresh[reason] = n - e.counted[reason]
		}
	}
	span := now.Sub(e.summed).Round(time.Second)
	e.summed = now
	if len(fresh) == 0 {
		return
	}
	order := slices.SortedFunc(maps.Keys(fresh), func(a, b string) int { return cmp.Or(cmp.Compare(fresh[b], fresh[a]), cmp.Compare(a, b)) })
	attributes, others := []any{"within", span}, uint64(0)
	for i, reason := range order {
		if i < sumReasons {
			attributes = append(attributes, reason, fresh[reason])
		} else {
			others += fresh[reason]
		}
	}
	if others > 0 {
		attributes = append(attributes, "others", others)
	}
	if e.queue("refusals", attributes) {
		e.counted = all
	}
}

// run writes the lines until ctx ends.
func (e *eventLog) run(ctx context.Context) {
	for {
		select {
		case l := <-e.lines:
			e.refused.log.Info(l.text, l.attributes...)
		case <-ctx.Done():
			return
		}
	}
}

// rest writes what waits.
func (e *eventLog) rest() {
	for len(e.lines) > 0 {
		l := <-e.lines
		e.refused.log.Info(l.text, l.attributes...)
	}
}
