package supernode

import (
	"os"
	"path/filepath"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
)

const (
	// ResetKeysFile is the name of the file with the reset keys in the state directory:
	// 256 keys of 32 bytes, by the first byte of an index, zeros for none, and their
	// CRC-32C. It is beside the registrations, so that the RESETs survive what damages those.
	ResetKeysFile = "reset-keys"
	resetKeyLen   = 32
	bootBytes     = 256
)

// resetKeys are what reset tokens are made from. Each boot draws a key of its own, in
// the place of that of 256 boots ago: whoever got a token of an index has one of that
// boot only, also when boots are counted round, or from a backup once more.
type resetKeys [bootBytes][resetKeyLen]byte

// openResetKeys returns the keys that are kept in the state directory, with a new one for
// this boot, and where the file is now if it was damaged. Of a damaged one the keys are used
// that are not: a wrong one makes tokens that no edge believes. Without a directory there
// is nothing to keep them in: all are the seed, so that the next process makes the same
// tokens.
func (l stateFiles) openResetKeys(seed [resetKeyLen]byte, boot uint8, random random) (keys *resetKeys, aside string) {
	keys = new(resetKeys)
	if l.dir == "" {
		for i := range keys {
			keys[i] = seed
		}
		return keys, ""
	}
	path := filepath.Join(l.dir, ResetKeysFile)
	b, err := os.ReadFile(path)
	content, whole := unsum(b)
	if len(b) == bootBytes*resetKeyLen { // of a version before there was a checksum
		content, whole = b, true
	}
	for i := range keys {
		if end := (i + 1) * resetKeyLen; end <= len(content) {
			keys[i] = [resetKeyLen]byte(content[end-resetKeyLen:])
		}
	}
	if err == nil && (!whole || len(content) != bootBytes*resetKeyLen) {
		aside = durable.AsidePath(path, l.now())
		if l.disk.Rename(path, aside) != nil {
			aside = ""
		}
		l.log.Warn("the reset keys are damaged: some edges will notice this restart later", "file", path, "set_aside", aside)
	}
	random.fill(keys[boot][:])
	if err := durable.ReplaceOn(l.disk, path, keys.file(), 0o600); err != nil {
		l.log.Warn("the reset key of this start cannot be kept: edges will notice the next restart later", "err", err)
	}
	return keys, aside
}

// file returns the keys as they are stored.
func (k *resetKeys) file() []byte {
	b := make([]byte, 0, bootBytes*resetKeyLen)
	for i := range k {
		b = append(b, k[i][:]...)
	}
	return sum(b)
}

// token returns the token of an index. ok is false if there is no key of its boot.
func (k *resetKeys) token(index uint32) (token [16]byte, ok bool) {
	key := k[index>>24]
	if key == [resetKeyLen]byte{} {
		return token, false
	}
	return crypto.ResetToken(key, index), true
}
