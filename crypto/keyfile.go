package crypto

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"hedgerow/internal/textfile"
)

// MaxKeyFile is the largest key, community or identity file in bytes.
const MaxKeyFile = 1 << 20

// CheckKeyFile reports why the file at path must not be trusted with a secret:
// it is readable for others, belongs to somebody else, is no ordinary file or
// is larger than MaxKeyFile. A missing file is an error that wraps
// fs.ErrNotExist. On systems without Unix modes only kind and size count.
func CheckKeyFile(path string) error {
	f, _, err := openPrivate(path, MaxKeyFile)
	if err != nil {
		return err
	}
	return f.Close()
}

// CheckKeySocket reports why nobody may be asked for keys at a path: it is no Unix socket,
// belongs to somebody else than root and this user, or everybody may connect there.
func CheckKeySocket(path string) error {
	state, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%w: start the keeper of keys, or check the path", err)
	case state.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s is no socket: give the path of a Unix socket at which a program keeps keys", path)
	}
	return checkSocketOwner(path, state)
}

// ReadKeyFile returns the passphrase in the file at path after the checks of
// CheckKeyFile. It is the only line of the file, which textfile.Line reads.
func ReadKeyFile(path string) (string, error) {
	b, _, err := readPrivate(path, MaxKeyFile)
	if err != nil {
		return "", err
	}
	if IsCommunityFile(b) {
		return "", fmt.Errorf("%s is a community file, not a passphrase: give it with --community-file", path)
	}
	text, err := textfile.Line(b)
	if err != nil {
		return "", fmt.Errorf("%s is no passphrase: %w", path, err)
	}
	return text, nil
}

// IsCommunityFile reports whether a text begins as a community file does.
func IsCommunityFile(b []byte) bool {
	text, err := textfile.Decode(b)
	return err == nil && strings.HasPrefix(strings.TrimSpace(text), fileMagic+" ")
}

// readPrivate reads a file after the checks of CheckKeyFile, with another
// bound in bytes, and returns the state that it had when it was opened.
func readPrivate(path string, limit int64) ([]byte, fs.FileInfo, error) {
	f, state, err := openPrivate(path, limit)
	if err != nil {
		return nil, state, err
	}
	defer f.Close()
	// One byte more shows a file that grew after its size was looked at.
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return nil, state, err
	case int64(len(b)) > limit:
		return nil, state, tooLarge(path, limit)
	}
	return b, state, nil
}

// openPrivate opens a file and makes the checks of CheckKeyFile on the open
// file, so that nobody can exchange the file between check and use. It returns
// the state of a refused file too, if it has one.
func openPrivate(path string, limit int64) (*os.File, fs.FileInfo, error) {
	// Opening a pipe would wait for a writer, so look at the kind first.
	state, err := os.Stat(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: check the path", err)
	}
	if !state.Mode().IsRegular() {
		return nil, state, fmt.Errorf("%s is no ordinary file: give the path of a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, state, fmt.Errorf("%w: run as the file's owner", err)
	}
	if state, err = f.Stat(); err == nil {
		err = checkState(path, state, limit)
	}
	if err != nil {
		f.Close()
		return nil, state, err
	}
	return f, state, nil
}

// checkState judges an open file.
func checkState(path string, state fs.FileInfo, limit int64) error {
	switch {
	case !state.Mode().IsRegular():
		return fmt.Errorf("%s is no ordinary file: give the path of a file", path)
	case state.Size() > limit:
		return tooLarge(path, limit)
	}
	return checkOwner(path, state)
}

func tooLarge(path string, limit int64) error {
	return fmt.Errorf("%s is larger than %d bytes, so it is not what it should be: check the path", path, limit)
}
