package backup

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	saltLen = 16
	costLen = 4 + 4 + 1
)

// cost is what a key of Argon2id costs to make.
type cost struct {
	passes, memory uint32 // memory in KiB
	threads        uint8
}

var (
	// usual is the second choice of RFC 9106, section 4.
	usual = cost{passes: 3, memory: 64 << 10, threads: 4}
	// most is what a file may ask for: it is not known yet whose it is.
	most = cost{passes: 16, memory: 1 << 20, threads: 16}
)

// sane reports whether a key may be made at a cost.
func (k cost) sane() bool {
	return k.passes >= 1 && k.passes <= most.passes && k.threads >= 1 && k.threads <= most.threads && k.memory >= 8*uint32(k.threads) && k.memory <= most.memory
}

// seal returns a sealed file: head, how the key is made, nonce and content.
func seal(head, content, passphrase []byte, k cost) ([]byte, error) {
	b := bytes.Clone(head)
	var random [saltLen + chacha20poly1305.NonceSizeX]byte
	_, _ = rand.Read(random[:]) // never fails
	salt, nonce := random[:saltLen], random[saltLen:]
	b = append(b, salt...)
	b = binary.BigEndian.AppendUint32(b, k.passes)
	b = binary.BigEndian.AppendUint32(b, k.memory)
	b = append(append(b, k.threads), nonce...)
	aead, err := chacha20poly1305.NewX(argon2.IDKey(passphrase, salt, k.passes, k.memory, k.threads, chacha20poly1305.KeySize))
	if err != nil {
		return nil, err
	}
	return aead.Seal(b, nonce, content, bytes.Clone(b)), nil
}

// open returns the content of a sealed file, which is head and body.
func open(head, body, passphrase []byte) ([]byte, error) {
	const begin = saltLen + costLen + chacha20poly1305.NonceSizeX
	if len(body) < begin+chacha20poly1305.Overhead {
		return nil, ErrDamaged
	}
	salt, costs, nonce := body[:saltLen], body[saltLen:saltLen+costLen], body[saltLen+costLen:begin]
	k := cost{passes: binary.BigEndian.Uint32(costs), memory: binary.BigEndian.Uint32(costs[4:]), threads: costs[8]}
	if !k.sane() {
		return nil, ErrDamaged
	}
	aead, err := chacha20poly1305.NewX(argon2.IDKey(passphrase, salt, k.passes, k.memory, k.threads, chacha20poly1305.KeySize))
	if err != nil {
		return nil, err
	}
	b, err := aead.Open(nil, nonce, body[begin:], append(bytes.Clone(head), body[:begin]...))
	if err != nil {
		return nil, ErrPassphrase
	}
	return b, nil
}
