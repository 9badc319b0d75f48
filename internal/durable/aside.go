package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// AsidePath returns the name by which a damaged file is kept that was found at a time.
func AsidePath(path string, now time.Time) string {
	return path + ".damaged-" + now.UTC().Format("20060102T150405.000Z")
}

// SetAside gives a damaged file that name, and returns it: what is in it may be wanted. why
// is what is wrong with the file, for the error of a system that does not rename it.
func SetAside(path string, now time.Time, why error) (aside string, err error) {
	aside = AsidePath(path, now)
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("%s is damaged (%w) and cannot be set aside: %w", path, why, err)
	}
	return aside, nil
}

// IsAside reports whether a file that was set aside is still there: whoever has seen it removes
// it. An empty path is that of no file. It asks the disk.
func IsAside(path string) bool {
	if path == "" {
		return false
	}
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
