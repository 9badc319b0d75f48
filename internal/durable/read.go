package durable

import (
	"errors"
	"fmt"
	"os"
)

// ErrDamaged says that a file holds what its owner has not written.
var ErrDamaged = errors.New("it is not what was written")

// Read returns the content of the file at path, which has up to most bytes. A larger one, or
// what is no file, is ErrDamaged, and is not read; the other errors are those of os.ReadFile.
func Read(path string, most int64) ([]byte, error) {
	state, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !state.Mode().IsRegular() || state.Size() > most:
		return nil, fmt.Errorf("%w: it is no file, or larger than %d bytes", ErrDamaged, most)
	}
	return os.ReadFile(path)
}
