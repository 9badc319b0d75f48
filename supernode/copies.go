package supernode

import (
	"iter"

	"hedgerow/supernode/journal"
)

// RecordLen is the length of the longest stored registration, in bytes.
const RecordLen = storeRecord

// CheckRecord says what is wrong with a stored registration under a key.
func CheckRecord(key journal.Key, record []byte) error {
	_, err := parseRecord(key, record)
	return err
}

// Secrets returns the seed of the identity, which is the private key, and the content of
// RotationFile, nil for none.
func (s *Server) Secrets() (seed [32]byte, rotation []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets.keys.own.identity.Seed, s.controls.rotation.file.content()
}

// Records are all registrations as they are stored, each once at least; of one that comes
// twice the later is the newer. Frames are relayed meanwhile.
func (s *Server) Records() iter.Seq2[journal.Key, []byte] {
	return (&records{&s.mu, s.registry}).each
}

// ResetKeys returns the content of ResetKeysFile.
func (s *Server) ResetKeys() []byte { return s.controls.registrar.resetKeys.file() }
