package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// Contents is what was found in the files.
type Contents struct {
	// Records are the newest ones by their keys.
	Records map[Key][]byte
	// Boot is the newest boot that wrote something; 0: none did.
	Boot uint64
	// Missing says that there was neither file.
	Missing bool
	// Whole says that what was written before is all there: one of the copies at least
	// has no fault.
	Whole bool
	// Faults are what is wrong with the copies, one at most for each.
	Faults []Fault
}

// Fault is what is wrong with a file.
type Fault struct {
	// Path is the file's.
	Path string
	// Cause says what is wrong.
	Cause string
	// Aside is what the file is called now; empty: it was written anew, or could not be
	// set aside.
	Aside string

	damaged bool // and not only cut short, as by a loss of power while it was written
}

// copyFound is what was found in one file.
type copyFound struct {
	missing bool
	size    int // of its slots
	slots   int
	last    uint64 // the highest number
	base    uint64 // that of the first slot: what is older and not here is gone; 0: not known
	bad     int    // slots that are damaged, between others
	tail    bool   // the end is damaged, or too short for a slot
	cause   string // of another fault; empty: none
}

const notThere = "it is not there"

// fault returns what is wrong with a copy whose other one goes up to a number; ok: nothing.
func (c *copyFound) fault(path string, last uint64) (f Fault, ok bool) {
	f = Fault{Path: path, damaged: true}
	switch {
	case c.cause != "":
		f.Cause = c.cause
	case c.bad > 0:
		f.Cause = fmt.Sprintf("%d of %d records in it are damaged", c.bad, c.slots+c.bad)
	case c.missing:
		f.Cause, f.damaged = notThere, false
	case c.tail || c.last < last:
		f.Cause, f.damaged = "it ends too early", false
	default:
		return Fault{}, true
	}
	return f, false
}

// reader reads the copies into one table.
type reader struct {
	size    int // of slots of a file whose beginning is damaged
	records map[Key]slot
	boot    uint64
}

// read reads a copy. err is what the system says if the file may not be opened. A file
// that can be read in part only is damaged.
func (r *reader) read(path string) (c copyFound, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return copyFound{missing: true}, nil
	}
	if err != nil {
		return c, err
	}
	defer func() { _ = f.Close() }()
	state, err := f.Stat()
	if err != nil {
		return c, err
	}
	if !state.Mode().IsRegular() {
		return c, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is no regular file")}
	}
	in := bufio.NewReaderSize(f, 1<<16)
	begin := make([]byte, headerLen)
	if n, err := io.ReadFull(in, begin); n == 0 && err == io.EOF {
		c.cause = "it is empty"
		return c, nil
	}
	var ok bool
	if c.size, ok = parseHeader(begin); !ok {
		c.size, c.cause = r.size, "its beginning is damaged"
	}
	r.readSlots(in, &c)
	return c, nil
}

// readSlots reads what follows the header.
func (r *reader) readSlots(in io.Reader, c *copyFound) {
	b := make([]byte, c.size)
	since := 0 // damaged slots since the last good one
	for {
		_, err := io.ReadFull(in, b)
		if err != nil {
			if err != io.EOF && err != io.ErrUnexpectedEOF {
				c.cause = err.Error()
			}
			c.tail = since > 0 || err == io.ErrUnexpectedEOF
			return
		}
		s, ok := parseSlot(b)
		if !ok {
			since++
			continue
		}
		c.bad += since
		if c.slots+c.bad == 0 && s.key == (Key{}) {
			c.base = s.number
		}
		since = 0
		c.slots++
		c.last = max(c.last, s.number)
		r.boot = max(r.boot, s.boot)
		r.enter(&s)
	}
}

// enter enters a slot, unless there is a newer one with its key.
func (r *reader) enter(s *slot) {
	if s.key == (Key{}) {
		return
	}
	if has, ok := r.records[s.key]; ok && has.number > s.number {
		return
	}
	s.record = bytes.Clone(s.record)
	r.records[s.key] = *s
}

// current returns the newest records. What is older than a number is gone.
func (r *reader) current(base uint64) map[Key][]byte {
	records := make(map[Key][]byte, len(r.records))
	for key, s := range r.records {
		if s.record != nil && s.number >= base {
			records[key] = s.record
		}
	}
	return records
}
