package crypto

import (
	"encoding"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/blake2s"
)

// Where the parts of a BLAKE2s are in the form in which golang.org/x/crypto keeps one:
// "b2s", eight words of the chain and two of the count, the length of the sum, a block,
// and how much of the block is filled.
const (
	stateChain  = 3
	stateSize   = stateChain + 8*4 + 2*4
	stateBlock  = stateSize + 1
	stateFilled = stateBlock + blake2s.BlockSize
	stateLen    = stateFilled + 1
)

// keyState is a BLAKE2s-128 that has a key and has read nothing else. A text that is not empty
// can follow.
type keyState [stateLen]byte

// setKey makes it that of another key, of at most 32 bytes: the key is the first block
// (RFC 7693, section 2.9), and its length is in the first word of the chain (section 2.5).
func (s *keyState) setKey(key []byte) {
	chain := [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}
	chain[0] ^= 1<<24 | 1<<16 | uint32(len(key))<<8 | blake2s.Size128
	*s = keyState{'b', '2', 's', stateSize: blake2s.Size128, stateFilled: blake2s.BlockSize}
	for i, word := range chain {
		binary.BigEndian.PutUint32(s[stateChain+4*i:], word)
	}
	copy(s[stateBlock:stateFilled], key)
}

// stateful is a hash whose state can be read and set.
type stateful interface {
	hash.Hash
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// hasher is keyedHash without allocations, for where strangers choose how often there is
// something to hash: blake2s.New128 makes a new object for each key. It must not be used by
// two goroutines at once.
type hasher struct {
	hash  stateful
	state *keyState // of a key that is used once
	out   []byte
}

func newHasher() *hasher {
	h, err := blake2s.New256(nil)
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	return &hasher{hash: h.(stateful), state: new(keyState), out: make([]byte, 0, blake2s.Size128)}
}

// sum returns BLAKE2s-128 of b, at least one byte, under the key of a state.
func (h *hasher) sum(key *keyState, b []byte) [16]byte {
	if err := h.hash.UnmarshalBinary(key[:]); err != nil {
		panic("crypto: " + err.Error()) // another form of the state, which a test would have found
	}
	h.hash.Write(b)
	return [16]byte(h.hash.Sum(h.out))
}

// digest has a state hash the block of its key now, so that sum need not each time.
func (h *hasher) digest(key *keyState) {
	h.sum(key, []byte{0}) // the block is hashed when there is one behind it
	b, err := h.hash.MarshalBinary()
	if err != nil {
		panic("crypto: " + err.Error())
	}
	copy(key[:stateBlock], b)
	clear(key[stateBlock:])
}

// once is sum under a key that is used for nothing else.
func (h *hasher) once(key [16]byte, b []byte) [16]byte {
	h.state.setKey(key[:])
	return h.sum(h.state, b)
}
