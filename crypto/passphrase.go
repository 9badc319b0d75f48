package crypto

import (
	"errors"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"
)

// The cost of one guess at a passphrase (PROTOCOL.md, section 1): about 160 ms
// and 64 MiB (RFC 9106).
const (
	argonPasses  = 3
	argonMemory  = 64 * 1024 // KiB
	argonThreads = 4
)

// FromPassphrase returns the community that a name and a passphrase give: one
// epoch without end under index 0. Equal passphrases give equal communities
// however their accents are encoded (Unicode NFC). It takes about 160 ms and
// 64 MiB.
//
// Whoever knows the name and the rendezvous public key, as a supernode does,
// can test guesses of the passphrase at that cost each: see PassphraseBits.
func FromPassphrase(name, pass string) (*Community, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	if pass == "" {
		return nil, errors.New("the key is empty: give one with --key-file FILE or -k KEY, or make one with edge keygen")
	}
	salt := digest("argon2id salt", []byte{0}, []byte(name))
	root := argon2.IDKey(norm.NFC.Bytes([]byte(pass)), salt[:16], argonPasses, argonMemory, argonThreads, 32)
	return &Community{
		Name:   name,
		Secret: derive32(root, nil, "community secret"),
		Epochs: []Epoch{{Transform: TransformAuto, Key: derive32(root, nil, "epoch key", []byte{0})}},
		Skew:   DefaultSkew,
	}, nil
}
