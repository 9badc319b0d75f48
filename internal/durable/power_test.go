package durable

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
)

// unreliable is a disk in memory that shows what a loss of power may do: what is
// not synced is lost, and of the names that changed since the last sync of the
// directory each may have reached the disk or not, in any order. A content that is
// not synced reads as nothing, as on real file systems.
type unreliable struct {
	names, onDisk map[string]*content
	did           []string   // the steps so far
	lost          [][]string // before each of them, what a loss of power may leave
	open          int        // files that are not closed
	failAt        int        // this step fails, if > 0
}

// content is one file: what processes read, and what is on the disk.
type content struct {
	data, onDisk []byte
	mode         fs.FileMode
}

// path is the file of these tests.
const path = "/state/f"

var errDisk = errors.New("the disk failed")

// step notes a step and fails the one that is to fail.
func (d *unreliable) step(name string) error {
	d.lost = append(d.lost, d.afterPowerLoss())
	d.did = append(d.did, name)
	if len(d.did) == d.failAt {
		return errDisk
	}
	return nil
}

// openFile is a file of the disk under a name.
type openFile struct {
	disk *unreliable
	name string
	*content
}

func (d *unreliable) CreateTemp(dir, pattern string) (File, error) {
	name := dir + strings.ReplaceAll(pattern, "*", "1")
	if err := d.step("create"); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	c := &content{mode: 0o600}
	d.names[name] = c
	d.open++
	return openFile{d, name, c}, nil
}

func (d *unreliable) Rename(from, to string) error {
	if err := d.step("rename"); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	delete(d.names, from)
	return nil
}

func (d *unreliable) Link(from, to string) error {
	if err := d.step("link"); err != nil {
		return err
	}
	if d.names[to] != nil {
		return fs.ErrExist
	}
	d.names[to] = d.names[from]
	return nil
}

func (d *unreliable) Remove(name string) error {
	if err := d.step("remove"); err != nil {
		return err
	}
	if d.names[name] == nil {
		return fs.ErrNotExist
	}
	delete(d.names, name)
	return nil
}

func (d *unreliable) SyncDir(string) error {
	if err := d.step("sync directory"); err != nil {
		return err
	}
	d.onDisk = maps.Clone(d.names)
	return nil
}

func (f openFile) Name() string { return f.name }

func (f openFile) Write(b []byte) (int, error) {
	if err := f.disk.step("write"); err != nil {
		f.data = append(f.data, b[:len(b)/2]...) // a full disk
		return len(b) / 2, err
	}
	f.data = append(f.data, b...)
	return len(b), nil
}

func (f openFile) Chmod(mode fs.FileMode) error {
	if err := f.disk.step("chmod"); err != nil {
		return err
	}
	f.mode = mode
	return nil
}

func (f openFile) Sync() error {
	if err := f.disk.step("sync"); err != nil {
		return err
	}
	f.onDisk = bytes.Clone(f.data)
	return nil
}

func (f openFile) Close() error {
	f.disk.open--
	return f.disk.step("close")
}

// none is what is read of a file that is not there; "" is an empty file.
const none = "(none)"

// afterPowerLoss returns every content that the file may have when the power comes
// back: the newest name may have reached the disk or not.
func (d *unreliable) afterPowerLoss() []string {
	return []string{stored(d.names[path]), stored(d.onDisk[path])}
}

func stored(c *content) string {
	if c == nil {
		return none
	}
	return string(c.onDisk)
}

// placed are the two ways to give the file its name, with the steps of each.
var placed = []struct {
	name  string
	place func(Disk, string, string) error
	old   string // what is there before
	steps []string
}{
	{"Replace", Disk.Rename, "old", []string{"create", "write", "chmod", "sync", "close", "rename", "remove", "sync directory"}},
	{"Replace nothing", Disk.Rename, none, []string{"create", "write", "chmod", "sync", "close", "rename", "remove", "sync directory"}},
	{"Create", Disk.Link, none, []string{"create", "write", "chmod", "sync", "close", "link", "remove", "sync directory"}},
}

// start returns a disk with the old file in place.
func start(old string, failAt int) *unreliable {
	d := &unreliable{names: map[string]*content{}, failAt: failAt}
	if old != none {
		d.names[path] = &content{data: []byte(old), onDisk: []byte(old)}
	}
	d.onDisk = maps.Clone(d.names)
	return d
}

// The order of the steps is that of the package's comment, and a success is on the
// disk: no loss of power after it brings the old file back.
func TestSuccessIsOnDisk(t *testing.T) {
	for _, tt := range placed {
		d := start(tt.old, 0)
		if err := write(d, path, []byte("new"), 0o640, tt.place); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.did, tt.steps) {
			t.Errorf("%s: steps %q, want %q", tt.name, d.did, tt.steps)
		}
		c := d.onDisk[path]
		if c == nil || string(c.onDisk) != "new" || c.mode != 0o640 || len(d.onDisk) != 1 {
			t.Errorf("%s: on the disk %+v of %v", tt.name, c, d.onDisk)
		}
	}
}

// Whatever step fails, processes see the old file whole or the new one whole; a
// failure before the name is given leaves the old one and nothing else.
func TestEveryStepFails(t *testing.T) {
	for _, tt := range placed {
		naming := slices.IndexFunc(tt.steps, func(s string) bool { return s == "rename" || s == "link" })
		for i, failed := range tt.steps {
			d := start(tt.old, i+1)
			err := write(d, path, []byte("new"), 0o600, tt.place)
			// Nobody needs the second name of a link to be gone.
			if want := failed != "remove"; (err != nil) != want || want && !errors.Is(err, errDisk) {
				t.Errorf("%s, %s fails: %v", tt.name, failed, err)
			}
			want, names := tt.old, 1
			switch {
			case i > naming:
				want = "new"
			case tt.old == none:
				names = 0
			}
			if failed == "remove" && tt.steps[naming] == "link" {
				names = 2 // of one file
			}
			seen := none
			if c := d.names[path]; c != nil {
				seen = string(c.data)
			}
			if seen != want || len(d.names) != names {
				t.Errorf("%s, %s fails: the file is %q of %d names, want %q of %d", tt.name, failed, seen, len(d.names), want, names)
			}
			if d.open != 0 {
				t.Errorf("%s, %s fails: the file was not closed", tt.name, failed)
			}
		}
	}
}

// A loss of power between any two steps, of calls that succeed and of calls that
// fail, leaves the old file or the new one, whole, and never an empty one.
func TestPowerLossBetweenSteps(t *testing.T) {
	for _, tt := range placed {
		for failAt := 0; failAt <= len(tt.steps); failAt++ {
			d := start(tt.old, failAt)
			_ = write(d, path, []byte("new"), 0o600, tt.place)
			for i, may := range append(d.lost, d.afterPowerLoss()) {
				for _, file := range may {
					if file != tt.old && file != "new" {
						t.Errorf("%s, step %d fails, power lost after %q: the file is %q", tt.name, failAt, d.did[:i], file)
					}
				}
			}
		}
	}
}
