package lists

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
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

// retryPause is the time between two attempts to write what could not be written.
const retryPause = 5 * time.Second

// failing says what the disk does not have.
type failing struct {
	cause error              // why an attempt failed; nil: all is there
	last  bool               // and that was the last one
	left  map[*room]struct{} // whose files are not as their lists are
	again time.Time          // when one of them is tried again
}

// path returns the file of a room.
func (t *Table) path(r *room) string {
	return filepath.Join(t.cfg.Dir, filePrefix+hex.EncodeToString(r.of.CID[:]))
}

func (t *Table) write(j *Job) error {
	r, source := &j.room.of, j.room.source.As16()
	b := make([]byte, 0, fileHeader+roster.MaxSize)
	b = append(b, fileMagic...)
	b = append(append(append(b, r.NameHash[:]...), r.RPK[:]...), r.Authority[:]...)
	return durable.ReplaceOn(t.cfg.Disk, t.path(j.room), j.list.Append(append(b, source[:]...)), 0o600)
}

// tell notes whether the file of a room is as its list is now, and says it when lists cannot be
// written, and when they can be again.
func (t *Table) tell(j *Job) {
	f, r := &t.fail, j.room
	if r.stale = j.err != nil; r.stale {
		f.left[r] = struct{}{}
		if f.cause == nil {
			t.cfg.Log.Warn("lists of members cannot be written: after a restart members have to bring them again", "directory", t.cfg.Dir, "err", j.err)
		}
		f.cause, f.last = j.err, true
		return
	}
	delete(f.left, r)
	if f.last && !j.absent { // the disk takes them again
		f.last = false
		for r := range f.left {
			t.mend(r)
		}
	}
	if f.cause != nil && len(f.left) == 0 {
		t.cfg.Log.Info("lists of members can be written again", "directory", t.cfg.Dir)
		f.cause = nil
	}
}

// mend has the file of a room made as its list is.
func (t *Table) mend(r *room) {
	switch {
	case r.list == nil:
		t.gone = append(t.gone, r)
	case r.file == nil:
		r.file = &task{room: r}
		t.jobs.add(r.source, r.file)
	}
	t.ring()
}

// retry tries one of the files again that are not as they should be.
func (t *Table) retry(now time.Time) {
	if f := &t.fail; len(f.left) > 0 && !now.Before(f.again) {
		f.again = now.Add(retryPause)
		for r := range f.left {
			t.mend(r)
			return
		}
	}
}

// Remade has all lists written again: their directory was removed, and is there again. A nil
// Table has no lists.
func (t *Table) Remade() {
	if t == nil {
		return
	}
	for _, r := range t.rooms {
		if r.list != nil {
			t.mend(r)
		}
	}
}

// Note is a sentence about lists that are not on the disk; empty: all are. A nil Table has no
// lists.
func (t *Table) Note() string {
	if t == nil || t.fail.cause == nil {
		return ""
	}
	return fmt.Sprintf("lists of members cannot be written to %s: after a restart members have to bring them again (%v). Look at 'df %[1]s' and at who owns it.", t.cfg.Dir, t.fail.cause)
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

// loadFile reads a list. One that is damaged is set aside, and one for which there is no room
// is removed.
func (t *Table) loadFile(path string) {
	r, err := readRoom(path)
	if err != nil {
		aside := path + ".damaged"
		t.cfg.Log.Warn("a list of members is damaged: members have to bring it again", "file", path, "damage", err, "set_aside", aside)
		_ = t.cfg.Disk.Rename(path, aside)
		return
	}
	t.rooms[r.of.CID] = r
	if !t.makeRoom(r, r.size()) {
		t.forget(r)
		return
	}
	r.ends = r.list.Ends(time.Time{})
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
