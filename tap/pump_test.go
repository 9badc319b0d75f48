package tap

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// feed is a blocking source of frames.
type feed chan []byte

var errFed = errors.New("fed up")

func (f feed) Read(p []byte) (int, error) {
	b, ok := <-f
	if !ok {
		return 0, errFed
	}
	return copy(p, b), nil
}

func taken(t *testing.T, p *pump, room int) (got []string) {
	t.Helper()
	fs := newBuffers(room)
	n, err := p.pop(fs)
	if err != nil {
		t.Fatal(err)
	}
	for i := range fs[:n] {
		got = append(got, string(fs[i].Bytes()))
	}
	return got
}

func newBuffers(n int) []Frame {
	fs := make([]Frame, n)
	for i := range fs {
		fs[i] = Frame{Buf: make([]byte, 128), Off: 32}
	}
	return fs
}

func TestPump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := make(feed)
		p := newPump(source, 64)
		if got := taken(t, p, 4); got != nil {
			t.Errorf("%q from an empty pump", got)
		}
		start := time.Now()
		time.AfterFunc(time.Second, func() { source <- []byte("one") })
		<-p.ready
		if time.Since(start) != time.Second {
			t.Errorf("ready after %v", time.Since(start))
		}
		source <- []byte("two")
		source <- []byte("three")
		synctest.Wait()
		if got := taken(t, p, 2); !slices.Equal(got, []string{"one", "two"}) {
			t.Errorf("%q", got)
		}
		<-p.ready // "two" came behind the token that was taken
		source <- []byte("four")
		close(source)
		<-p.done
		if got := taken(t, p, 4); !slices.Equal(got, []string{"three", "four"}) {
			t.Errorf("%q", got)
		}
		<-p.ready
		for range 2 {
			if n, err := p.pop(newBuffers(1)); n != 0 || err != errFed {
				t.Errorf("%d, %v", n, err)
			}
		}
	})
}

func TestPumpIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := make(feed)
		p := newPump(source, 64)
		fed := 0
		stop := make(chan struct{})
		go func() {
			defer close(source)
			for {
				select {
				case source <- []byte{1}:
					fed++
				case <-stop:
					return
				}
			}
		}()
		synctest.Wait()
		if fed != pumpFrames {
			t.Errorf("%d frames were taken into a ring of %d", fed, pumpFrames)
		}
		close(p.stop)
		<-p.done
		close(stop)
	})
}

func TestPumpAllocations(t *testing.T) {
	source := make(feed)
	p := newPump(source, 64)
	frame, fs := []byte("frame"), newBuffers(1)
	once := func() {
		source <- frame
		<-p.ready
		if n, err := p.pop(fs); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	for range pumpFrames { // every buffer is made by then
		once()
	}
	if a := testing.AllocsPerRun(100, once); a != 0 {
		t.Errorf("%v allocations per frame", a)
	}
	close(source)
	<-p.done
}
