package crypto

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// Errors of opening and numbering packets. ErrOpen is opaque on purpose, so that
// the sender of a forged packet learns nothing from it.
var (
	ErrOpen      = errors.New("crypto: packet does not open")
	ErrReplay    = errors.New("crypto: packet was seen before, or is too old to tell")
	ErrExhausted = errors.New("crypto: key has sealed as many packets as it may")
)

// Limits of a key (PROTOCOL.md, section 6). A session wants a rekey long before
// its key refuses to go on. 2^29 packets of 2 KiB are 2^36 blocks, where AES-GCM
// can be told from random with a chance of about 2^-57; ChaCha20-Poly1305 is
// bounded by its counter only.
const (
	rekeyGCM     = 1 << 28
	refuseGCM    = 1 << 29
	rekeyChaCha  = 1 << 59
	refuseChaCha = 1 << 60
	failedLimit  = 1 << 20 // failed opens on one key
	windowBits   = 8192    // pair, group and relay
	hopWindow    = 64      // hop control
)

// SessionConfig holds the results of a handshake that a session needs.
type SessionConfig struct {
	Keys      SplitKeys // from Initiation.Finish or Reply.Write
	XF        uint8     // transform of sent packets: 0x10 or 0x11 for a pair, 0x20 for a hop
	KI        uint8     // index of the epoch whose psk made the session; 255 for a hop
	Local     uint32    // our session index: RX of packets to us
	Remote    uint32    // the other end's session index
	Static    [32]byte  // the other end's static key
	Created   time.Time // when the handshake ended
	Initiator bool      // whether our INIT made the session
	Null      bool      // insecure community: frames in clear, XF 0x00, and no others are accepted
}

// ends is the part of a session that never changes.
type ends struct{ cfg SessionConfig }

// LocalIndex returns our session index, the RX of packets to us.
func (e *ends) LocalIndex() uint32 { return e.cfg.Local }

// RemoteIndex returns the other end's session index, the RX of packets to it.
func (e *ends) RemoteIndex() uint32 { return e.cfg.Remote }

// KI returns the key index that goes into the header, 255 for a hop session.
func (e *ends) KI() uint8 { return e.cfg.KI }

// XF returns the transform that goes into the header: 0x00 in an insecure
// community, else the one of SessionConfig.
func (e *ends) XF() uint8 { return e.cfg.XF }

// Static returns the other end's X25519 static key.
func (e *ends) Static() [32]byte { return e.cfg.Static }

// Created returns when the handshake ended.
func (e *ends) Created() time.Time { return e.cfg.Created }

// Initiator reports whether our INIT made the session.
func (e *ends) Initiator() bool { return e.cfg.Initiator }

// numbers hands out the counters of one key, each once.
type numbers struct{ next atomic.Uint64 }

// reserve reserves n consecutive counters below limit and returns the first.
func (c *numbers) reserve(n uint32, limit uint64) (uint64, error) {
	for {
		first := c.next.Load()
		if first+uint64(n) > limit {
			return 0, ErrExhausted
		}
		if c.next.CompareAndSwap(first, first+uint64(n)) {
			return first, nil
		}
	}
}

// Session seals and opens the DATA packets of one pair of edges. It is safe for
// concurrent use; each goroutine brings its own Scratch.
type Session struct {
	ends
	send      cipher.AEAD    // nil when Null
	recv      [2]cipher.AEAD // by transform: 0x10, 0x11; nil when Null
	rekey     uint64         // counter at which a new key is wanted
	refuse    uint64         // counter at which this key ends
	sent      numbers
	failed    atomic.Uint32 // opens that failed
	confirmed atomic.Bool   // a packet opened
	replay    replayGuard
}

// NewSession returns the session of a finished handshake. The keys of both
// transforms are derived for the receiving direction, because the other end
// chooses its own. The error names a transform that a pair session cannot have.
func NewSession(cfg SessionConfig) (*Session, error) {
	s := &Session{rekey: rekeyChaCha, refuse: refuseChaCha}
	s.replay.window = makeWindow(windowBits)
	switch {
	case cfg.Null:
		cfg.XF = xfNull
	case cfg.XF == xfDataChaCha:
	case cfg.XF == xfDataGCM:
		s.rekey, s.refuse = rekeyGCM, refuseGCM
	default:
		return nil, fmt.Errorf("crypto: transform %#02x is not one of a pair session", cfg.XF)
	}
	if !cfg.Null {
		s.send = dataAEAD(cfg.Keys.Send, cfg.XF)
		s.recv[0] = dataAEAD(cfg.Keys.Recv, xfDataChaCha)
		s.recv[1] = dataAEAD(cfg.Keys.Recv, xfDataGCM)
	}
	cfg.Keys.Hash = [32]byte{}
	s.ends = ends{cfg} // with the keys of the handshake, for AppendState
	return s, nil
}

// Reserve reserves n consecutive counters and returns the first. A counter that
// is not used afterwards is skipped, never reused. The error is ErrExhausted.
func (s *Session) Reserve(n uint32) (first uint64, err error) { return s.sent.reserve(n, s.refuse) }

// NeedsRekey reports whether the key has sealed so much, or failed to open so
// often, that a new session is wanted. Age is the caller's to watch.
func (s *Session) NeedsRekey() bool {
	return s.sent.next.Load() >= s.rekey || s.failed.Load() >= failedLimit
}

// Seal seals pkt = hdr16 | inner in place and returns it with its tag, 16 bytes
// longer; cap(pkt) must leave room for them, or the packet is copied. The
// header must be complete: its CTR, from Reserve, is the nonce, and all of it
// is authenticated.
func (s *Session) Seal(sc *Scratch, pkt []byte) []byte {
	return s.SealTo(sc, pkt[:headerLen], pkt[headerLen:])
}

// SealTo is Seal for an inner that lies elsewhere: it appends the sealed inner
// to hdr, which is the complete header and has the capacity for inner and tag.
// inner either begins right behind hdr or does not overlap with the packet; in
// the second case it is only read.
func (s *Session) SealTo(sc *Scratch, hdr, inner []byte) []byte {
	if s.send == nil {
		return sealNull(append(hdr, inner...))
	}
	return s.send.Seal(hdr, sc.counterNonce(hdr), inner, hdr)
}

// Open opens a DATA packet in place and returns its inner, a part of pkt. It
// accepts either transform, whichever this end sends. A failed open destroys
// pkt. The errors are ErrOpen and ErrReplay.
func (s *Session) Open(sc *Scratch, pkt []byte) (inner []byte, err error) {
	if len(pkt) < headerLen {
		return nil, ErrOpen
	}
	return s.OpenTo(sc, pkt[headerLen:headerLen], pkt)
}

// OpenTo is Open that appends the inner to dst, which either ends where the
// sealed inner begins or does not overlap with pkt, and has the capacity for the
// inner. In the second case pkt is only read. A failed open leaves zeros or
// nothing behind dst.
func (s *Session) OpenTo(sc *Scratch, dst, pkt []byte) (inner []byte, err error) {
	if len(pkt) < headerLen+tagLen || pkt[0] != firstByte(typeData) || pkt[offKI] != s.cfg.KI {
		return nil, ErrOpen
	}
	ctr := counterOf(pkt)
	if !s.replay.check(ctr) {
		return nil, ErrReplay
	}
	if inner, err = s.unseal(sc, dst, pkt); err != nil {
		return nil, err
	}
	if !s.replay.commit(ctr) {
		return nil, ErrReplay
	}
	// Once true it stays true; loading first keeps the cache line shared.
	if !s.confirmed.Load() {
		s.confirmed.Store(true)
	}
	return inner, nil
}

// unseal is OpenTo without the window.
func (s *Session) unseal(sc *Scratch, dst, pkt []byte) ([]byte, error) {
	xf := pkt[offXF]
	switch {
	case s.send == nil && xf == xfNull:
		return append(dst, pkt[headerLen:len(pkt)-tagLen]...), nil
	case s.send == nil || xf&^1 != xfDataChaCha:
		return nil, ErrOpen
	}
	inner, err := s.recv[xf&1].Open(dst, sc.counterNonce(pkt), pkt[headerLen:], pkt[:headerLen])
	if err != nil {
		countFailure(&s.failed)
		return nil, ErrOpen
	}
	return inner, nil
}

// Received returns the highest counter that was opened and how many packets
// were, modulo 2^32: the values for a PONG.
func (s *Session) Received() (highest uint64, count uint32) { return s.replay.received() }

// Confirmed reports whether a packet of the other end has opened, so that it
// surely holds the keys.
func (s *Session) Confirmed() bool { return s.confirmed.Load() }

// countFailure counts a failed open up to the limit and no further, so that the
// count never wraps.
func countFailure(failed *atomic.Uint32) {
	if failed.Load() < failedLimit {
		failed.Add(1)
	}
}

// dataAEAD returns the AEAD of one direction of a pair session.
func dataAEAD(split [32]byte, xf uint8) cipher.AEAD {
	key := derive32(split[:], nil, "data", []byte{xf})
	if xf == xfDataGCM {
		return newGCM(key[:])
	}
	return newChaCha(key[:])
}

// newGCM returns AES-GCM under key of 16 or 32 bytes.
func newGCM(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic("crypto: " + err.Error())
	}
	return gcm
}

// newChaCha returns ChaCha20-Poly1305 under key of 32 bytes.
func newChaCha(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	return aead
}

// sealNull ends a packet of an insecure community with 16 random bytes. They
// protect nothing; the header mask needs the end of every packet to be random.
func sealNull(pkt []byte) []byte {
	pkt = binary.NativeEndian.AppendUint64(pkt, rand.Uint64())
	return binary.NativeEndian.AppendUint64(pkt, rand.Uint64())
}
