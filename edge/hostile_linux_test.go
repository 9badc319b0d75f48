package edge

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// processorTime is what this thread has had of a processor: other programs do not count.
func processorTime(tb testing.TB) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The control loop handles whatever a hostile member and a lying supernode say in less
// than a millisecond a packet, and none takes more than 50.
func TestHostilePacketsCostLittle(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	h := newHostile(t, 9, 8, 20, true)
	const packets = 6000
	var all time.Duration
	for range packets {
		h.renew()
		before := processorTime(t)
		h.act()
		took := processorTime(t) - before
		if all += took; took > slower*50*time.Millisecond {
			t.Errorf("a packet took %v", took)
		}
		h.now = h.now.Add(time.Duration(h.random.IntN(20)) * time.Millisecond)
	}
	if each := all / packets; each > slower*time.Millisecond {
		t.Errorf("%v for each packet", each)
	}
	t.Logf("%v for each packet", all/packets)
}
