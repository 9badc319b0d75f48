package dataplane

import (
	"maps"
	"regexp"
	"testing"
)

// TestDropNames checks that every reason has a name of its own that serves as
// a metric's label.
func TestDropNames(t *testing.T) {
	form := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	seen := make(map[string]DropReason)
	for r := range DropReasons {
		name := r.String()
		if !form.MatchString(name) {
			t.Errorf("reason %d is called %q", r, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("reasons %d and %d are both called %q", other, r, name)
		}
		seen[name] = r
	}
}

// TestDropCounters checks that only what was dropped is listed.
func TestDropCounters(t *testing.T) {
	var d Drops
	if got := d.nonzero(); len(got) != 0 {
		t.Errorf("before anything: %v", got)
	}
	for r := range DropReasons {
		for range int(r) % 3 {
			d.Drop(r)
		}
	}
	want := make(map[string]uint64)
	for r := range DropReasons {
		if n := uint64(r) % 3; n > 0 {
			want[r.String()] = n
		}
	}
	if got := d.nonzero(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
