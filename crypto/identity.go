package crypto

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"hedgerow/internal/durable"
)

// ErrNoIdentity says that a file that is there holds no identity.
var ErrNoIdentity = errors.New("is no identity")

// Identity is the identity of one edge, or of one supernode: two key pairs that
// follow from a seed of 32 bytes. It is immutable.
type Identity struct {
	Seed   [32]byte          // keep it secret; the content of the identity file
	ID     ed25519.PublicKey // the identity, as others see it
	Static [32]byte          // X25519 public key, the static key of handshakes

	sign   ed25519.PrivateKey
	static [32]byte
	agrees *ecdh.PrivateKey // static, ready for use
}

// NewIdentity returns the identity that follows from seed.
func NewIdentity(seed [32]byte) *Identity {
	id := &Identity{Seed: seed}
	id.sign = ed25519.NewKeyFromSeed(seed[:])
	id.ID = id.sign.Public().(ed25519.PublicKey)
	// Signing and agreement get independent keys: Ed25519 expands the seed with
	// SHA-512, the X25519 scalar comes through HKDF.
	id.static = derive32(seed[:], nil, "x25519")
	var err error
	if id.agrees, err = ecdh.X25519().NewPrivateKey(id.static[:]); err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	id.Static = [32]byte(id.agrees.PublicKey().Bytes())
	return id
}

// GenerateIdentity returns a new identity with a seed read from rand.
func GenerateIdentity(rand io.Reader) (*Identity, error) {
	var seed [32]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("reading randomness for an identity: %w", err)
	}
	return NewIdentity(seed), nil
}

// Sign returns the Ed25519 signature (64 bytes) of msg under the identity.
func (id *Identity) Sign(msg []byte) []byte { return ed25519.Sign(id.sign, msg) }

// StaticPrivate returns the X25519 private key of handshakes.
func (id *Identity) StaticPrivate() [32]byte { return id.static }

// ShortID returns the identity in a form for people, as "9f3a-71c2-e0b4".
func (id *Identity) ShortID() string { return ShortID(id.ID) }

// String is ShortID, so that no log line shows the seed.
func (id *Identity) String() string { return id.ShortID() }

// GoString is ShortID as well.
func (id *Identity) GoString() string { return id.ShortID() }

// MAC returns the hardware address that the identity has in a community by
// default.
func (id *Identity) MAC(cid [16]byte) [6]byte { return MACFor(id.ID, cid) }

// Interface returns the interface identifier, the low half of the IPv6 address
// that the identity has in a community.
func (id *Identity) Interface(cid [16]byte) [8]byte { return interfaceFor(id.ID, cid) }

// ShortID returns an identity in a form for people: the first six bytes of the
// key in three groups. It is for recognising, never for deciding.
func ShortID(idPub ed25519.PublicKey) string {
	var b [6]byte
	copy(b[:], idPub)
	return fmt.Sprintf("%x-%x-%x", b[:2], b[2:4], b[4:])
}

// ParseID reads an identity as ShortID writes it, which is its beginning, or whole, and
// returns its hexadecimal digits, 12 or 64 of them. ok: it is one of the two.
func ParseID(text string) (digits string, ok bool) {
	digits = strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), "-", ""))
	if _, err := hex.DecodeString(digits); err != nil || len(digits) != 12 && len(digits) != 64 {
		return "", false
	}
	return digits, true
}

// MACFor returns the default hardware address of an identity in a community:
// locally administered, unicast, and checkable by every peer.
func MACFor(idPub ed25519.PublicKey, cid [16]byte) [6]byte {
	d := digest("mac", idPub, cid[:])
	return [6]byte{0x02, d[0], d[1], d[2], d[3], d[4]}
}

// LinkPrefixLen is how many bytes at the beginning of an identity name the peer of a link.
const LinkPrefixLen = 6

// LinkMAC returns the hardware address of an edge's end of a link to another edge, both
// named by the beginning of their identities. It tells the ends apart and proves nothing.
func LinkMAC(own, peer [LinkPrefixLen]byte, cid [16]byte) [6]byte {
	d := digest("link", own[:], peer[:], cid[:])
	return [6]byte{0x02, d[0], d[1], d[2], d[3], d[4]}
}

// interfaceFor returns the IPv6 interface identifier of an identity.
func interfaceFor(idPub ed25519.PublicKey, cid [16]byte) [8]byte {
	d := digest("iid", idPub, cid[:])
	return [8]byte(d[:8])
}

// LoadIdentity reads the identity file at path: 32 bytes, readable by its owner
// only. When there is none it makes a new identity, writes it so that a crash
// or a second process leaves either no file or a whole one, and reports
// created.
func LoadIdentity(path string) (id *Identity, created bool, err error) {
	id, err = readIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return id, false, err
	}
	if id, err = GenerateIdentity(rand.Reader); err != nil {
		return nil, false, err
	}
	if err = os.MkdirAll(filepath.Dir(path), 0o700); err == nil {
		err = durable.Create(path, id.Seed[:], 0o600)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		// Another process was faster: its identity is the one.
		id, err = readIdentity(path)
		return id, false, err
	case err != nil:
		return nil, false, fmt.Errorf("cannot save a new identity: %w; give a writable directory with --state-dir", err)
	}
	return id, true, nil
}

// readIdentity reads an existing identity file.
func readIdentity(path string) (*Identity, error) {
	b, _, err := readPrivate(path, 4096)
	if err != nil {
		return nil, err
	}
	if len(b) != 32 || [32]byte(b) == [32]byte{} {
		return nil, fmt.Errorf("%s %w: it must hold 32 bytes that are not all zero, it holds %d. "+
			"Restore it from a backup, or move it away to start with a new identity, which nobody knows yet", path, ErrNoIdentity, len(b))
	}
	return NewIdentity([32]byte(b)), nil
}
