package edge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
)

// TestKeyStatus reads a schedule of two epochs at several times.
func TestKeyStatus(t *testing.T) {
	const day = 24 * time.Hour
	roll, end := noon.Add(30*day), noon.Add(60*day)
	schedule := func(fail bool) *crypto.Community {
		return &crypto.Community{Name: "tests", Fail: fail, Epochs: []crypto.Epoch{
			{Index: 4, From: roll, Until: end, Transform: crypto.TransformAES}, {Index: 3, From: noon, Until: roll},
		}}
	}
	for _, c := range []struct {
		name    string
		at      time.Time
		fail    bool
		active  int // -1: none
		accepts []uint8
		next    time.Time
		warning string // a part of it; empty: none at all
	}{
		{"at the start", noon, false, 3, []uint8{3}, roll, ""},
		{"before the roll", roll.Add(-time.Minute), false, 3, []uint8{3, 4}, roll, ""},
		{"at the roll", roll, false, 4, []uint8{3, 4}, time.Time{}, ""},
		{"15 days before the end", end.Add(-15 * day), false, 4, []uint8{4}, time.Time{}, ""},
		{"14 days before the end", end.Add(-14 * day), false, 4, []uint8{4}, time.Time{}, "ends in 14 days"},
		{"hours before the end", end.Add(-90 * time.Minute), false, 4, []uint8{4}, time.Time{}, "ends in 1h30m"},
		{"over, hold", end.Add(day), false, 4, []uint8{4}, time.Time{}, "stays in use"},
		{"over, fail", end.Add(day), true, -1, nil, time.Time{}, "nothing is sent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			community := schedule(c.fail)
			v := KeyStatus(community, crypto.NewSchedule(community, time.Time{}), c.at)
			if v.Community != "tests" || !slices.Equal([]uint8(v.Acceptable), c.accepts) {
				t.Errorf("accepts %v, want %v", v.Acceptable, c.accepts)
			}
			if (v.Active == nil) != (c.active < 0) || v.Active != nil && int(*v.Active) != c.active {
				t.Errorf("active %v, want %d", v.Active, c.active)
			}
			if (v.Next == nil) != c.next.IsZero() || v.Next != nil && !v.Next.Equal(c.next) {
				t.Errorf("next %v, want %v", v.Next, c.next)
			}
			if v.Ends == nil || !v.Ends.Equal(end) {
				t.Errorf("ends %v", v.Ends)
			}
			if (v.Warning == "") != (c.warning == "") || !strings.Contains(v.Warning, c.warning) {
				t.Errorf("warning %q, want %q", v.Warning, c.warning)
			}
			if len(v.Epochs) != 2 || v.Epochs[0].Index != 3 || v.Epochs[0].Transform != crypto.TransformAuto ||
				v.Epochs[1].Transform != crypto.TransformAES || !v.Epochs[1].From.Equal(roll) {
				t.Errorf("epochs %+v", v.Epochs)
			}
		})
	}
}

// TestKeyStatusUnbounded reads a schedule that never ends.
func TestKeyStatusUnbounded(t *testing.T) {
	c := testCommunity()
	v := KeyStatus(c, crypto.NewSchedule(c, time.Time{}), noon)
	if v.Active == nil || *v.Active != 7 || v.Ends != nil || v.Next != nil || v.Warning != "" || v.Epochs[0].From != nil || v.Epochs[0].Until != nil {
		t.Errorf("%+v", v)
	}
}
