package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace writes data to the file at path, in place of one that is there, with the
// permissions mode, whatever the umask is and the old file had. The directory must
// exist. Concurrent calls are safe: one of them wins.
//
// After an error the old file is still there, untouched, except for one error: when
// only the sync of the directory failed, the new file has its name already, but a
// loss of power may bring the old one back. A symbolic link at path is replaced, not
// followed. On Windows a file that somebody has open without sharing it for deletion
// cannot be replaced, and the directory is not synced, for want of a call for it.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return write(system{}, path, data, mode, Disk.Rename)
}

// Create is Replace for a file that must not be there yet: if there is one, whole
// or not, the error wraps fs.ErrExist and the file is left alone. Of concurrent calls one
// succeeds; on a file system without hard links more than one may, and then the last
// of them wins.
func Create(path string, data []byte, mode fs.FileMode) error {
	return write(system{}, path, data, mode, Disk.Link)
}

// ReplaceOn is Replace on a disk.
func ReplaceOn(d Disk, path string, data []byte, mode fs.FileMode) error {
	return write(d, path, data, mode, Disk.Rename)
}

// Disk is what the steps need of the operating system, so that a test can cut the
// power between any two of them, or fill the disk up.
type Disk interface {
	// CreateTemp makes a new file of mode 0600 in a directory, with a name from
	// the pattern, as os.CreateTemp does.
	CreateTemp(dir, pattern string) (File, error)
	// Rename gives a file another name, which another file may have so far.
	Rename(from, to string) error
	// Link gives a file a name that no file has, else fs.ErrExist. The file may
	// keep or lose the name from.
	Link(from, to string) error
	// Remove removes a name.
	Remove(name string) error
	// SyncDir brings the names in a directory to the disk, where the system can.
	SyncDir(dir string) error
}

// File is a file that is being written, as an *os.File is one.
type File interface {
	// Name returns the path that it was opened by.
	Name() string
	// Write writes b at the end. It returns an error if it wrote less.
	Write(b []byte) (int, error)
	// Chmod changes its permissions.
	Chmod(mode fs.FileMode) error
	// Sync returns when what was written is on the disk.
	Sync() error
	// Close closes it.
	Close() error
}

// write makes the file under a name of its own, then lets place give it its name.
func write(d Disk, path string, data []byte, mode fs.FileMode, place func(Disk, string, string) error) error {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := d.CreateTemp(dir, "."+base+"-*")
	if err != nil {
		return named(path, err)
	}
	err = fill(f, data, mode)
	if err == nil {
		err = place(d, f.Name(), path)
	}
	if err != nil {
		_ = d.Remove(f.Name())
		return named(path, err)
	}
	// A hard link has two names now. If this fails, or a crash comes first, a
	// file too much is left: no harm.
	_ = d.Remove(f.Name())
	return named(path, d.SyncDir(dir))
}

// fill writes, syncs and closes a new file. Not before all three succeeded may it
// get its name: disks report a full device, or a failed write, as late as that.
func fill(f File, data []byte, mode fs.FileMode) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// named puts the path that the caller knows in place of that of the temporary file,
// and keeps the cause.
func named(path string, err error) error {
	var p *fs.PathError
	var l *os.LinkError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return &fs.PathError{Op: "write", Path: path, Err: p.Err}
	case errors.As(err, &l):
		return &fs.PathError{Op: "write", Path: path, Err: l.Err}
	}
	return &fs.PathError{Op: "write", Path: path, Err: err}
}
