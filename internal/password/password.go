// Package password hashes passwords by Argon2id (RFC 9106) into the text that other
// programs use as well: $argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$SUM, with base64
// without padding (the PHC string format).
package password

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What Hash takes: the second recommendation of RFC 9106, section 4, with less memory,
// which OWASP's password storage cheat sheet gives as the least. It is about 30 ms.
const (
	memory  = 19 << 10 // KiB
	passes  = 2
	lanes   = 1
	saltLen = 16 // bytes
	sumLen  = 32 // bytes
)

// Bounds of what Check computes: a hash is written by an operator, and must not stop the
// program that reads it.
const (
	mostMemory = 64 << 10 // KiB
	mostPasses = 10
	mostLanes  = 8
	mostBytes  = 64 // of the salt and of the sum
)

// errForm says that a text is no hash that Check takes.
var errForm = errors.New("it is no hash such as $argon2id$v=19$m=19456,t=2,p=1$SALT$SUM")

// hashed is what a text says.
type hashed struct {
	memory, passes uint32
	lanes          uint8
	salt, sum      []byte
}

// Hash returns the hash of a password, with a salt of a random source. It fails as the
// source does.
func Hash(password string, random io.Reader) (string, error) {
	h := hashed{memory: memory, passes: passes, lanes: lanes, salt: make([]byte, saltLen)}
	if _, err := io.ReadFull(random, h.salt); err != nil {
		return "", err
	}
	encode := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.memory, h.passes, h.lanes,
		encode(h.salt), encode(h.of(password, sumLen))), nil
}

// of returns the sum of a password, of that many bytes.
func (h *hashed) of(password string, n int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.memory, h.lanes, uint32(n))
}

// Valid says why a text is no hash that Check takes; nil: it is one.
func Valid(hash string) error {
	_, err := parse(hash)
	return err
}

// Check reports whether a hash is that of a password. It takes as long as Hash, whatever
// the password is; a text that is no hash is that of none.
func Check(hash, password string) bool {
	h, err := parse(hash)
	return err == nil && subtle.ConstantTimeCompare(h.of(password, len(h.sum)), h.sum) == 1
}

// parse reads a hash.
func parse(text string) (h hashed, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return h, errForm
	}
	var m, t, p uint64
	for i, field := range strings.Split(parts[3], ",") {
		if i > 2 {
			return h, errForm
		}
		number, ok := strings.CutPrefix(field, [...]string{"m=", "t=", "p="}[i])
		v, err := strconv.ParseUint(number, 10, 32)
		if !ok || err != nil {
			return h, errForm
		}
		*[...]*uint64{&m, &t, &p}[i] = v
	}
	if h.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err == nil {
		h.sum, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(h.salt) < 8 || len(h.salt) > mostBytes || len(h.sum) < 16 || len(h.sum) > mostBytes {
		return h, errForm
	}
	if p < 1 || p > mostLanes || t < 1 || t > mostPasses || m < 8*p || m > mostMemory {
		return h, fmt.Errorf("it wants %d KiB, %d passes and %d lanes, and at most %d, %d and %d are taken", m, t, p, mostMemory, mostPasses, mostLanes)
	}
	h.memory, h.passes, h.lanes = uint32(m), uint32(t), uint8(p)
	return h, nil
}
