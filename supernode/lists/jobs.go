package lists

import (
	"container/list"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"time"

	"hedgerow/internal/network"
	"hedgerow/internal/turns"
	"hedgerow/roster"
)

// Job is what has to be done for a list that takes long: a list that has come is checked and
// written to the disk, one that counts is written again, or a file is removed.
type Job struct {
	room *room
	came *gathering // that is whole; nil: the list is that of the room

	list   *roster.List // what counts from now on; nil: there is none, or the authority should not have signed it
	err    error        // why the disk has something else
	absent bool         // there was no file to remove, which says nothing of the disk
}

// Session returns the session of the edge that brought the list; 0: nobody brings one.
func (j *Job) Session() uint32 {
	if j.came == nil {
		return 0
	}
	return j.came.from
}

// task is a job that waits for its turn.
type task struct {
	room  *room
	came  *gathering // as in Job
	among *list.List
	place *list.Element // nil: it does not wait
}

// queue has the jobs that wait. The widest networks that they came from take turns, so that
// whoever brings many lists keeps those of his own network waiting.
type queue struct {
	turns turns.Turns[network.Key, list.List]
}

// add has a job wait that somebody at an address has caused.
func (q *queue) add(source netip.Addr, k *task) {
	k.among = q.turns.Of(network.Of(source)[network.Levels-1])
	k.place = k.among.PushBack(k)
}

// remove has a job wait no more.
func (k *task) remove() {
	if k != nil && k.place != nil {
		k.among.Remove(k.place)
		k.place = nil
	}
}

// next returns the job whose turn it is; nil: none waits.
func (q *queue) next() (k *task) {
	for k == nil && q.turns.Len() > 0 {
		key, waiting := q.turns.Take()
		if first := waiting.Front(); first != nil {
			k = first.Value.(*task)
			k.remove()
		}
		q.turns.Pass(key, waiting.Len() == 0)
	}
	return k
}

// Bell has a value when there are jobs.
func (t *Table) Bell() <-chan struct{} { return t.bell }

// ring says that there are jobs.
func (t *Table) ring() {
	select {
	case t.bell <- struct{}{}:
	default:
	}
}

// Next returns a job that is to be done; nil: there is none. Files that are to go are removed
// before anything is written, so that the disk has no more than counts.
func (t *Table) Next() *Job {
	for len(t.gone) > 0 {
		r := t.gone[0]
		t.gone = t.gone[1:]
		if r.list == nil && r.stale {
			return t.begin(&Job{room: r})
		}
	}
	for k := t.jobs.next(); k != nil; k = t.jobs.next() {
		r := k.room
		if k.came != nil {
			if j := t.examine(k.came); j != nil {
				return j
			}
			continue
		}
		if r.file = nil; r.list != nil {
			return t.begin(&Job{room: r, list: r.list})
		}
	}
	return nil
}

// begin notes that a job is being done.
func (t *Table) begin(j *Job) *Job {
	j.room.doing = j
	t.rank(j.room)
	return j
}

// examine returns the job to check a list that has come whole, for which there is room from then
// on; nil: there is none, and nothing of it is written.
func (t *Table) examine(g *gathering) *Job {
	r := g.room
	t.crowd.Remove(g.place)
	r.whole, r.doing = nil, &Job{room: r, came: g}
	if t.makeRoom(r, sizeOf(g.of.Head())) {
		return t.begin(r.doing)
	}
	r.doing = nil
	t.weight -= g.weight
	t.rank(r)
	t.settle(r)
	return nil
}

// Do does the job. It needs no lock, and there is one at a time.
func (t *Table) Do(j *Job) {
	if j.came != nil {
		var err error
		if j.list, err = j.came.of.List(); err != nil {
			j.list = nil
			t.cfg.Log.Debug("an authority has signed a list of members that cannot be", "err", err)
			return
		}
	}
	switch {
	case t.cfg.Dir == "":
	case j.list != nil:
		j.err = t.write(j)
	default:
		path := t.path(j.room)
		j.err = t.cfg.Disk.Remove(path)
		// A file system that is read-only refuses before it looks.
		if _, err := os.Lstat(path); j.err != nil && errors.Is(err, fs.ErrNotExist) {
			j.err, j.absent = nil, true
		}
	}
}

// Done has what a job has made count, and reports whether a community has another list now.
func (t *Table) Done(now time.Time, j *Job) (cid [16]byte, changed bool) {
	r := j.room
	r.doing = nil
	switch {
	case j.came == nil:
		t.tell(j)
	case j.list == nil: // the one of before counts
		t.charge(r, r.size())
	default:
		r.list, changed = j.list, true
		r.ends = r.list.Ends(now)
		t.tell(j)
	}
	if j.came != nil {
		t.weight -= j.came.weight
	}
	t.rank(r)
	t.settle(r)
	return r.of.CID, changed
}

// Empty reports whether there is no list, none comes and no file is to be removed: Tick has
// little to do then.
func (t *Table) Empty() bool { return len(t.rooms)+len(t.coming)+len(t.gone) == 0 }
