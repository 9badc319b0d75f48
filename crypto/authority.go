package crypto

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"strings"

	"hedgerow/internal/textfile"
)

// An authority file is text:
//
//	hedgerow authority 1
//	seed = BASE64 OF 32 BYTES
const (
	authorityHeader = "hedgerow authority 1"
	authoritySeed   = "seed = "
)

// Authority is the key by which a community's list of members and the keys that follow a
// revocation are signed (PROTOCOL.md, section 13).
type Authority struct{ key ed25519.PrivateKey }

// GenerateAuthority returns a new authority with a seed read from rand.
func GenerateAuthority(rand io.Reader) (*Authority, error) {
	var seed [ed25519.SeedSize]byte
	if _, err := io.ReadFull(rand, seed[:]); err != nil {
		return nil, fmt.Errorf("reading randomness for an authority: %w", err)
	}
	return NewAuthority(seed), nil
}

// NewAuthority returns the authority that follows from a seed.
func NewAuthority(seed [32]byte) *Authority {
	return &Authority{key: ed25519.NewKeyFromSeed(seed[:])}
}

// Public returns the key that a community's file names.
func (a *Authority) Public() ed25519.PublicKey { return a.key.Public().(ed25519.PublicKey) }

// String names the public key, so that no log line shows the seed.
func (a *Authority) String() string { return "authority " + EncodeAuthority(a.Public()) }

// GoString is String.
func (a *Authority) GoString() string { return a.String() }

// AppendText appends the authority's file to dst.
func (a *Authority) AppendText(dst []byte) []byte {
	return fmt.Appendf(dst, "%s\n%s%s\n", authorityHeader, authoritySeed, encodeKey(a.key.Seed()))
}

// ReadAuthority reads an authority's file after the checks of CheckKeyFile.
func ReadAuthority(path string) (*Authority, error) {
	b, _, err := readPrivate(path, MaxKeyFile)
	if err != nil {
		return nil, err
	}
	text, err := textfile.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	header, rest, _ := strings.Cut(strings.TrimSpace(text), "\n")
	seed, ok := strings.CutPrefix(strings.TrimSpace(rest), authoritySeed)
	if strings.TrimSpace(header) != authorityHeader || !ok {
		return nil, fmt.Errorf("%s is no authority file: its first line must be %q; 'edge authority FILE' makes one", path, authorityHeader)
	}
	key, err := decodeKey("the seed", strings.TrimSpace(seed))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return NewAuthority(key), nil
}

// EncodeAuthority writes the public key as a community's file has it.
func EncodeAuthority(public ed25519.PublicKey) string { return encodeKey(public) }

// What an authority signs.
const (
	labelList      = "list"
	labelKeyUpdate = "key update"
)

// signed returns what a signature of an authority covers.
func signed(label string, cid [16]byte, value []byte) []byte {
	b := append([]byte(labelPrefix), label...)
	return append(append(b, cid[:]...), value...)
}

// SignList signs the head of a list of members, without its signature.
func (a *Authority) SignList(cid [16]byte, head []byte) [64]byte {
	return [64]byte(ed25519.Sign(a.key, signed(labelList, cid, head)))
}

// SignKeyUpdate signs a KEYUPDATE, without its signature.
func (a *Authority) SignKeyUpdate(cid [16]byte, value []byte) [64]byte {
	return [64]byte(ed25519.Sign(a.key, signed(labelKeyUpdate, cid, value)))
}

// ErrAuthority says that a signature is not that of the community's authority.
var ErrAuthority = errors.New("crypto: not signed by the authority of the community")

// VerifyList checks the signature of the head of a list of members. It fails with
// ErrAuthority, also in a community without an authority.
func (c *Community) VerifyList(head []byte, sig [64]byte) error {
	return c.verifyAuthority(labelList, head, sig)
}

// VerifyKeyUpdate checks the signature of a KEYUPDATE. It fails as VerifyList does.
func (c *Community) VerifyKeyUpdate(value []byte, sig [64]byte) error {
	return c.verifyAuthority(labelKeyUpdate, value, sig)
}

func (c *Community) verifyAuthority(label string, value []byte, sig [64]byte) error {
	if len(c.Authority) != ed25519.PublicKeySize || !ed25519.Verify(c.Authority, signed(label, c.ID(), value), sig[:]) {
		return ErrAuthority
	}
	return nil
}

// Room is what a supernode knows of a community with a list of members: enough to check
// the list.
type Room struct {
	CID       [16]byte
	Authority [32]byte // the Ed25519 key that signs the list
}

// VerifyList is Community.VerifyList.
func (r Room) VerifyList(head []byte, sig [64]byte) error {
	if !ed25519.Verify(r.Authority[:], signed(labelList, r.CID, head), sig[:]) {
		return ErrAuthority
	}
	return nil
}

// PieceHash returns the hash of a piece of a list of members: a leaf of its tree.
func PieceHash(entries []byte) [32]byte { return digest("list piece", entries) }

// NodeHash returns the hash of two neighbours in the tree over a list of members.
func NodeHash(left, right [32]byte) [32]byte { return digest("list node", left[:], right[:]) }
