package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
	"hedgerow/roster"
)

// listFile is where an edge keeps its list of members, and the keys that followed
// revocations.
const listFile = "members"

// listStore keeps the list of members on the disk. The highest serial is in the state file
// as well, so that an old file that somebody puts back is found out.
type listStore struct {
	file    roster.File
	state   *state
	loop    *background
	log     *slog.Logger
	writer  stateWriter
	version uint64 // of what was written last
	failure string // why it could not be written last, empty: it could
	aside   string // where a damaged file was put, empty: there was none
}

// loadList reads the list of members of a community. A file that is damaged, or that
// another authority has signed, is set aside and said.
func loadList(c *crypto.Community, st *state, now time.Time, log *slog.Logger) (*listStore, error) {
	s := &listStore{state: st, log: log}
	if st.dir == "" || c.Members != crypto.MembersList {
		return s, nil
	}
	path := filepath.Join(st.dir, listFile)
	b, err := readBounded(path, int64(roster.MaxFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		s.file, err = roster.ParseFile(c, b)
	}
	if err == nil {
		return s, nil
	}
	s.file = roster.File{}
	why := err
	if s.aside, err = durable.SetAside(path, now, why); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	log.Warn("the list of members is damaged or of another authority, and was set aside: other members have it", "file", path, "aside", s.aside, "err", why)
	return s, nil
}

// readBounded reads a file, of at most a number of bytes.
func readBounded(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("it is larger than %d bytes", most)
	}
	return b, err
}

// newAdmission returns who is a member of a community by the list that was kept. A list
// that is older than one which was here does not count.
func (s *listStore) newAdmission(c *crypto.Community, own [32]byte) *admission {
	a := &admission{own: own, on: c.Members == crypto.MembersList, list: s.file.List}
	if last := s.state.saved.Listed; a.on && last.Authority == crypto.EncodeAuthority(c.Authority) {
		a.floor = last.Serial
	}
	if a.list != nil && a.list.Head.Serial < a.floor {
		a.list, s.file.List = nil, nil
	}
	return a
}

// keep writes the file in the background, and notes the serial.
func (s *listStore) keep(c *crypto.Community) {
	if s.file.List != nil {
		s.state.saved.Listed = listed{Authority: crypto.EncodeAuthority(c.Authority), Serial: s.file.List.Head.Serial}
		s.state.dirty = true
	}
	if s.state.dir == "" {
		return
	}
	s.version++
	version, b := s.version, s.file.Append(nil)
	s.loop.Go(func(context.Context) {
		err := s.writer.write(filepath.Join(s.state.dir, listFile), version, b)
		s.loop.Do(func(time.Time) { s.kept(err) })
	})
}

// kept notes whether the file was written.
func (s *listStore) kept(err error) {
	if s.failure = ""; err != nil {
		s.failure = fmt.Sprintf("the list of members cannot be kept in %s (%v): at its next start this edge has an older one until it meets a member", s.state.dir, err)
		s.log.Error(s.failure)
	}
}

// notes says for status what is odd about the file.
func (s *listStore) notes() (list []string) {
	if s.failure != "" {
		list = append(list, s.failure)
	}
	if s.aside != "" {
		list = append(list, "the list of members was damaged at the start, or of another authority, and is now "+s.aside+": other members have it. [E64]")
	}
	return list
}
