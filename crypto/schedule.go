package crypto

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// sessionGrace is how much longer than its epoch's receive window a session
// lives: the age at which sessions are refused anyway (PROTOCOL.md, sections 6
// and 7).
const sessionGrace = 180 * time.Second

// Schedule decides under which epoch a member sends and which it accepts
// (PROTOCOL.md, section 7). A roll loses no packet although the clocks of
// members differ by up to the community's skew: an epoch is accepted from skew
// before it starts until skew after its end, and the first member whose clock
// reaches the start moves the others, because each follows the newest index that
// it sees authenticated (Learn).
//
// All methods may be called by several goroutines; those that only read use one
// snapshot and no lock.
type Schedule struct {
	build time.Time
	write sync.Mutex // serialises Learn and Replace
	state atomic.Pointer[scheduleState]
}

// scheduleState is one immutable snapshot.
type scheduleState struct {
	plan    *plan
	learned int // position in plan.spans, -1 for none
}

// NewSchedule returns the schedule of c, with nothing learned from peers. build
// is when the program was built; a clock before it, or before c.Modified, is
// wrong. A zero time is ignored.
func NewSchedule(c *Community, build time.Time) *Schedule {
	s := &Schedule{build: build}
	s.state.Store(&scheduleState{plan: newPlan(c, build), learned: -1})
	return s
}

// Transmit returns the epoch to send under. It is the newest that has started
// and has not ended, or a newer one that Learn moved to. It returns false when
// nothing may be sent: the schedule is over, or has a gap, and says fail; or its
// first epoch starts later than the skew allows.
func (s *Schedule) Transmit(now time.Time) (Epoch, bool) {
	st := s.state.Load()
	i := st.transmit(now)
	if i < 0 {
		return Epoch{}, false
	}
	return st.plan.spans[i].Epoch, true
}

// CanReceive returns the epoch with key index ki when packets under it are
// acceptable. It allocates nothing.
func (s *Schedule) CanReceive(now time.Time, ki uint8) (Epoch, bool) {
	p := s.state.Load().plan
	i := p.position(ki)
	if i < 0 || !p.receives(now, i) {
		return Epoch{}, false
	}
	return p.spans[i].Epoch, true
}

// Learn tells the schedule that a packet under ki was authenticated. When ki is
// newer than the epoch that this member sends under, acceptable and not at its
// end, sending moves to it at once and Learn reports true.
func (s *Schedule) Learn(now time.Time, ki uint8) (moved bool) {
	if !s.state.Load().leads(now, ki) {
		return false // by far the commonest case: no lock, no allocation
	}
	s.write.Lock()
	defer s.write.Unlock()
	st := s.state.Load()
	if !st.leads(now, ki) {
		return false
	}
	s.state.Store(&scheduleState{plan: st.plan, learned: st.plan.position(ki)})
	return true
}

// Next returns the first instant after now at which the answer of Transmit,
// CanReceive, Superseded or ClockWrong may change by time alone. Zero means never.
func (s *Schedule) Next(now time.Time) time.Time {
	p := s.state.Load().plan
	if now.Before(p.floor) {
		return p.floor // until then every answer stays as it is
	}
	var next time.Time
	consider := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, e := range p.spans {
		if !e.From.IsZero() {
			consider(e.From.Add(-p.skew))
			consider(e.From)
		}
		if e.Roll {
			consider(e.From.Add(RollGrace))
		}
		if !e.end.IsZero() {
			consider(e.end)
			// The window includes its last instant, so it is closed just after.
			consider(e.end.Add(p.skew + 1))
		}
	}
	return next
}

// Acceptable returns the key indices that CanReceive accepts: first the one to
// send under, which is also the best for a peer to retry with, then the others
// from the newest to the oldest.
func (s *Schedule) Acceptable(now time.Time) []uint8 {
	st := s.state.Load()
	var list []uint8
	first := st.transmit(now)
	if first >= 0 && st.plan.receives(now, first) {
		list = append(list, st.plan.spans[first].Index)
	}
	for i, e := range slices.Backward(st.plan.spans) {
		if i != first && st.plan.receives(now, i) {
			list = append(list, e.Index)
		}
	}
	return list
}

// Ends returns when the last epoch ends, also when its key is kept after that
// (hold), so that a warning can come in time. false means that the schedule has
// no end.
func (s *Schedule) Ends() (time.Time, bool) {
	var last time.Time
	for _, e := range s.state.Load().plan.spans {
		if e.Until.IsZero() {
			return time.Time{}, false
		}
		if e.Until.After(last) {
			last = e.Until
		}
	}
	return last, !last.IsZero()
}

// SessionEnd returns when a session that was made under ki ends: skew and 180 s
// after its epoch. Zero means never by the schedule. For an index that is not in
// the schedule, as after a reload that removed it, it is the start of 1970: such
// a session ends at once.
func (s *Schedule) SessionEnd(ki uint8) time.Time {
	p := s.state.Load().plan
	i := p.position(ki)
	switch {
	case i < 0:
		return time.Unix(0, 0)
	case p.spans[i].end.IsZero():
		return time.Time{}
	}
	return p.spans[i].end.Add(p.skew + sessionGrace)
}

// ClockWrong reports that now is before the program was built or the
// community's source was last changed, so that the clock cannot be right. Then
// every epoch is accepted, and sending follows the peers, starting with the
// epoch of that earliest possible time.
func (s *Schedule) ClockWrong(now time.Time) bool {
	return now.Before(s.state.Load().plan.floor)
}

// Replace replaces the community after a reload. Learned epochs stay if the new
// schedule has the same key under the same index.
func (s *Schedule) Replace(c *Community) {
	s.write.Lock()
	defer s.write.Unlock()
	old, next := s.state.Load(), &scheduleState{plan: newPlan(c, s.build), learned: -1}
	if old.learned >= 0 {
		was := old.plan.spans[old.learned].Epoch
		if i := next.plan.position(was.Index); i >= 0 && next.plan.spans[i].Key == was.Key {
			next.learned = i
		}
	}
	s.state.Store(next)
}

// transmit returns the position of the epoch to send under, or -1.
func (st *scheduleState) transmit(now time.Time) int {
	i := st.plan.choose(now)
	// A learned epoch counts while Learn would accept it now: the clock may have
	// been set since, or the epoch may have ended.
	if l := st.learned; l > i && st.plan.receives(now, l) && !st.plan.ended(now, l) {
		return l
	}
	return i
}

// leads reports whether a packet under ki moves transmission.
func (st *scheduleState) leads(now time.Time, ki uint8) bool {
	i := st.plan.position(ki)
	return i >= 0 && i > st.transmit(now) && st.plan.receives(now, i) && !st.plan.ended(now, i)
}

// plan is a community's schedule made ready for questions.
type plan struct {
	skew  time.Duration
	floor time.Time  // no right clock is before it
	spans []span     // by From, so a higher position is newer
	index [256]uint8 // key index to position + 1, 0 for none
}

// span is an epoch and when it really ends.
type span struct {
	Epoch
	end time.Time // zero: never
}

// newPlan sorts the epochs of c and finds their ends.
func newPlan(c *Community, build time.Time) *plan {
	p := &plan{skew: c.skew(), floor: build}
	if c.Modified.After(build) {
		p.floor = c.Modified
	}
	for _, e := range c.Epochs {
		if e.Index <= MaxIndex {
			p.spans = append(p.spans, span{Epoch: e, end: e.Until})
		}
	}
	// The zero time is the earliest, so an epoch without a start is the oldest.
	slices.SortStableFunc(p.spans, func(a, b span) int { return a.From.Compare(b.From) })
	for i, e := range p.spans {
		p.index[e.Index] = uint8(i + 1)
		if !c.Fail {
			p.spans[i].end = p.held(i)
		}
	}
	return p
}

// held returns when epoch i ends if a key is kept for want of a newer one: at
// its Until when another epoch goes on there, else when the next one starts,
// else never. All members hold the same schedule, so all keep the same key, and
// keep accepting it.
func (p *plan) held(i int) time.Time {
	until := p.spans[i].Until
	if until.IsZero() {
		return until
	}
	var next time.Time
	for j, o := range p.spans {
		switch {
		case o.From.After(until):
			if next.IsZero() {
				next = o.From // spans are sorted: the first is the nearest
			}
		case o.Until.IsZero(), o.Until.After(until), o.Until.Equal(until) && j > i:
			return until
		}
	}
	return next
}

// position returns where the epoch with that key index is, or -1.
func (p *plan) position(ki uint8) int { return int(p.index[ki]) - 1 }

// receives reports whether now is in the receive window of epoch i, both ends
// included. A clock that is wrong closes no window.
func (p *plan) receives(now time.Time, i int) bool {
	if now.Before(p.floor) {
		return true
	}
	e := &p.spans[i]
	return (e.From.IsZero() || !now.Before(e.From.Add(-p.skew))) &&
		(e.end.IsZero() || !now.After(e.end.Add(p.skew)))
}

// ended reports whether epoch i must not be sent under any more.
func (p *plan) ended(now time.Time, i int) bool {
	end := p.spans[i].end
	return !end.IsZero() && !p.earliest(now).Before(end)
}

// earliest returns the earliest possible time when the clock shows now.
func (p *plan) earliest(now time.Time) time.Time {
	if now.Before(p.floor) {
		return p.floor
	}
	return now
}

// choose returns the position of the epoch to send under by the clock alone, or
// -1.
func (p *plan) choose(now time.Time) int {
	at := p.earliest(now)
	for i := len(p.spans) - 1; i >= 0; i-- {
		if !at.Before(p.spans[i].From) && !p.ended(now, i) {
			return i
		}
	}
	// Before the first epoch there is no older key to send under. Receivers
	// accept that epoch as soon as its window is open, so it serves: a file that
	// was made where the clock is a little ahead works at once elsewhere.
	if len(p.spans) > 0 && at.Before(p.spans[0].From) && p.receives(now, 0) {
		return 0
	}
	return -1
}
