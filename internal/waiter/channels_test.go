package waiter

import (
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// token returns a channel as the sources have it.
func token() chan struct{} { return make(chan struct{}, 1) }

func TestChannelsWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, third := token(), token(), token()
		c := NewChannels(a, b, third)
		for i, source := range []chan struct{}{a, b, third, a} {
			start := time.Now()
			time.AfterFunc(time.Hour, func() { source <- struct{}{} })
			if err := c.Wait(); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d != time.Hour {
				t.Errorf("%d: woke after %v", i, d)
			}
		}
		if c.Sleeps() != 4 {
			t.Errorf("%d sleeps", c.Sleeps())
		}
	})
}

func TestChannelsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewChannels(token())
		done := make(chan error)
		for range 2 {
			go func() { done <- c.Wait() }()
		}
		synctest.Wait() // both are durably blocked
		c.Stop()
		for range 2 {
			if err := <-done; err != net.ErrClosed {
				t.Errorf("during Stop: %v", err)
			}
		}
		c.Stop()
		if err := c.Wait(); err != net.ErrClosed {
			t.Errorf("after Stop: %v", err)
		}
		ready := token()
		ready <- struct{}{}
		c = NewChannels(ready)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != net.ErrClosed {
			t.Errorf("Stop goes before a token: %v", err)
		}
	})
}

func TestChannelsNumber(t *testing.T) {
	for _, n := range []int{0, 4} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d channels are taken", n)
				}
			}()
			NewChannels(make([]<-chan struct{}, n)...)
		}()
	}
}

func TestChannelsAllocateNothing(t *testing.T) {
	a, b := token(), token()
	c := NewChannels(a, b)
	n := testing.AllocsPerRun(100, func() {
		b <- struct{}{}
		if err := c.Wait(); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
