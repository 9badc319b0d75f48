package netwatch

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What was read of the network is read again when it may have changed, and not before.
func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var number int64
		var fault error
		told, reads := true, 0
		ask := kept(func() (int64, bool) { return number, told }, func(q string) (string, error) {
			reads++
			return "of " + q, fault
		})
		check := func(when, question string, want int) {
			t.Helper()
			reads = 0
			got, err := ask(question)
			if got != "of "+question || !errors.Is(err, fault) || reads != want {
				t.Errorf("%s: %q, %v, read %d times, not %d", when, got, err, reads, want)
			}
		}
		check("at first", "a", 1)
		check("at once", "a", 0)
		time.Sleep(KeptFor - 1)
		check("before the end", "a", 0)
		time.Sleep(time.Nanosecond)
		check("at the end", "a", 1)
		check("another question", "b", 1)
		check("the one before", "a", 1)
		number++
		check("after a change", "a", 1)
		check("after that", "a", 0)
		told = false
		check("untold", "a", 1)
		check("untold again", "a", 1)
		told = true
		check("told again", "a", 1) // nobody tells what has changed before
		check("kept again", "a", 0)
		fault = errors.New("refused")
		number++
		check("refused", "a", 1)
		check("refused again", "a", 1)
		fault = nil
		check("answered again", "a", 1)
		check("and kept", "a", 0)
	})
}
