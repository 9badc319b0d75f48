package adversary_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"runtime/metrics"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"hedgerow/integration/attack/adversary"
)

var (
	replayed = flag.String("script", "", "a file that a fuzzer of this package has left: play it")
	asTarget = flag.String("target", "member", "to whom: member, supernode or edge")
)

// A file that a fuzzer has left is played step by step to one program; without one
// there is nothing to do.
func TestScript(t *testing.T) {
	if *replayed == "" {
		return
	}
	script, err := os.ReadFile(*replayed)
	if err != nil {
		t.Fatal(err)
	}
	rig := &fuzzRig{begin: stages[*asTarget]}
	for input := range bytes.SplitSeq(script, between) {
		rig.run(t, input)
	}
}

// between is what is put between two inputs in a file.
var between = adversary.Step{Op: 255, Bytes: []byte("--- the next input ---")}.Append(nil)

// stages are what the fuzzers play to.
var stages = map[string]func(v *verdicts) stage{
	"member":    func(v *verdicts) stage { return newEdgeStage(v, false) },
	"supernode": func(v *verdicts) stage { return newEdgeStage(v, true) },
	"edge":      func(v *verdicts) stage { return &supernodeStage{supernodeScene: newSupernodeScene(v, nil)} },
}

// What one input of a fuzzer may cost, and what one program may keep.
const (
	stepsAtMost = 24          // of one input
	perInput    = time.Second // of processor time
	allocations = 8 << 20     // bytes for one input
	kept        = 8 << 20     // bytes after many inputs
	inputs      = 3000        // for one program; then another one begins
	measureHeap = 500         // inputs between two looks at what is kept
	mutator     = 100 << 20   // bytes that the fuzzing engine has of its own, from its first mutation on
)

// A stage is a program with everybody around it, which plays one input after the other.
type stage interface {
	play(script []byte)
	check()
	old() bool // it should end
	end()
}

// result is what has come of an input.
type result struct {
	found []string
	old   bool
}

// fuzzRig has a stage in a bubble of its own, which lives on from one input to the
// next: to make one takes a thousand times as long as to play an input. A stage that
// has found a fault is not used again, and what it was told is kept in a file, which
// is an input itself.
type fuzzRig struct {
	begin  func(v *verdicts) stage // called in the bubble
	mu     sync.Mutex
	asked  int // inputs that were to be played
	played int
	past   []byte
	jobs   chan []byte // nil: no stage is there
	done   chan result
}

// start begins another stage.
func (r *fuzzRig) start() {
	r.jobs, r.done, r.played, r.past = make(chan []byte), make(chan result), 0, nil
	jobs, done := r.jobs, r.done
	go testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{
		Name: "stage",
		F:    func(t *testing.T) { synctest.Test(t, func(t *testing.T) { runStage(t, r.begin, jobs, done) }) },
	}})
}

// runStage plays inputs until there are no more. The channels are not the bubble's, so
// that its clock stands still while it waits for one.
func runStage(t *testing.T, begin func(v *verdicts) stage, jobs <-chan []byte, done chan<- result) {
	v := &verdicts{t: t, found: make(map[string]int), quiet: true}
	s := begin(v)
	for script := range jobs {
		s.play(script)
		s.check()
		done <- result{v.take(), s.old()}
	}
	s.end()
	done <- result{found: v.take()}
}

// allocated returns how many bytes this process has ever allocated.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// run plays one input and fails the test with what was found.
func (r *fuzzRig) run(t *testing.T, script []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked++; testing.Short() && r.asked%every != 0 {
		return
	}
	if r.jobs == nil {
		r.start()
		r.jobs <- nil // the program begins with its first input: what that takes is no input's
		if got, ended := r.wait(); !ended || len(got.found) > 0 {
			t.Fatalf("before the first input: %v, ended: %v", got.found, ended)
		}
	}
	script = firstSteps(script)
	before, begun := allocated(), used(unix.CLOCK_PROCESS_CPUTIME_ID)
	r.jobs <- script
	r.past = append(append(r.past, script...), between...)
	got, ended := r.wait()
	found := got.found
	if !ended {
		found = append(found, "it hangs")
	}
	if spent := used(unix.CLOCK_PROCESS_CPUTIME_ID) - begun; spent > limit(perInput) {
		found = append(found, fmt.Sprintf("it takes %v of processor time", spent))
	}
	if took := allocated() - before; took > allocations {
		found = append(found, fmt.Sprintf("it takes %d KiB of memory", took>>10))
	}
	r.played++
	if (r.played >= inputs || got.old) && len(found) == 0 {
		close(r.jobs)
		if got, ended = r.wait(); !ended {
			got.found = append(got.found, "it does not end")
		}
		found = got.found
		r.jobs = nil
	}
	if len(found) > 0 {
		r.jobs = nil // what comes next is played to another one
		t.Fatalf("%v\nthe %d inputs to this program: %s", found, r.played, keep(r.past))
	}
}

// firstSteps returns as many steps of a script as an input may have.
func firstSteps(script []byte) (first []byte) {
	n := 0
	for x := range adversary.Steps(script) {
		if n++; n > stepsAtMost {
			break
		}
		first = x.Append(first)
	}
	return first
}

// wait returns what a stage has found, unless it takes too much processor time.
func (r *fuzzRig) wait() (got result, ended bool) {
	begun := used(unix.CLOCK_PROCESS_CPUTIME_ID)
	for {
		select {
		case got = <-r.done:
			return got, true
		case <-time.After(time.Second):
			if used(unix.CLOCK_PROCESS_CPUTIME_ID)-begun > hungAfter {
				return got, false
			}
		}
	}
}

// keep writes inputs into a file.
func keep(script []byte) string {
	f, err := os.CreateTemp("", "hostile-*.script")
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if _, err := f.Write(script); err != nil {
		return err.Error()
	}
	return f.Name()
}

// heapWatch looks now and then at what a program keeps.
type heapWatch struct {
	inputs int
	first  int64
}

// check adds a fault when the heap has grown since the first look.
func (h *heapWatch) check(v *verdicts) {
	if h.inputs++; h.inputs%measureHeap != 0 {
		return
	}
	now := heap()
	if h.first == 0 {
		h.first = now
	}
	grown := now - h.first
	if grown >= mutator {
		grown -= mutator
	}
	if grown > kept {
		v.fault("memory", "the heap has grown by %d KiB with %d inputs", grown>>10, h.inputs)
	}
}

// recorder is a test whose faults are the verdicts'. What a script cannot say is no
// fault.
type recorder struct {
	testing.TB
	v *verdicts
}

// Errorf adds a fault.
func (r recorder) Errorf(format string, args ...any) { r.v.fault("script", format, args...) }

// Error adds a fault.
func (r recorder) Error(args ...any) { r.v.fault("script", "%s", fmt.Sprint(args...)) }

// Fatal adds a fault and ends the process: a stage has no other end.
func (r recorder) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// Fatalf is Fatal.
func (r recorder) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
