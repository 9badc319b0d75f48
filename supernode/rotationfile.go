package supernode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
)

const (
	// RotationFile is the name of the file with the former identity in the state directory,
	// and RotationCopy that of its copy: serial u64, since when in unix seconds i64, and the
	// seed of 32 bytes or, when the rotation has ended, nothing; then their CRC-32C.
	RotationFile = "rotation"
	RotationCopy = "rotation.copy"

	rotationHead = 8 + 8
)

// rotationFile is what the two files have. The zero value: there was no rotation.
type rotationFile struct {
	serial uint64
	since  int64
	seed   [32]byte // zeros: it has ended
}

// under reports whether the former identity still answers.
func (f *rotationFile) under() bool { return f.seed != [32]byte{} }

// content returns the content of the files; nil: there are none.
func (f *rotationFile) content() []byte {
	if f.serial == 0 {
		return nil
	}
	b := binary.BigEndian.AppendUint64(nil, f.serial)
	b = binary.BigEndian.AppendUint64(b, uint64(f.since))
	if f.under() {
		b = append(b, f.seed[:]...)
	}
	return sum(b)
}

// parseRotation reads what content returned. ok is false if it is damaged.
func parseRotation(b []byte) (f rotationFile, ok bool) {
	b, ok = unsum(b)
	if !ok || len(b) != rotationHead && len(b) != rotationHead+len(f.seed) {
		return f, false
	}
	f.serial, f.since = binary.BigEndian.Uint64(b), int64(binary.BigEndian.Uint64(b[8:]))
	copy(f.seed[:], b[rotationHead:])
	return f, f.serial != 0
}

// CheckRotation says what is wrong with the content of RotationFile; nil content is that of
// none.
func CheckRotation(content []byte) error {
	if _, ok := parseRotation(content); len(content) > 0 && !ok {
		return errors.New("it is damaged")
	}
	return nil
}

// loadRotation reads the rotation, mends its files, and says where a damaged one is now. own
// is the identity: where that is the former one, too, the rotation was not finished, and
// nobody was told of it.
func (l stateFiles) loadRotation(own *crypto.Identity) (f rotationFile, aside string) {
	if l.dir == "" {
		return f, ""
	}
	path, second := filepath.Join(l.dir, RotationFile), filepath.Join(l.dir, RotationCopy)
	f, there, whole := readRotation(path)
	kept, copied, alike := readRotation(second)
	switch {
	case !there && !alike:
		return rotationFile{}, ""
	case there && !whole:
		aside = l.setAsideRotation(path, alike)
	case whole && copied && !alike:
		l.log.Warn("the copy of the file of the former key is damaged and is written anew: nothing is lost", "file", second)
	}
	if !whole {
		f = kept
	}
	unfinished := f.under() && f.seed == own.Seed
	if unfinished {
		f.seed = [32]byte{}
	}
	if f.serial != 0 && (!whole || f != kept || unfinished) {
		if err := l.keepRotation(&f); err != nil {
			l.log.Warn("the file of the former key cannot be mended", "err", err)
		}
	}
	return f, aside
}

// readRotation reads one of the two files.
func readRotation(path string) (f rotationFile, there, whole bool) {
	b, err := os.ReadFile(path)
	f, whole = parseRotation(b)
	return f, !errors.Is(err, fs.ErrNotExist), whole
}

// setAsideRotation sets a damaged file aside, and returns its new name. copied: its copy is
// whole.
func (l stateFiles) setAsideRotation(path string, copied bool) (aside string) {
	aside = durable.AsidePath(path, l.now())
	if l.disk.Rename(path, aside) != nil {
		aside = ""
	}
	text := "the file of the former key is damaged: its copy is used, and nothing is lost"
	if !copied {
		text = "the file of the former key is damaged, and so is its copy: edges that know the supernode by that key alone need the new one"
	}
	l.log.Warn(text, "file", path, "set_aside", aside)
	return aside
}

// rotatedFrom reports whether a seed is that of the former identity.
func (l stateFiles) rotatedFrom(seed [32]byte) bool {
	for _, name := range [...]string{RotationFile, RotationCopy} {
		if f, _, whole := readRotation(filepath.Join(l.dir, name)); whole {
			return f.seed == seed
		}
	}
	return false
}

// keepRotation writes both files.
func (l stateFiles) keepRotation(f *rotationFile) error {
	err := durable.ReplaceOn(l.disk, filepath.Join(l.dir, RotationFile), f.content(), 0o600)
	if err == nil {
		err = durable.ReplaceOn(l.disk, filepath.Join(l.dir, RotationCopy), f.content(), 0o600)
	}
	return err
}

// rotate makes another identity the supernode's, and keeps the one before as the former.
// Until the new one is in its place the former one is our own, at the next start as well.
func (l stateFiles) rotate(serial uint64, from, to *crypto.Identity) (f rotationFile, err error) {
	f = rotationFile{serial: serial, since: l.now().Unix(), seed: from.Seed}
	if err = l.keepRotation(&f); err != nil {
		return f, err
	}
	path := filepath.Join(l.dir, IdentityFile)
	if err = durable.ReplaceOn(l.disk, path, to.Seed[:], 0o600); err != nil {
		_ = durable.ReplaceOn(l.disk, path, from.Seed[:], 0o600) // it may be in its place, and not for sure
		return f, err
	}
	l.writeCopy(to) // without it the next start writes it
	return f, nil
}

// seedRun is how many bytes in a row of a seed tell that a file has it, or what damage left of
// it.
const seedRun = 4

// removeAside removes the files beside those of identities that were set aside, damaged or
// replaced, and have a seed or a part of it, and returns which of them it could not remove.
func (l stateFiles) removeAside(seed [32]byte) (left []string) {
	files, _ := os.ReadDir(l.dir) // of one that cannot be read nothing can be removed
	for _, f := range files {
		aside := func(prefix string) bool { return strings.HasPrefix(f.Name(), prefix) }
		if !aside(RotationFile+".damaged-") && !aside(IdentityFile+".damaged-") && !aside(IdentityCopy+".replaced-") {
			continue
		}
		path := filepath.Join(l.dir, f.Name())
		if b, err := os.ReadFile(path); err == nil && !hasPart(b, seed) {
			continue
		}
		if l.disk.Remove(path) != nil {
			left = append(left, path)
		}
	}
	return left
}

// hasPart reports whether seedRun bytes of a seed are somewhere in b.
func hasPart(b []byte, seed [32]byte) bool {
	for i := range len(seed) - seedRun + 1 {
		if bytes.Contains(b, seed[i:i+seedRun]) {
			return true
		}
	}
	return false
}

// first returns the seed of the identity that edges have known for longest.
func (f *rotationFile) first(own *crypto.Identity) [32]byte {
	if f.under() {
		return f.seed
	}
	return own.Seed
}

// at returns when the rotation was.
func (f *rotationFile) at() time.Time { return time.Unix(f.since, 0) }
