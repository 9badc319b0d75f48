package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"

	"hedgerow/internal/durable"
	"hedgerow/supernode"
	"hedgerow/supernode/invites"
	"hedgerow/supernode/journal"
	"hedgerow/supernode/quota"
)

// state are the files of a state directory that are a supernode's state, but for the
// identity.
var state = [...]string{
	journal.First, journal.Second, supernode.ResetKeysFile, invites.FileName, RulesFile, supernode.RedirectFile, quota.FileName,
	supernode.RotationFile, supernode.RotationCopy,
}

// ErrState says that a directory has the state of a supernode.
var ErrState = errors.New("it has the state of a supernode")

// Read copies the state directory of a supernode that is stopped. It changes nothing.
func Read(dir string, now time.Time, release string) (*Content, error) {
	if _, err := os.Stat(filepath.Join(dir, supernode.IdentityFile)); err != nil {
		return nil, err
	}
	id, err := supernode.LoadIdentity(dir)
	if err != nil {
		return nil, err
	}
	found, err := journal.Read(dir)
	if err != nil {
		return nil, err
	}
	c := &Content{Made: now.UTC(), Release: release, Identity: id.Seed, Records: make(map[journal.Key][]byte)}
	for key, record := range found.Records {
		if supernode.CheckRecord(key, record) == nil { // what is damaged is lost at the next start, too
			c.Records[key] = record
		}
	}
	for name, content := range map[string]*[]byte{
		supernode.RotationFile: &c.Rotation, supernode.ResetKeysFile: &c.ResetKeys, invites.FileName: &c.Invites, RulesFile: &c.Rules,
	} {
		if *content, err = os.ReadFile(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	if c.Quota, err = quota.Read(dir); err != nil {
		return nil, err
	}
	_, err = c.Summary()
	return c, err
}

// Restore writes a content into a state directory that nobody uses: the caller has its lock.
// If there is a state already it fails with ErrState, or with force moves that into a
// directory of its own beside it, and returns its name. A start in between is refused, and
// Restore may be called again.
func (c *Content) Restore(dir string, now time.Time, force bool) (aside string, err error) {
	if _, err := c.Summary(); err != nil {
		return "", err
	}
	has, err := present(dir)
	if err != nil {
		return "", err
	}
	if len(has) > 0 && !force {
		return "", fmt.Errorf("%s: %w", dir, ErrState)
	}
	write := func(name string, content []byte) {
		if err == nil && content != nil {
			err = durable.Replace(filepath.Join(dir, name), content, 0o600)
		}
	}
	write(supernode.RestoredFile, []byte(supernode.RestoredUnfinished))
	if err == nil && len(has) > 0 {
		aside, err = setAside(dir, has, now)
	}
	write(supernode.RotationFile, c.Rotation)
	write(supernode.IdentityFile, c.Identity[:])
	write(supernode.ResetKeysFile, c.ResetKeys)
	write(invites.FileName, c.Invites)
	write(RulesFile, c.Rules)
	write(quota.FileName, c.Quota)
	if err == nil {
		err = c.restoreRecords(dir, now)
	}
	write(supernode.RestoredFile, []byte(supernode.RestoredText(c.Made)))
	if err == nil {
		err = giveToOwner(dir)
	}
	return aside, err
}

// restoreRecords writes the registrations.
func (c *Content) restoreRecords(dir string, now time.Time) error {
	j, _, err := journal.Open(journal.Config{Dir: dir, RecordLen: supernode.RecordLen, Now: func() time.Time { return now }})
	if err != nil {
		return err
	}
	defer j.Close()
	return j.Begin(1, maps.All(c.Records))
}

// present returns which files of a state there are in a directory.
func present(dir string) (names []string, err error) {
	for _, name := range append(state[:], supernode.IdentityFile, supernode.IdentityCopy) {
		_, err := os.Lstat(filepath.Join(dir, name))
		switch {
		case err == nil:
			names = append(names, name)
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	return names, nil
}

// setAside moves files of a state into a directory of their own. The identity is copied, so
// that there is one at any time: without, the next start would make another.
func setAside(dir string, names []string, now time.Time) (aside string, err error) {
	aside = filepath.Join(dir, "replaced-"+now.UTC().Format("20060102T150405.000Z"))
	if err := os.Mkdir(aside, 0o700); err != nil {
		return "", err
	}
	for _, name := range names {
		from, to := filepath.Join(dir, name), filepath.Join(aside, name)
		if name != supernode.IdentityFile {
			err = os.Rename(from, to)
		} else if b, e := os.ReadFile(from); e != nil {
			err = e
		} else {
			err = durable.Create(to, b, 0o600)
		}
		if err != nil {
			return aside, err
		}
	}
	return aside, nil
}
