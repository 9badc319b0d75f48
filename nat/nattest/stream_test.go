package nattest

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// serving is an end of a stream with what it has got, by when.
type serving struct {
	*Stream
	got []string
}

func serve(s *Stream) *serving {
	x := &serving{Stream: s}
	begun := time.Now()
	go x.Serve(func(pkt []byte) { x.got = append(x.got, fmt.Sprint(string(pkt), " at ", time.Since(begun))) })
	return x
}

func (x *serving) check(t *testing.T, want ...string) {
	t.Helper()
	settle()
	if !slices.Equal(x.got, want) {
		t.Errorf("got %q, want %q", x.got, want)
	}
	x.got = nil
}

func (x *serving) checkEnded(t *testing.T, want bool) {
	t.Helper()
	settle()
	if got := x.ended(); got != want {
		t.Errorf("ended %v, want %v", got, want)
	}
}

func TestStream(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		defer n.Close()
		x, y := n.Stream()
		a, b := serve(x), serve(y)
		a.Send([]byte("one"))
		n.SetDelay(time.Millisecond)
		a.Send([]byte("two")) // does not overtake
		b.Send([]byte("back"))
		b.check(t, "one at 5ms", "two at 5ms")
		a.check(t, "back at 1ms")
		n.SetLoss(1)
		a.Send([]byte("three"))
		a.Close()
		a.Send([]byte("late"))
		b.check(t, "three at 2.001s")
		b.checkEnded(t, true)
		if a.Dropped() != 1 {
			t.Errorf("%d dropped", a.Dropped())
		}
	})
}

func TestStreamTroubles(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		defer n.Close()
		x, y := n.Stream()
		a, b := serve(x), serve(y)
		b.Stall(true)
		for range 300 {
			a.Send(make([]byte, 1000))
		}
		b.check(t)
		if a.Dropped() != 300-262 {
			t.Errorf("%d dropped", a.Dropped())
		}
		b.Stall(false)
		settle()
		if len(b.got) != 262 {
			t.Errorf("got %d", len(b.got))
		}
		b.got = nil
		a.Send([]byte("lost"))
		b.Break()
		b.check(t)
		a.checkEnded(t, true)
		b.checkEnded(t, true)

		x, y = n.Stream()
		a, b = serve(x), serve(y)
		a.Cut()
		a.Send([]byte("nobody hears"))
		time.Sleep(88 * time.Second)
		a.checkEnded(t, false)
		b.check(t)
		a.checkEnded(t, true)
		b.checkEnded(t, true)
	})
}
