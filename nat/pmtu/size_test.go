package pmtu

import (
	"slices"
	"testing"
)

// TestSizes wants the full size first, and of the usual ones those that are smaller.
func TestSizes(t *testing.T) {
	for full, want := range map[int][]int{
		1500: {1500, 1420, 1380, 1280}, 1420: {1420, 1380, 1280}, 1400: {1400, 1380, 1280}, Minimum: {Minimum},
	} {
		if got := slices.Collect(Sizes(full)); !slices.Equal(got, want) {
			t.Errorf("%d: %v, want %v", full, got, want)
		}
		for size := range Sizes(full) {
			if size != full {
				t.Errorf("%d: began with %d", full, size)
			}
			break
		}
		count := 0
		for range Sizes(full) {
			if count++; count == 2 {
				break
			}
		}
		if count != min(2, len(want)) {
			t.Errorf("%d: %d sizes before the end", full, count)
		}
	}
}
