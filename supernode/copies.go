package supernode

import (
	"iter"

	"hedgerow/crypto"
	"hedgerow/supernode/journal"
)

// RecordLen is the length of the longest stored registration, in bytes.
const RecordLen = storeRecord

// CheckRecord says what is wrong with a stored registration under a key.
func CheckRecord(key journal.Key, record []byte) error {
	_, err := parseRecord(key, record)
	return err
}

// Identity returns the identity of the supernode, with its private key.
func (s *Server) Identity() *crypto.Identity { return s.cfg.Identity }

// Records are all registrations as they are stored, each once at least; of one that comes
// twice the later is the newer. Frames are relayed meanwhile.
func (s *Server) Records() iter.Seq2[journal.Key, []byte] {
	return (&records{&s.mu, s.registry}).each
}

// ResetKeys returns the content of ResetKeysFile.
func (s *Server) ResetKeys() []byte { return s.controls.registrar.resetKeys.file() }
