package supernode

import (
	"log/slog"
	"os"
	"path/filepath"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
)

const (
	// resetKeysFile is the name of the file with the reset keys in the state directory:
	// 256 keys of 32 bytes, by the first byte of an index; zeros for none. It is beside
	// the database, so that the RESETs survive what damages that.
	resetKeysFile = "reset-keys"
	resetKeyLen   = 32
	bootBytes     = 256
)

// resetKeys are what reset tokens are made from. Each boot draws a key of its own, in
// the place of that of 256 boots ago: whoever got a token of an index has one of that
// boot only, also when boots are counted round, or from a backup once more.
type resetKeys [bootBytes][resetKeyLen]byte

// openResetKeys returns the keys that are kept in dir, with a new one for this boot.
// Without a directory there is nothing to keep them in: all are the seed, so that the
// next process makes the same tokens.
func openResetKeys(dir string, boot uint8, seed [resetKeyLen]byte, random random, log *slog.Logger) *resetKeys {
	keys := new(resetKeys)
	if dir == "" {
		for i := range keys {
			keys[i] = seed
		}
		return keys
	}
	path := filepath.Join(dir, resetKeysFile)
	if b, err := os.ReadFile(path); err == nil && len(b) == bootBytes*resetKeyLen {
		for i := range keys {
			keys[i] = [resetKeyLen]byte(b[i*resetKeyLen:])
		}
	}
	random.fill(keys[boot][:])
	b := make([]byte, 0, bootBytes*resetKeyLen)
	for i := range keys {
		b = append(b, keys[i][:]...)
	}
	if err := durable.Replace(path, b, 0o600); err != nil {
		log.Warn("the reset key of this start cannot be kept: edges will notice the next restart later", "err", err)
	}
	return keys
}

// token returns the token of an index. ok is false if there is no key of its boot.
func (k *resetKeys) token(index uint32) (token [16]byte, ok bool) {
	key := k[index>>24]
	if key == [resetKeyLen]byte{} {
		return token, false
	}
	return crypto.ResetToken(key, index), true
}
