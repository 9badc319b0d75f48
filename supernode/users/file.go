package users

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	"hedgerow/internal/durable"
	"hedgerow/internal/password"
)

// FileName is the name of the file in the state directory.
const FileName = "users.json"

const (
	fileVersion = 1
	maxFile     = 64 << 20 // bytes: more than maxKnown take
)

// storedBook is the file.
type storedBook struct {
	Version int           `json:"version"`
	Known   []storedKnown `json:"known"`
}

// storedKnown is an identity that stands for a user: hexadecimal, unix seconds.
type storedKnown struct {
	Identity string `json:"identity"`
	User     string `json:"user"`
	Hash     string `json:"hash"`
	Seen     int64  `json:"seen"`
}

// Open reads the file. A damaged one is set aside, and said. It fails where the system
// does not let the file be read.
func Open(now time.Time, cfg Config) (*Book, error) {
	b, err := newBook(cfg)
	if err != nil || b.path == "" {
		return b, err
	}
	text, err := durable.Read(b.path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return b, nil
	case err == nil:
		err = b.parse(text)
	}
	if err == nil || !errors.Is(err, durable.ErrDamaged) {
		return b, err
	}
	why := err
	if b.aside, err = durable.SetAside(b.path, now, why); err != nil {
		return nil, err
	}
	b.log.Warn("the file of who has shown a password is damaged and was set aside: passwords are looked at again", "file", b.path, "aside", b.aside, "err", why)
	return b, nil
}

// parse enters what a file holds, or nothing.
func (b *Book) parse(text []byte) error {
	var file storedBook
	if err := json.Unmarshal(text, &file); err != nil {
		return fmt.Errorf("%w: %w", durable.ErrDamaged, err)
	}
	if file.Version != fileVersion || len(file.Known) > maxKnown {
		return fmt.Errorf("%w: version %d with %d edges", durable.ErrDamaged, file.Version, len(file.Known))
	}
	read := make(map[[32]byte]known, len(file.Known))
	for _, k := range file.Known {
		id, err := hex.DecodeString(k.Identity)
		if err != nil || len(id) != 32 || k.User == "" || password.Valid(k.Hash) != nil {
			return fmt.Errorf("%w: the edge %.20q", durable.ErrDamaged, k.Identity)
		}
		read[[32]byte(id)] = known{k.User, k.Hash, k.Seen}
	}
	b.known = read
	return nil
}

// Save writes what is not on the disk yet.
func (b *Book) Save() error {
	b.mu.Lock()
	if !b.changed || b.path == "" {
		b.mu.Unlock()
		return nil
	}
	file := storedBook{Version: fileVersion, Known: make([]storedKnown, 0, len(b.known))}
	for id, k := range b.known {
		file.Known = append(file.Known, storedKnown{hex.EncodeToString(id[:]), k.user, k.hash, k.seen})
	}
	b.changed = false
	b.mu.Unlock()

	text, err := json.Marshal(&file)
	if err == nil {
		err = durable.Replace(b.path, text, 0o600)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		if b.failure == nil {
			b.log.Error("who has shown a password cannot be written", "file", b.path, "err", err)
		}
		b.changed = true
	}
	b.failure = err
	return err
}

// nameAddr is the place of a user's name, as it is tried from one network, in a table of
// buckets, which has places for addresses. By the name alone a stranger could keep its user
// out.
func nameAddr(user string, source netip.Addr) netip.Addr {
	bits := 24
	if source = source.Unmap(); source.Is6() {
		bits = 48
	}
	network, _ := source.Prefix(bits) // of no address: none
	sum := sha256.Sum256([]byte(network.String() + " " + user))
	sum[8] = 0 // an IPv6 address shares the bucket of its /64
	return netip.AddrFrom16([16]byte(sum[:16]))
}
