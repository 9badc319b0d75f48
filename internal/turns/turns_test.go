package turns

import "testing"

// TestTurns: a key with much waits for its turn as one with little does, and one that has
// ended comes again behind all others.
func TestTurns(t *testing.T) {
	var q Turns[string, int]
	*q.Of("much") = 5
	*q.Of("little") = 1
	order := ""
	for q.Len() > 0 {
		k, left := q.Take()
		order += k[:1]
		*left--
		q.Pass(k, *left == 0)
	}
	if order != "mlmmmm" {
		t.Errorf("the turns were %q", order)
	}
	*q.Of("a") = 1
	*q.Of("b") = 1
	k, _ := q.Take()
	q.Pass(k, true)
	*q.Of(k) += 1
	if next, _ := q.Take(); next != "b" || *q.Of("a") != 1 {
		t.Errorf("the turn is that of %q", next)
	}
}
