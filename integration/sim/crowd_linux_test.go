package sim

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// used returns the processor time of a clock.
func used(clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic("sim: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

func threadTime() time.Duration  { return used(unix.CLOCK_THREAD_CPUTIME_ID) }
func processTime() time.Duration { return used(unix.CLOCK_PROCESS_CPUTIME_ID) }

// inBubble runs a part of a benchmark in a synctest bubble, where the clock stands
// still while anything is done: what is measured does not depend on how busy the
// machine is.
func inBubble(b *testing.B, f func(t *testing.T)) {
	ok := testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{
		{Name: b.Name(), F: func(t *testing.T) { synctest.Test(t, f) }},
	})
	if !ok {
		b.Fatal("failed")
	}
}

// BenchmarkMassArrival has 2000 members arrive in twenty seconds, of which some
// exchange frames with the edge for twenty more, half of those by a direct path.
// edge-s is the processor time that the edge took for all of it, scripts-s what the
// members and the supernode took, which is not in it.
func BenchmarkMassArrival(b *testing.B) {
	for _, sessions := range []int{500, 2000} {
		b.Run(fmt.Sprint("sessions=", sessions), func(b *testing.B) {
			var edge, scripts time.Duration
			runs := 0
			for range b.N {
				inBubble(b, func(t *testing.T) {
					x, y := massArrival(t, sessions)
					edge, scripts, runs = edge+x, scripts+y, runs+1
				})
			}
			b.ReportMetric(edge.Seconds()/float64(runs), "edge-s")
			b.ReportMetric(scripts.Seconds()/float64(runs), "scripts-s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

func massArrival(t *testing.T, sessions int) (edge, scripts time.Duration) {
	const n = 2000
	c := NewCrowd(t, n, threadTime)
	defer c.End()
	runtime.GC()
	begun, before := processTime(), c.Spent()
	c.Arrive(CrowdPlan{Members: n, Every: 10 * time.Millisecond, Talk: n / sessions, Direct: 2, For: 20 * time.Second})
	scripts = c.Spent() - before
	edge = processTime() - begun - scripts
	status, err := c.Edge.Status(context.Background())
	if err != nil || status.Peers.Seen != n || status.Peers.Direct != sessions/2 || status.Peers.Relayed < sessions/2 {
		t.Errorf("%+v: %v; drops %v", status.Peers, err, status.Drops)
	}
	return edge, scripts
}

// BenchmarkOneChange has one member become known, and one say good-bye, among many
// that have sessions. edge-µs and edge-B are the processor time and the memory that
// the edge took for each, without what it takes for nothing.
func BenchmarkOneChange(b *testing.B) {
	for _, n := range []int{10, 300, 2000} {
		b.Run(fmt.Sprint("peers=", n), func(b *testing.B) {
			var comes, goes cost
			runs := 0
			for range b.N {
				inBubble(b, func(t *testing.T) {
					x, y := oneChange(t, n)
					comes, goes = comes.plus(x), goes.plus(y)
					runs++
				})
			}
			comes.report(b, "come", runs)
			goes.report(b, "go", runs)
			b.ReportMetric(0, "ns/op")
		})
	}
}

// cost is what the edge took for one change.
type cost struct {
	time  time.Duration
	bytes float64
}

func (c cost) plus(d cost) cost    { return cost{c.time + d.time, c.bytes + d.bytes} }
func (c cost) without(d cost) cost { return cost{c.time - d.time, c.bytes - d.bytes} }

func (c cost) report(b *testing.B, what string, runs int) {
	b.ReportMetric(float64(c.time.Nanoseconds())/1000/float64(runs), "edge-µs/"+what)
	b.ReportMetric(c.bytes/float64(runs), "edge-B/"+what)
}

// oneChange measures changes among n peers with sessions.
func oneChange(t *testing.T, n int) (comes, goes cost) {
	const changes = 200
	c := NewCrowd(t, n+changes, threadTime)
	defer c.End()
	for _, m := range c.members[:n] {
		c.do(m.Meet)
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(20 * time.Second) // nobody is in use any more
	each := func(changes int, f func(i int)) cost {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun, scripts := processTime(), c.Spent()
		for i := range changes {
			c.do(func() { f(i) })
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		took := processTime() - begun - (c.Spent() - scripts)
		runtime.ReadMemStats(&after)
		return cost{took / time.Duration(changes), float64(after.TotalAlloc-before.TotalAlloc) / float64(changes)}
	}
	nothing := each(changes, func(int) {})
	comes = each(changes, func(i int) { c.members[n+i].come() })
	goes = each(min(n, changes), func(i int) { c.members[i].bye() })
	return comes.without(nothing), goes.without(nothing)
}
