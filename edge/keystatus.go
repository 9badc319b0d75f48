package edge

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
)

// endWarning is how long before the end of a schedule the user is warned.
const endWarning = 14 * 24 * time.Hour

// KeyStatus describes the schedule of a community at a wall-clock time. s is
// the schedule of a running edge, which knows what it has learned, or a fresh
// one of the same community.
func KeyStatus(c *crypto.Community, s *crypto.Schedule, wall time.Time) control.Keys {
	v := control.Keys{Community: c.Name, Acceptable: s.Acceptable(wall)}
	slices.Sort(v.Acceptable)
	if e, ok := s.Transmit(wall); ok {
		v.Active = &e.Index
	}
	for _, e := range c.Epochs {
		v.Epochs = append(v.Epochs, control.Epoch{
			Index: e.Index, From: bound(e.From), Until: bound(e.Until),
			Transform: cmp.Or(e.Transform, crypto.TransformAuto),
		})
		if e.From.After(wall) && (v.Next == nil || e.From.Before(*v.Next)) {
			v.Next = bound(e.From)
		}
	}
	slices.SortFunc(v.Epochs, func(a, b control.Epoch) int { return cmp.Compare(a.Index, b.Index) })
	if ends, bounded := s.Ends(); bounded {
		v.Ends = bound(ends)
		v.Warning = scheduleWarning(c, wall, ends)
	}
	return v
}

// scheduleWarning says that new keys are due, or nothing.
func scheduleWarning(c *crypto.Community, wall, ends time.Time) string {
	const act = "Make new keys with 'edge keygen' and give them to every member."
	left := ends.Sub(wall)
	switch {
	case left > endWarning:
		return ""
	case left > 0:
		return fmt.Sprintf("the schedule ends in %s. %s", span(left), act)
	case c.Fail:
		return "the schedule has ended, and nothing is sent any more. " + act
	}
	return "the schedule has ended; the last key stays in use. " + act
}

// span words a time to come in days, or in hours and minutes when it is short.
func span(d time.Duration) string {
	if days := int(d / (24 * time.Hour)); days > 1 {
		return fmt.Sprintf("%d days", days)
	}
	return d.Round(time.Minute).String()
}

func bound(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
