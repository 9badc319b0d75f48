package waiter

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// switches returns how often the threads of this process have slept so far.
func switches(t *testing.T) (sum int) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(b) {
			if text, ok := bytes.CutPrefix(line, []byte("voluntary_ctxt_switches:")); ok {
				n, err := strconv.Atoi(string(bytes.TrimSpace(text)))
				if err != nil {
					t.Fatal(err)
				}
				sum += n
			}
		}
	}
	return sum
}

// A datagram now and then, to a loop that has rested since the last one, wakes few threads:
// 39 were woken, 4 of them the sender's, when the loop slept in a system call. Nothing is
// allocated for it.
func TestFilesRest(t *testing.T) {
	r, w := pair(t)
	f := newFiles(t, r)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	f.KeepProcessor()
	if f.rest == nil {
		t.Fatal("there is no long sleep")
	}
	one := []byte("x") // the allocations of this goroutine would count, too
	go func() {
		for {
			time.Sleep(2 * KeepFor)
			if _, err := unix.Write(w, one); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 8)
	once := func() {
		if err := f.Wait(); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(r, buf); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	before := switches(t)
	const wakes = 25
	if n := testing.AllocsPerRun(wakes-1, once); n != 0 {
		t.Errorf("%v allocations", n)
	}
	each := float64(switches(t)-before) / wakes
	t.Logf("%.1f switches for each datagram, those of its sender included", each)
	if each > 20 {
		t.Errorf("%.1f switches for each datagram", each)
	}
	unix.Close(w)
}

// What comes while the loop begins to rest is not missed, whichever descriptor has it.
func TestFilesRestMissesNothing(t *testing.T) {
	r1, w1 := pair(t)
	r2, w2 := pair(t)
	f := newFiles(t, r1, r2)
	done := make(chan error, 1)
	for i := range 400 {
		ends := [2]int{r1, w1}
		if i%2 == 1 {
			ends = [2]int{r2, w2}
		}
		f.quick = 0
		go func() { done <- f.Wait() }()
		for range i % 20 * 50 {
			f.Sleeps() // moments of different length
		}
		if _, err := unix.Write(ends[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := await(t, done); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(ends[0], make([]byte, 8)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
}
