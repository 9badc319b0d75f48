package supernode

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// RestoredFile is the name of a file that says that the state directory was restored from a
// backup: RestoredText, or RestoredUnfinished.
const RestoredFile = "restored"

// RestoredUnfinished is what RestoredFile holds until everything has been restored.
const RestoredUnfinished = "unfinished\n"

// RestoredText is what RestoredFile holds afterwards, for a backup that was made at a time.
func RestoredText(made time.Time) string { return strconv.FormatInt(made.Unix(), 10) + "\n" }

// errUnfinished says that the state directory has part of a backup.
var errUnfinished = errors.New("a restore of this state directory has not ended: type 'supernode restore FILE --force' again")

// restoration is what a store knows of the backup that its directory was restored from.
type restoration struct {
	path string    // of the file that says so
	made time.Time // when the backup was made; zero: it was not restored lately
}

// findRestoration reads whether a directory was restored from a backup.
func findRestoration(dir string) (r restoration, err error) {
	r.path = filepath.Join(dir, RestoredFile)
	b, err := os.ReadFile(r.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return r, nil
	case err != nil:
		return r, err
	case string(b) == RestoredUnfinished:
		return r, errUnfinished
	}
	seconds, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return r, fmt.Errorf("%s: it is damaged: remove it", r.path)
	}
	r.made = time.Unix(seconds, 0)
	return r, nil
}

// is reports whether the directory was restored from a backup, and nothing that has happened
// since the backup is known.
func (r restoration) is() bool { return !r.made.IsZero() }
