package crypto

import (
	"fmt"
	"slices"
	"time"
)

// RollGrace is how long after the start of an epoch that followed a revocation GROUP
// packets under older ones are still received: members whose clocks differ, and those
// that learn of it late, move meanwhile.
const RollGrace = time.Minute

// WithRolls returns the community with epochs that its authority made at revocations, in
// the order in which it made them. Whoever was revoked has all other keys. So of the
// community's own epochs only those that begin before are left, by which members that were
// away are greeted and told of the new ones; an own epoch of the same index or key gives
// way as well.
func (c *Community) WithRolls(rolls []Epoch) *Community {
	if len(rolls) == 0 {
		return c
	}
	next := *c
	next.Epochs = nil
	for _, e := range c.Epochs {
		first := slices.MinFunc(rolls, func(a, b Epoch) int { return a.From.Compare(b.From) })
		if e.From.Before(first.From) && !slices.ContainsFunc(rolls, func(r Epoch) bool { return r.clash(e) != nil }) {
			next.Epochs = append(next.Epochs, e)
		}
	}
	for i, e := range rolls {
		later := rolls[i+1:]
		if !slices.ContainsFunc(later, func(r Epoch) bool { return r.clash(e) != nil }) {
			next.Epochs = append(next.Epochs, e)
		}
	}
	return &next
}

// NextRoll returns the epoch that follows a revocation: with an index that no epoch of the
// community ever had, and a key read from elsewhere. It fails when the indices are used up.
func (c *Community) NextRoll(key [32]byte, from time.Time) (Epoch, error) {
	e := Epoch{From: from.UTC().Truncate(time.Second), Key: key, Transform: TransformAuto, Roll: true}
	for _, o := range c.Epochs {
		if o.Index >= e.Index {
			e.Index = o.Index + 1
		}
	}
	if e.Index > MaxIndex {
		return e, fmt.Errorf("all %d indices of keys are used up: make a new community with edge keygen, for those who stay", MaxIndex+1)
	}
	return e, e.check(c)
}

// Superseded reports whether GROUP packets under an epoch are received no more at a time,
// although sessions may be made under it: the authority has revoked somebody who has its
// key.
func (s *Schedule) Superseded(now time.Time, e Epoch) bool {
	p := s.state.Load().plan
	if now.Before(p.floor) {
		return false
	}
	return slices.ContainsFunc(p.spans, func(o span) bool {
		return o.Roll && e.From.Before(o.From) && !now.Before(o.From.Add(RollGrace))
	})
}
