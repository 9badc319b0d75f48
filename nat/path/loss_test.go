package path

import "testing"

// A Loss knows the last twenty pings, no more.
func TestLossWindow(t *testing.T) {
	var l Loss
	for i, tt := range []struct {
		add  int // pings
		good bool
		lost int
		of   int
	}{{0, true, 0, 0}, {3, false, 3, 3}, {2, true, 3, 5}, {15, true, 3, 20}, {2, true, 1, 20}, {1, true, 0, 20}, {40, false, 20, 20}, {19, true, 1, 20}} {
		for range tt.add {
			l.Add(tt.good)
		}
		if lost, of := l.Count(); lost != tt.lost || of != tt.of {
			t.Errorf("step %d: %d of %d lost, want %d of %d", i, lost, of, tt.lost, tt.of)
		}
	}
	l.Add(false)
	for _, want := range []int{1, 0, 0} {
		if lost, of := l.Count(); lost != want || of != LossWindow {
			t.Errorf("%d of %d lost, want %d", lost, of, want)
		}
		l.late()
	}
}
