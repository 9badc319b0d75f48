package lists

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// A list is kept in a file whose name ends with the community's id in hexadecimal digits:
//
//	"hedgerow list 1\n" | name hash 32 | rendezvous key 32 | authority 32 | source: ip 16 | list
const (
	fileMagic  = "hedgerow list 1\n"
	filePrefix = "members-"
	fileHeader = len(fileMagic) + 3*32 + 16
)

// failing says what cannot be kept.
type failing struct {
	said bool    // that lists cannot be written
	left []*room // whose lists are not on the disk
}

// Job is what has to be done for a list that takes long: a whole list is checked and
// written to the disk, or its file is removed.
type Job struct {
	room    *room
	head    protocol.ListHead
	of      *roster.Gathering // nil: the list is that of the room
	from    uint32            // the session of the edge that brought it
	weight  int
	removes bool

	list *roster.List // what counts from now on; nil: the authority should not have signed it
	err  error        // why it could not be written
}

// Session returns the session of the edge that brought the list.
func (j *Job) Session() uint32 { return j.from }

// queue has a job done.
func (t *Table) queue(j *Job) {
	t.jobs = append(t.jobs, j)
	select {
	case t.bell <- struct{}{}:
	default:
	}
}

// Bell has a value when there are jobs.
func (t *Table) Bell() <-chan struct{} { return t.bell }

// Next returns a job that is to be done; nil: there is none.
func (t *Table) Next() *Job {
	if len(t.jobs) == 0 {
		return nil
	}
	j := t.jobs[0]
	t.jobs = t.jobs[1:]
	return j
}

// Do does the job. It needs no lock, and there is one at a time.
func (t *Table) Do(j *Job) {
	path := filepath.Join(t.cfg.Dir, filePrefix+hex.EncodeToString(j.room.of.CID[:]))
	if j.removes {
		if t.cfg.Dir != "" {
			j.err = t.cfg.Disk.Remove(path)
		}
		return
	}
	if j.of != nil {
		var err error
		if j.list, err = j.of.List(); err != nil {
			t.cfg.Log.Debug("an authority has signed a list of members that cannot be", "err", err)
			return
		}
	}
	if t.cfg.Dir != "" {
		j.err = t.write(path, j)
	}
}

func (t *Table) write(path string, j *Job) error {
	r, source := &j.room.of, j.room.source.As16()
	b := make([]byte, 0, fileHeader+roster.MaxSize)
	b = append(b, fileMagic...)
	b = append(append(append(b, r.NameHash[:]...), r.RPK[:]...), r.Authority[:]...)
	return durable.ReplaceOn(t.cfg.Disk, path, j.list.Append(append(b, source[:]...)), 0o600)
}

// Done has what a job has made count, and reports whether a community has another list now.
func (t *Table) Done(now time.Time, j *Job) (cid [16]byte, changed bool) {
	r := j.room
	if j.removes {
		return r.of.CID, false
	}
	t.tell(j)
	if j.of == nil {
		return r.of.CID, false
	}
	r.job = nil
	t.weight -= j.weight
	if j.list == nil || !roster.Newer(&j.list.Head, r.head()) || !t.makeRoom(r, sizeOf(&j.list.Head)) {
		t.settle(r)
		return r.of.CID, false
	}
	r.list = j.list
	r.expire(now)
	t.rank(r)
	return r.of.CID, true
}

// tell says whether lists can be written, and remembers what could not be.
func (t *Table) tell(j *Job) {
	switch f := &t.fail; {
	case j.err != nil:
		f.left = append(f.left, j.room)
		if !f.said {
			t.cfg.Log.Warn("lists of members cannot be written: after a restart members have to bring them again", "directory", t.cfg.Dir, "err", j.err)
		}
		f.said = true
	case f.said && len(f.left) == 0:
		t.cfg.Log.Info("lists of members can be written again", "directory", t.cfg.Dir)
		f.said = false
	}
}

// rewrite has written what could not be.
func (t *Table) rewrite() {
	left := t.fail.left
	t.fail.left = nil
	for _, r := range left {
		if r.list != nil {
			t.queue(&Job{room: r, head: r.list.Head, list: r.list})
		}
	}
}

// load reads what is on the disk, what was written last at the end.
func (t *Table) load() {
	if t.cfg.Dir == "" {
		return
	}
	entries, err := os.ReadDir(t.cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.cfg.Log.Warn("lists of members cannot be read: members have to bring them again", "directory", t.cfg.Dir, "err", err)
	}
	type found struct {
		name string
		at   time.Time
	}
	var files []found
	for _, e := range entries {
		id, ours := strings.CutPrefix(e.Name(), filePrefix)
		if info, err := e.Info(); err == nil && ours && len(id) == 2*16 && info.Mode().IsRegular() {
			files = append(files, found{e.Name(), info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b found) int { return a.at.Compare(b.at) })
	for _, f := range files {
		t.loadFile(filepath.Join(t.cfg.Dir, f.name))
	}
}

// loadFile reads a list. One that is damaged is set aside.
func (t *Table) loadFile(path string) {
	r, err := readRoom(path)
	if err != nil {
		aside := path + ".damaged"
		t.cfg.Log.Warn("a list of members is damaged: members have to bring it again", "file", path, "damage", err, "set_aside", aside)
		_ = t.cfg.Disk.Rename(path, aside)
		return
	}
	if !t.makeRoom(r, sizeOf(&r.list.Head)) {
		return
	}
	r.expire(time.Time{})
	t.rooms[r.of.CID] = r
	t.rank(r)
}

var errFile = errors.New("it is no list of members of that community")

// readRoom reads a file, and checks all of it.
func readRoom(path string) (*room, error) {
	info, err := os.Stat(path)
	if err == nil && info.Size() > int64(fileHeader+roster.MaxSize) {
		err = errFile
	}
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b, ok := bytes.CutPrefix(b, []byte(fileMagic))
	cid, err := hex.DecodeString(strings.TrimPrefix(filepath.Base(path), filePrefix))
	if !ok || err != nil || len(cid) != 16 || len(b) < fileHeader-len(fileMagic) {
		return nil, errFile
	}
	r := &room{of: Room{
		Room:     crypto.Room{CID: [16]byte(cid), Authority: [32]byte(b[64:])},
		NameHash: [32]byte(b), RPK: [32]byte(b[32:]),
	}}
	r.source = netip.AddrFrom16([16]byte(b[96:112])).Unmap()
	if !r.of.valid() {
		return nil, errFile
	}
	list, rest, err := roster.Parse(r.of, b[112:])
	if err != nil || len(rest) > 0 {
		return nil, errors.Join(errFile, err)
	}
	r.list = list
	return r, nil
}
