package supernode

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestMoreThanCanBeAnswered: whoever is answered asks again at once, for ever, and from an
// eighth of the places to eight times as many ask. As much is answered as can be, of what
// somebody still waits for. A crowd each of which asks by two addresses in turn costs two
// answers for one, and no more.
func TestMoreThanCanBeAnswered(t *testing.T) {
	crowds := []int{256, 2048, 4096, 16384}
	if race {
		crowds = crowds[1:3]
	}
	for _, of := range []struct {
		addresses, keeps int
		least            float64 // of what can be answered
	}{{1, 1, 0.9}, {1, 2, 0.9}, {2, 2, 0.45}} {
		for _, edges := range crowds {
			t.Run(fmt.Sprintf("%d edges, %+v", edges, of), func(t *testing.T) {
				c := newRush(edges, of.addresses, of.keeps)
				c.pass(10 * time.Second)
				before := c.useful
				c.pass(10 * time.Second)
				can := int(10 * time.Second / rushAnswer)
				if got := c.useful - before; float64(got) < of.least*float64(can) {
					t.Errorf("%d answers of %d that were of use to somebody", got, can)
				}
			})
		}
	}
}

const (
	rushAnswer = 2 * time.Millisecond  // for one answer
	rushTravel = 20 * time.Millisecond // of a question, and of an answer
)

// rush are edges that ask a supernode that answers one after the other, with the waits of an
// edge. Answers are of use as long as one of the last questions of their edge, keeps of them,
// is theirs.
type rush struct {
	queues           *queues[int, question]
	addresses, keeps int
	random           *rand.Rand
	now              time.Time
	edges            []asker
	due              rushAgenda
	useful           int
}

// asker is one of them.
type asker struct{ asked, attempts int }

// question is one of an edge: the how many-th.
type question struct{ edge, number int }

func newRush(edges, addresses, keeps int) *rush {
	c := &rush{
		queues: newQueues[int, question](admittedMost), addresses: addresses, keeps: keeps,
		random: rand.New(rand.NewPCG(1, 2)), now: epoch, edges: make([]asker, edges),
	}
	c.queues.patience, c.queues.late = admittedTime, func(question) {}
	for i := range edges {
		c.ask(i, 0)
	}
	return c
}

// ask has an edge ask, again after its wait, unless it has asked another time by then.
func (c *rush) ask(edge, attempts int) {
	e := &c.edges[edge]
	e.asked, e.attempts = e.asked+1, attempts+1
	q := question{edge, e.asked}
	c.at(c.now.Add(rushTravel), func() {
		c.queues.put(c.now, false, 1+q.edge*c.addresses+q.number%c.addresses, q)
	})
	wait := []time.Duration{time.Second, 2 * time.Second}[min(attempts, 1)]
	if attempts > 1 {
		wait += time.Duration(c.random.Int64N(int64(time.Second)))
	}
	c.at(c.now.Add(wait), func() {
		if e.asked == q.number {
			c.ask(edge, e.attempts)
		}
	})
}

// pass answers for a time.
func (c *rush) pass(d time.Duration) {
	for end := c.now.Add(d); c.now.Before(end); c.now = c.now.Add(rushAnswer) {
		for len(c.due) > 0 && !c.due[0].at.After(c.now) {
			heap.Pop(&c.due).(event).does()
		}
		if q, ok := c.queues.waiting(c.now); ok {
			c.at(c.now.Add(rushAnswer+rushTravel), func() {
				if e := &c.edges[q.edge]; q.number > e.asked-min(c.keeps, e.attempts) {
					c.useful++
					c.ask(q.edge, 0)
				}
			})
		}
	}
}

func (c *rush) at(at time.Time, does func()) { heap.Push(&c.due, event{at, does}) }

// rushAgenda is what is to happen, the next in front (container/heap).
type rushAgenda []event

func (a rushAgenda) Len() int           { return len(a) }
func (a rushAgenda) Less(i, j int) bool { return a[i].at.Before(a[j].at) }
func (a rushAgenda) Swap(i, j int)      { a[i], a[j] = a[j], a[i] }
func (a *rushAgenda) Push(x any)        { *a = append(*a, x.(event)) }
func (a *rushAgenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

// TestQueuesKeepPlaces: who asks again keeps its place, registered edges go first, what has
// waited for too long is not answered, and nothing takes more places than there are.
func TestQueuesKeepPlaces(t *testing.T) {
	q := newQueues[int, string](3)
	var late []string
	q.patience, q.late = time.Second, func(v string) { late = append(late, v) }
	now := epoch
	put := func(member bool, key int, v string, fits bool) {
		t.Helper()
		if q.put(now, member, key, v) != fits {
			t.Errorf("there was room for %q: %v", v, !fits)
		}
	}
	put(false, 1, "a", true)
	put(false, 0, "b", true)
	put(false, 0, "c", true)
	put(false, 2, "d", false)
	now = now.Add(time.Second + 1)
	put(false, 1, "e", true)
	put(true, 1, "f", true)
	if !q.holds(false, 1) || q.holds(false, 2) || q.holds(false, 0) || q.count(false) != 3 || q.count(true) != 1 {
		t.Error("the wrong ones wait")
	}
	var got []string
	for v, ok := q.waiting(now); ok; v, ok = q.waiting(now) {
		got = append(got, v)
	}
	if !slices.Equal(got, []string{"f", "e"}) || !slices.Equal(late, []string{"b", "c"}) || q.holds(false, 1) || q.count(false) != 0 {
		t.Errorf("%q are next, %q were late", got, late)
	}
}
