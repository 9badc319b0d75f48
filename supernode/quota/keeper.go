package quota

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hedgerow/internal/durable"
)

const (
	// saveEvery is how often what has changed is written: a process that is killed loses no
	// more than what was relayed in this time.
	saveEvery = 5 * time.Second
	// slack is how many records a file may have that are of no use any more, besides as many
	// as there are of use.
	slack = 4096
	// chunk is how many accounts are looked at while the tables are locked.
	chunk = 1024
)

// Disk is what a Keeper needs of the operating system.
type Disk interface {
	durable.Disk
	// Append opens a file that is there, to write at its end.
	Append(path string) (durable.File, error)
}

// Config says where a Table is kept.
type Config struct {
	Dir    string       // the state directory; empty: nothing is kept
	Disk   Disk         // required with Dir
	Log    *slog.Logger // required
	Tables sync.Locker  // guards the Table
	Now    func() time.Time
	// Released is closed when the directory is ours; nil: it is.
	Released <-chan struct{}
}

// Keeper brings a Table to the disk: what has changed is appended to a file, without
// waiting for the disk, so that killing the process loses little and a loss of power no
// more than what the system had not written yet.
type Keeper struct {
	cfg   Config
	table *Table
	path  string

	saving  sync.Mutex // guards what follows up to aside; taken before Tables
	records int        // in the file
	buf     []byte
	spare   []*account // empty: the room of Table.dirty, in turns
	given   bool       // to another process: nothing is written any more

	aside string // where a damaged file of the start was put; empty: there was none

	mu      sync.Mutex // guards failure
	failure string     // of the last write; empty: it did not fail
}

// Open reads what a table was when it was written last. A damaged file is set aside, and
// what can be read of it is used.
func Open(table *Table, cfg Config) *Keeper {
	k := &Keeper{cfg: cfg, table: table, path: filepath.Join(cfg.Dir, FileName)}
	if cfg.Dir == "" {
		return k
	}
	table.keeps = true
	b, err := durable.Read(k.path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k
	case err == nil:
		err = table.load(b, cfg.Now())
	}
	if err == nil {
		k.records = (len(b) - len(fileHeader)) / recordLen
		return k
	}
	k.damaged(err)
	return k
}

// damaged sets the file aside, which is read in part or not at all: a write would take its
// place. One that cannot be set aside is replaced.
func (k *Keeper) damaged(why error) {
	if aside, err := durable.SetAside(k.path, k.cfg.Now(), why); err == nil {
		k.aside = aside
	}
	k.cfg.Log.Warn("the file of what was relayed this month cannot be read, or in part only: what is missing is not counted", "file", k.path, "set_aside", k.aside, "err", why)
}

// Run writes what has changed until ctx ends. Without a directory there is nothing to do.
func (k *Keeper) Run(ctx context.Context) {
	if k.cfg.Dir == "" {
		return
	}
	if k.cfg.Released != nil {
		select {
		case <-k.cfg.Released:
		case <-ctx.Done():
			return
		}
	}
	every := time.NewTicker(saveEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			k.Save()
		}
	}
}

// End writes what has changed once the directory is ours. Nothing is counted any more.
func (k *Keeper) End() {
	if k.cfg.Dir != "" && k.cfg.Released != nil {
		<-k.cfg.Released
	}
	k.Save()
}

// Save writes what has changed since the last time.
func (k *Keeper) Save() {
	k.saving.Lock()
	defer k.saving.Unlock()
	k.save()
}

// GiveAway writes what has changed, and nothing from then on: the file is another process's
// as soon as give has returned without an error.
func (k *Keeper) GiveAway(give func() error) error {
	k.saving.Lock()
	defer k.saving.Unlock()
	k.save()
	err := give()
	k.given = err == nil
	return err
}

// save is Save for whoever has the lock.
func (k *Keeper) save() {
	if k.cfg.Dir == "" || k.given {
		return
	}
	anew, n := k.take()
	if !anew && n == 0 {
		return
	}
	var err error
	if !anew {
		err = k.extend(n)
		if anew = errors.Is(err, fs.ErrNotExist); !anew && err != nil {
			k.setAnew() // half a record may be there
		}
	}
	if anew {
		err = k.rewrite()
	}
	k.note(err)
}

// take moves the accounts that have changed into buf, as n records, and reports whether
// everything is to be written instead. Others go on meanwhile: what has changed again is taken
// the next time.
func (k *Keeper) take() (anew bool, n int) {
	t := k.table
	k.cfg.Tables.Lock()
	defer k.cfg.Tables.Unlock()
	k.buf = k.buf[:0]
	if t.all.used == 0 && k.records == 0 {
		return false, 0 // no file is needed
	}
	changed := t.dirty
	t.dirty = k.spare
	for some := range slices.Chunk(changed, chunk) {
		n += k.takeSome(some)
		k.cfg.Tables.Unlock()
		k.cfg.Tables.Lock()
	}
	k.spare = changed[:0]
	live := 1
	for scope := range t.books {
		live += len(t.books[scope].list)
	}
	anew = t.anew || k.records+n > 2*live+slack
	t.anew = false
	return anew, n
}

// takeSome is take for some accounts, which it clears. The caller holds the lock of the tables.
func (k *Keeper) takeSome(some []*account) (n int) {
	for i, a := range some {
		if a.dirty = false; a.month == k.table.month.number {
			r := a.record()
			k.buf = r.append(k.buf)
			n++
		}
		some[i] = nil
	}
	return n
}

// setAnew has everything written the next time.
func (k *Keeper) setAnew() {
	k.cfg.Tables.Lock()
	k.table.anew = true
	k.cfg.Tables.Unlock()
}

// extend appends n records to the file.
func (k *Keeper) extend(n int) error {
	f, err := k.cfg.Disk.Append(k.path)
	if err != nil {
		return err
	}
	_, err = f.Write(k.buf)
	k.records += n
	return errors.Join(err, f.Close())
}

// rewrite replaces the file. What changes meanwhile is written the next time.
func (k *Keeper) rewrite() error {
	content := k.content()
	k.records = (len(content) - len(fileHeader)) / recordLen
	err := durable.ReplaceOn(k.cfg.Disk, k.path, content, 0o600)
	if err != nil {
		k.setAnew()
	}
	return err
}

// content returns a file of all accounts. Others go on while it is made: an account keeps
// its place, and one that takes another's has changed and is written later.
func (k *Keeper) content() []byte {
	t := k.table
	k.cfg.Tables.Lock()
	month, all := t.month.number, t.all.record()
	k.cfg.Tables.Unlock()
	b := all.append([]byte(fileHeader))
	for scope := range t.books {
		for from, more := 0, true; more; from += chunk {
			k.cfg.Tables.Lock()
			list := t.books[scope].list
			more = t.month.number == month && from+chunk < len(list)
			for _, a := range list[min(from, len(list)):min(from+chunk, len(list))] {
				r := a.record()
				b = r.append(b)
			}
			k.cfg.Tables.Unlock()
		}
	}
	return b
}

// Content returns what the file holds when everything has been written.
func (k *Keeper) Content() []byte { return k.content() }

// note notes how a write went, and says it when that changes.
func (k *Keeper) note(err error) {
	k.mu.Lock()
	was := k.failure
	k.failure = ""
	if err != nil {
		k.failure = err.Error()
	}
	is := k.failure
	k.mu.Unlock()
	switch {
	case is != "" && was == "":
		k.cfg.Log.Warn("what is relayed this month cannot be written: a restart forgets it", "file", k.path, "err", err)
	case is == "" && was != "":
		k.cfg.Log.Info("what is relayed this month is written again")
	}
}

// Note says what is wrong with the file; empty: nothing. It asks the disk whether a file that
// was set aside is still there.
func (k *Keeper) Note() string {
	k.mu.Lock()
	failure := k.failure
	k.mu.Unlock()
	switch {
	case failure != "":
		return fmt.Sprintf("what is relayed this month cannot be written to %s: a restart forgets it (%s). Look at 'df %s' and at who owns it.", k.path, failure, k.cfg.Dir)
	case durable.IsAside(k.aside):
		return fmt.Sprintf("the file of what was relayed this month could not be read at the start, or in part only, and is now %s: some of it is not counted. Look at the disk and at who owns the file, and remove it.", k.aside)
	}
	return ""
}
