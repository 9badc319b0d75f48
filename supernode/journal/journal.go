package journal

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"hedgerow/internal/durable"
	"hedgerow/internal/filelock"
)

// The names of the two files, and of the one that keeps others away from them.
const (
	First  = "registrations.1"
	Second = "registrations.2"

	lockFile = "registrations.lock"
)

// Disk is what a journal needs of the operating system, so that a test can make any
// write fail.
type Disk interface {
	durable.Disk
	// Append opens a file that is there, to write at its end.
	Append(path string) (durable.File, error)
}

// System is the disk of the operating system.
var System Disk = system{durable.System}

type system struct{ durable.Disk }

// Append opens a file that is there, to write at its end.
func (system) Append(path string) (durable.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err // a nil *os.File in the interface would not be nil
	}
	return f, nil
}

// Config says where a journal is.
type Config struct {
	Dir       string           // it exists
	RecordLen int              // of the longest record, in bytes, at most 65 534
	Disk      Disk             // default: System
	Now       func() time.Time // names what is set aside
}

// slack is how many slots a file may have that are of no use any more, besides as many
// as those of use.
const slack = 4096

// Journal keeps records. It belongs to one goroutine.
type Journal struct {
	cfg    Config
	size   int // of a slot
	number uint64
	boot   uint64
	copies [2]fileCopy
	lock   *os.File // nil: it could not be made
	buf    []byte
}

// fileCopy is one of the two files.
type fileCopy struct {
	path string
	file durable.File // nil: it cannot be written
	is   os.FileInfo  // the file that is written

	slots int // in the file
	used  int // of them were of use when the file was written anew
}

// Open reads both files of a journal. What is damaged is set aside. It fails with
// filelock.ErrLocked if another journal is open there, and with what the system says if a
// file that is there may not be read. Begin has to follow.
func Open(cfg Config) (*Journal, Contents, error) {
	if cfg.Disk == nil {
		cfg.Disk = System
	}
	j := &Journal{cfg: cfg, size: size(cfg.RecordLen)}
	if err := j.takeLock(); err != nil {
		return nil, Contents{}, err
	}
	c, err := j.readAll()
	if err != nil {
		j.Close()
	}
	return j, c, err
}

// Read reads the files of a journal that may be open elsewhere, and changes nothing. What
// is written meanwhile is in it or not.
func Read(dir string) (Contents, error) {
	j := &Journal{cfg: Config{Dir: dir}, size: slotRecord + slotSum}
	r, found, err := j.read()
	if err != nil {
		return Contents{}, err
	}
	c, _ := j.judge(r, found)
	return c, nil
}

// takeLock keeps other processes away. On a disk that takes no new file there is no lock.
func (j *Journal) takeLock() (err error) {
	if j.lock, err = os.OpenFile(filepath.Join(j.cfg.Dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		j.lock = nil
		return nil
	}
	if err = filelock.Try(j.lock); errors.Is(err, filelock.ErrLocked) {
		j.Close()
		return err
	}
	return nil
}

// readAll reads both files, sets aside what is damaged, and opens the files for writing if
// nothing is at fault with them.
func (j *Journal) readAll() (Contents, error) {
	removeTemporary(j.cfg.Dir, First)
	removeTemporary(j.cfg.Dir, Second)
	r, found, err := j.read()
	if err != nil {
		return Contents{}, err
	}
	c, damaged := j.judge(r, found)
	for i := range damaged {
		if damaged[i] {
			c.Faults[i].Aside = j.setAside(c.Faults[i].Path)
		}
	}
	if len(c.Faults) > 0 || c.Missing {
		return c, nil
	}
	for i := range j.copies {
		j.copies[i].slots, j.copies[i].used = found[i].slots, len(c.Records)
		if found[i].size == j.size {
			_ = j.open(&j.copies[i]) // what is not open is written anew
		}
	}
	return c, nil
}

// read reads both files.
func (j *Journal) read() (r *reader, found [2]copyFound, err error) {
	r = &reader{size: j.size, records: make(map[Key]slot)}
	for i, name := range [...]string{First, Second} {
		j.copies[i].path = filepath.Join(j.cfg.Dir, name)
		if found[i], err = r.read(j.copies[i].path); err != nil {
			return nil, found, err
		}
		j.number = max(j.number, found[i].last)
	}
	return r, found, nil
}

// judge returns what is true of what was found, and which of the files at fault are
// damaged, and not only cut short while the other is whole.
func (j *Journal) judge(r *reader, found [2]copyFound) (c Contents, damaged []bool) {
	if found[0].missing && found[1].missing {
		return Contents{Missing: true}, nil
	}
	base := uint64(0)
	for i := range found {
		if f, ok := found[i].fault(j.copies[i].path, j.number); !ok {
			c.Faults = append(c.Faults, f)
		} else {
			base, c.Whole = max(base, found[i].base), true
		}
	}
	for i := range c.Faults {
		f := &c.Faults[i]
		damaged = append(damaged, f.damaged || !c.Whole && f.Cause != notThere)
	}
	c.Boot, c.Records = r.boot, r.current(base)
	return c, damaged
}

// removeTemporary removes what a process that was killed has left of a file that it
// wrote anew.
func removeTemporary(dir, name string) {
	left, _ := filepath.Glob(filepath.Join(dir, "."+name+"-*"))
	for _, path := range left {
		_ = os.Remove(path)
	}
}

// setAside renames a damaged file and returns its new name, empty if that failed.
func (j *Journal) setAside(path string) string {
	aside := durable.AsidePath(path, j.cfg.Now())
	if j.cfg.Disk.Rename(path, aside) != nil {
		return ""
	}
	return aside
}

// Begin begins to write as a boot, after those that Open found; records are those that it
// found. If a copy is at fault both are written anew.
func (j *Journal) Begin(boot uint64, records iter.Seq2[Key, []byte]) error {
	j.boot = boot
	if !j.Full() {
		return j.Write(map[Key][]byte{{}: {}})
	}
	return j.Rewrite(records)
}

// open opens a copy for writing at its end.
func (j *Journal) open(c *fileCopy) (err error) {
	if c.file, err = j.cfg.Disk.Append(c.path); err != nil {
		return err
	}
	if c.is, err = os.Stat(c.path); err != nil {
		c.shut()
	}
	return err
}

// shut gives a copy up, until it is written anew.
func (c *fileCopy) shut() {
	if c.file != nil {
		_ = c.file.Close()
		c.file = nil
	}
}

// GiveUp gives both copies up, so that they are written anew.
func (j *Journal) GiveUp() {
	for i := range j.copies {
		j.copies[i].shut()
	}
}

// Copies returns how many copies can be written.
func (j *Journal) Copies() (n int) {
	for i := range j.copies {
		if j.copies[i].file != nil {
			n++
		}
	}
	return n
}

// Full reports whether it is time to write both files anew.
func (j *Journal) Full() bool { return j.grown() || j.Copies() < len(j.copies) }

func (j *Journal) grown() bool {
	for i := range j.copies {
		if c := &j.copies[i]; c.slots > 2*c.used+slack {
			return true
		}
	}
	return false
}

// Check gives up the copies whose files were removed or replaced under their names: what
// is written to them would be gone.
func (j *Journal) Check() error {
	var faults []error
	for i := range j.copies {
		c := &j.copies[i]
		if c.file == nil {
			continue
		}
		now, err := os.Stat(c.path)
		if err == nil && !os.SameFile(c.is, now) {
			err = fmt.Errorf("%s: another file has taken its place", c.path)
		}
		if err != nil {
			c.shut()
			faults = append(faults, err)
		}
	}
	return errors.Join(faults...)
}

// Write appends notes to both files; a nil record says that nothing is kept under a key
// any more. When it returns they are on the disk in as many files as Copies says; the error
// says why a file was given up.
func (j *Journal) Write(notes map[Key][]byte) error {
	err := j.Check()
	j.buf = j.buf[:0]
	for key, record := range notes {
		j.number++
		j.buf = appendSlot(j.buf, &slot{j.number, j.boot, key, record}, j.size)
	}
	for i := range j.copies {
		c := &j.copies[i]
		if c.file == nil {
			continue
		}
		_, e := c.file.Write(j.buf)
		if e == nil {
			e = c.file.Sync()
		}
		if e != nil {
			// After a sync that failed nobody knows what of the file is on the disk.
			c.shut()
			err = errors.Join(err, e)
			continue
		}
		c.slots += len(notes)
	}
	return err
}

// Rewrite writes anew the copies that cannot be written, or both if they have grown, with
// the records of a sequence; each is borrowed until the next. A copy that could be written
// and could not be replaced goes on to be written.
func (j *Journal) Rewrite(records iter.Seq2[Key, []byte]) error {
	both := j.grown()
	j.number++
	var faults []error
	for i := range j.copies {
		if c := &j.copies[i]; both || c.file == nil {
			faults = append(faults, j.rewrite(c, records))
		}
	}
	return errors.Join(faults...)
}

// rewrite writes one copy anew, under a name of its own that it changes at the end. All
// slots get the number of the one that it begins with: what is written later is newer.
func (j *Journal) rewrite(c *fileCopy, records iter.Seq2[Key, []byte]) error {
	f, err := j.cfg.Disk.CreateTemp(j.cfg.Dir, "."+filepath.Base(c.path)+"-*")
	if err != nil {
		return err
	}
	n, err := j.fill(f, records)
	if err = errors.Join(err, f.Close()); err == nil {
		c.shut() // on some systems no file that is open can be replaced
		err = j.cfg.Disk.Rename(f.Name(), c.path)
	}
	if err != nil {
		_ = j.cfg.Disk.Remove(f.Name())
		return err
	}
	if err = j.cfg.Disk.SyncDir(j.cfg.Dir); err == nil {
		err = j.open(c)
	}
	c.slots, c.used = n, n
	return err
}

// fill writes and syncs a new file and returns how many slots it has.
func (j *Journal) fill(f durable.File, records iter.Seq2[Key, []byte]) (n int, err error) {
	j.buf = appendHeader(j.buf[:0], j.size)
	j.buf = appendSlot(j.buf, &slot{number: j.number, boot: j.boot}, j.size)
	for key, record := range records {
		if len(record) > j.cfg.RecordLen {
			continue // of a newer program
		}
		n++
		j.buf = appendSlot(j.buf, &slot{j.number, j.boot, key, record}, j.size)
		if len(j.buf) < 1<<16 {
			continue
		}
		if _, err := f.Write(j.buf); err != nil {
			return n, err
		}
		j.buf = j.buf[:0]
	}
	if _, err := f.Write(j.buf); err != nil {
		return n, err
	}
	return n, f.Sync()
}

// Close closes the files.
func (j *Journal) Close() {
	j.GiveUp()
	if j.lock != nil {
		_ = j.lock.Close()
		j.lock = nil
	}
}
