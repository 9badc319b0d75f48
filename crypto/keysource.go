package crypto

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// KeySource is where the keys of a community come from, and how an edge learns
// that there are new ones: the key discovery channel.
type KeySource interface {
	// Load returns the community as the source has it now.
	Load(ctx context.Context) (*Community, error)
	// Changed blocks until another Load is worth it and returns nil then, or
	// until ctx ends and returns its error.
	Changed(ctx context.Context) error
}

// pollEvery is how often FileSource looks at its file. Looking costs one system
// call and works on every file system, networked ones included.
const pollEvery = 2 * time.Second

// FileSource reads a community file and notices when the file is written or
// replaced. Use it through a pointer. Load and Changed may run at once.
type FileSource struct {
	Path string // checked as by CheckKeyFile at every Load

	mu   sync.Mutex
	seen fileState // at the last Load, or when Changed last reported
}

// fileState distinguishes two states of a file.
type fileState struct {
	modified int64 // nanoseconds of Unix time
	size     int64
	inode    uint64
	mode     fs.FileMode // a refused file may need nothing but a chmod
}

func stateOf(info fs.FileInfo) fileState {
	return fileState{modified: info.ModTime().UnixNano(), size: info.Size(), inode: inode(info), mode: info.Mode()}
}

// Load reads the file and sets Modified of the community to the file's time of
// modification. A file that is refused is remembered too, so Changed waits for
// it to be mended.
func (s *FileSource) Load(context.Context) (*Community, error) {
	// The state is that of before the reading, so a write during it counts as a
	// change.
	b, info, err := readPrivate(s.Path, MaxKeyFile)
	if info != nil {
		s.remember(stateOf(info))
	}
	if err != nil {
		return nil, err
	}
	c, err := ParseCommunity(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Path, err)
	}
	c.Modified = info.ModTime()
	return c, nil
}

// Changed looks every 2 s whether the file's time, size, inode or mode differ
// from those at the last Load. A file that is not there, as while an editor replaces
// it, has not changed.
func (s *FileSource) Changed(ctx context.Context) error {
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if info, err := os.Stat(s.Path); err == nil && s.remember(stateOf(info)) {
			return nil
		}
		timer.Reset(pollEvery)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// remember stores a state and reports whether it differs from the previous one.
func (s *FileSource) remember(now fileState) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := s.seen != now
	s.seen = now
	return changed
}

// StaticSource is a community that never changes, such as one made from a
// passphrase.
type StaticSource struct{ *Community }

// Load returns the community.
func (s StaticSource) Load(context.Context) (*Community, error) { return s.Community, nil }

// Changed waits for ctx to end.
func (s StaticSource) Changed(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}
