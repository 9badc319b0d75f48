package supernode

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
)

const (
	// IdentityFile is the name of the identity in the state directory.
	IdentityFile = "id"
	// IdentityCopy is the name of its copy: the same 32 bytes and their CRC-32C, by which
	// a flipped bit in the identity shows.
	IdentityCopy = "id.copy"
	// sameBytes is how many of 32 bytes two seeds that were drawn have in common almost
	// never, and a seed that was damaged almost always.
	sameBytes = 8
)

// stateFiles are the files of a state directory besides the registrations.
type stateFiles struct {
	dir  string // empty: nothing is kept
	disk durable.Disk
	now  func() time.Time
	log  *slog.Logger
}

// LoadIdentity reads the identity in a state directory, or makes one. If the file is damaged
// it is that of the copy beside it, and New will mend the file; without a copy it is an
// error, since with another identity it would be another supernode to every edge.
func LoadIdentity(dir string) (*crypto.Identity, error) {
	f, err := findIdentity(dir)
	return f.id, err
}

// foundIdentity is an identity and what is to be done with its files.
type foundIdentity struct {
	id       *crypto.Identity
	damaged  bool     // the file; the copy is not
	replaced [32]byte // the seed of the copy, if it is another identity's; zeros: it is not
	noCopy   bool     // there is none, or it is damaged
}

// findIdentity reads the identity and its copy.
func findIdentity(dir string) (f foundIdentity, err error) {
	id, _, err := crypto.LoadIdentity(filepath.Join(dir, IdentityFile))
	b, _ := os.ReadFile(filepath.Join(dir, IdentityCopy))
	kept, ok := unsum(b)
	ok = ok && len(kept) == len(f.replaced)
	switch {
	case errors.Is(err, crypto.ErrNoIdentity) && ok, err == nil && ok && damagedSeed(id.Seed, [32]byte(kept)):
		return foundIdentity{id: crypto.NewIdentity([32]byte(kept)), damaged: true}, nil
	case err != nil:
		return f, err
	case !ok:
		return foundIdentity{id: id, noCopy: true}, nil
	case id.Seed != [32]byte(kept):
		return foundIdentity{id: id, replaced: [32]byte(kept)}, nil
	}
	return foundIdentity{id: id}, nil
}

// damagedSeed reports whether a seed is what damage made of another, and not one of its own.
func damagedSeed(seed, kept [32]byte) bool { return seed != kept && common(seed, kept) >= sameBytes }

// loadIdentity returns the identity, mends its files, and says where a damaged file is now.
func (l stateFiles) loadIdentity() (id *crypto.Identity, aside string, err error) {
	f, err := findIdentity(l.dir)
	switch {
	case err != nil:
		return nil, "", err
	case f.damaged:
		aside = l.repair(filepath.Join(l.dir, IdentityFile), f.id.Seed)
	case f.noCopy:
		if at := filepath.Join(l.dir, IdentityCopy); exists(at) {
			l.log.Warn("the copy of the identity is damaged and is written anew: nothing is lost", "file", at)
		}
		l.writeCopy(f.id)
	case f.replaced != [32]byte{} && l.rotatedFrom(f.replaced):
		l.writeCopy(f.id) // the rotation did not come to that
	case f.replaced != [32]byte{}:
		was := filepath.Join(l.dir, IdentityCopy)
		now := was + ".replaced-" + l.now().UTC().Format("20060102T150405.000Z")
		_ = l.disk.Rename(was, now)
		l.log.Warn("this supernode has another identity than at its last start: edges that pin the old one refuse it",
			"old", KeyText(crypto.NewIdentity(f.replaced).Static), "new", KeyText(f.id.Static), "kept", now)
		l.writeCopy(f.id)
	}
	return f.id, aside, nil
}

// exists reports whether a file is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// common returns in how many places two seeds have the same byte.
func common(a, b [32]byte) (n int) {
	for i := range a {
		if a[i] == b[i] {
			n++
		}
	}
	return n
}

// repair sets a damaged identity aside, returns its new name, and puts the copy in its
// place. If the disk does not let it, it is done at the next start.
func (l stateFiles) repair(path string, seed [32]byte) (aside string) {
	aside = durable.AsidePath(path, l.now())
	err := l.disk.Rename(path, aside)
	if err == nil {
		err = durable.ReplaceOn(l.disk, path, seed[:], 0o600)
	} else {
		aside = ""
	}
	l.log.Warn("the identity is damaged: its copy is used, and nothing is lost", "file", path, "set_aside", aside, "err", err)
	return aside
}

// writeCopy writes the copy of the identity.
func (l stateFiles) writeCopy(id *crypto.Identity) {
	if err := durable.ReplaceOn(l.disk, filepath.Join(l.dir, IdentityCopy), sum(id.Seed[:]), 0o600); err != nil {
		l.log.Warn("no copy of the identity can be kept", "err", err)
	}
}

// KeyText returns a supernode's key as it is typed after the '#' of an edge's
// -l option: unpadded base64url.
func KeyText(key [32]byte) string { return base64.RawURLEncoding.EncodeToString(key[:]) }
