package crypto

import (
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync/atomic"
)

// Limits of the relay counter, which is 32 bits wide (PROTOCOL.md, section 3).
const (
	rekeyRelay  = 1 << 31
	refuseRelay = 1<<32 - 1
)

// relayOverhead is how many bytes a RELAY is longer than the packet inside:
// hdr16 and hoptag16. The packet inside has at least a header and 16
// pseudo-random bytes.
const (
	relayOverhead = headerLen + tagLen
	relayedMin    = headerLen + tagLen
	relayedMax    = 1<<16 - 1
)

// HopSession is the session between an edge and a supernode. It seals hop
// control (DATA with XF 0x20), and tags RELAY packets: the supernode must know
// their sender, but never opens the packet inside. Hop control and RELAY have
// keys, counters and windows of their own. It is safe for concurrent use; each
// goroutine brings its own Scratch.
type HopSession struct {
	ends
	sendCtl, recvCtl cipher.AEAD
	sendTag, recvTag hopTag
	sentCtl          numbers
	sentRelay        numbers
	failed           atomic.Uint32
	confirmed        atomic.Bool
	ctl, relay       replayGuard
}

// hopTag is the AES-128-GCM of one direction, which tags RELAY packets. Its tables are made
// for the first of them: they are most of a session, and most sessions of a supernode never
// relay.
type hopTag struct {
	key  [16]byte
	made atomic.Pointer[cipher.AEAD]
}

// aead returns the cipher.
func (t *hopTag) aead() cipher.AEAD {
	if made := t.made.Load(); made != nil {
		return *made
	}
	made := newGCM(t.key[:])
	t.made.Store(&made) // whoever makes it at the same time makes the same
	return made
}

// NewHopSession returns the hop session of a finished handshake. The error names
// a transform other than 0x20, or a key index other than 255. Null is ignored:
// packets to a supernode are always sealed.
func NewHopSession(cfg SessionConfig) (*HopSession, error) {
	if cfg.XF != xfHop || cfg.KI != kiNone {
		return nil, fmt.Errorf("crypto: transform %#02x with key index %d is not one of a hop session", cfg.XF, cfg.KI)
	}
	send, recv := extract(cfg.Keys.Send[:], nil), extract(cfg.Keys.Recv[:], nil)
	s := &HopSession{sendCtl: newChaCha(expand(32, send, "hop ctl")), recvCtl: newChaCha(expand(32, recv, "hop ctl"))}
	s.sendTag.key = [16]byte(expand(16, send, "hop tag"))
	s.recvTag.key = [16]byte(expand(16, recv, "hop tag"))
	s.ctl.window, s.relay.window = makeWindow(hopWindow), makeWindow(windowBits)
	cfg.Keys.Hash = [32]byte{}
	s.ends = ends{cfg} // with the keys of the handshake, for AppendState
	return s, nil
}

// Reserve reserves n consecutive counters of hop control and returns the first.
// The error is ErrExhausted.
func (s *HopSession) Reserve(n uint32) (first uint64, err error) {
	return s.sentCtl.reserve(n, refuseChaCha)
}

// ReserveRelay reserves the next counter of RELAY: the low half of CTR, one
// counter over all handles. The error is ErrExhausted.
func (s *HopSession) ReserveRelay() (uint32, error) { return s.ReserveRelays(1) }

// ReserveRelays reserves n consecutive counters of RELAY and returns the first.
// The error is ErrExhausted.
func (s *HopSession) ReserveRelays(n uint32) (first uint32, err error) {
	f, err := s.sentRelay.reserve(n, refuseRelay)
	return uint32(f), err
}

// NeedsRekey reports whether a counter or the failed opens call for a new
// session. Age is the caller's to watch.
func (s *HopSession) NeedsRekey() bool {
	return s.sentRelay.next.Load() >= rekeyRelay || s.sentCtl.next.Load() >= rekeyChaCha ||
		s.failed.Load() >= failedLimit
}

// Seal seals a hop control packet, hdr16 | inner, in place and returns it with
// its tag, 16 bytes longer; see Session.Seal.
func (s *HopSession) Seal(sc *Scratch, pkt []byte) []byte {
	return s.sendCtl.Seal(pkt[:headerLen], sc.counterNonce(pkt), pkt[headerLen:], pkt[:headerLen])
}

// Open opens a hop control packet in place and returns its inner, a part of
// pkt. A failed open destroys pkt. The errors are ErrOpen and ErrReplay.
func (s *HopSession) Open(sc *Scratch, pkt []byte) (inner []byte, err error) {
	if len(pkt) < headerLen+tagLen || !isHop(pkt, typeData) {
		return nil, ErrOpen
	}
	ctr := counterOf(pkt)
	if !s.ctl.check(ctr) {
		return nil, ErrReplay
	}
	inner, err = s.recvCtl.Open(pkt[headerLen:headerLen], sc.counterNonce(pkt), pkt[headerLen:], pkt[:headerLen])
	if err != nil {
		countFailure(&s.failed)
		return nil, ErrOpen
	}
	if !s.ctl.commit(ctr) {
		return nil, ErrReplay
	}
	s.confirm()
	return inner, nil
}

// SealRelay writes the hop tag of pkt = hdr16 | room for the tag 16 | packet.
// The header must be complete, and packet at least 32 bytes long, as every
// packet is; a shorter one is the caller's bug and panics.
func (s *HopSession) SealRelay(sc *Scratch, pkt []byte) {
	if len(pkt) < relayOverhead+relayedMin || len(pkt) > relayOverhead+relayedMax {
		panic("crypto: SealRelay: no packet has this length")
	}
	s.sendTag.aead().Seal(pkt[headerLen:headerLen], sc.counterNonce(pkt), nil, sc.relayAD(pkt))
}

// OpenRelay checks the hop tag and the window of a RELAY packet and returns the
// packet inside, a part of pkt. The tag covers the header, the length and the
// last 16 bytes: the rest of the packet is for its receiver to authenticate.
// The errors are ErrOpen and ErrReplay.
func (s *HopSession) OpenRelay(sc *Scratch, pkt []byte) (packet []byte, err error) {
	if len(pkt) < relayOverhead+relayedMin || len(pkt) > relayOverhead+relayedMax || !isHop(pkt, typeRelay) {
		return nil, ErrOpen
	}
	ctr := counterOf(pkt) & (1<<32 - 1) // the high half is a handle
	if !s.relay.check(ctr) {
		return nil, ErrReplay
	}
	_, err = s.recvTag.aead().Open(sc.out[:0], sc.counterNonce(pkt), pkt[headerLen:relayOverhead], sc.relayAD(pkt))
	if err != nil {
		countFailure(&s.failed)
		return nil, ErrOpen
	}
	if !s.relay.commit(ctr) {
		return nil, ErrReplay
	}
	s.confirm()
	return pkt[relayOverhead:], nil
}

// relayAD returns the associated data of pkt's hop tag. It is valid until the
// next call.
func (sc *Scratch) relayAD(pkt []byte) []byte {
	copy(sc.ad[:], pkt[:headerLen])
	binary.BigEndian.PutUint16(sc.ad[headerLen:], uint16(len(pkt)-relayOverhead))
	copy(sc.ad[headerLen+2:], pkt[len(pkt)-tagLen:])
	return sc.ad[:]
}

// isHop reports whether the header is of a hop session and of that type.
func isHop(pkt []byte, packetType byte) bool {
	return pkt[0] == firstByte(packetType) && pkt[offXF] == xfHop && pkt[offKI] == kiNone
}

// Received returns the highest counter of hop control that was opened and how
// many such packets were, modulo 2^32: the values for a PONG.
func (s *HopSession) Received() (highest uint64, count uint32) { return s.ctl.received() }

// Confirmed reports whether a packet of the other end has opened, so that it
// surely holds the keys.
func (s *HopSession) Confirmed() bool { return s.confirmed.Load() }

// confirm notes that the other end holds the keys.
func (s *HopSession) confirm() {
	// Once true it stays true; loading first keeps the cache line shared.
	if !s.confirmed.Load() {
		s.confirmed.Store(true)
	}
}

// ResetToken returns the token that proves to an edge that a RESET for that
// session index comes from the supernode that gave it. key is the reset key of the boot
// that the session is of.
func ResetToken(key [32]byte, index uint32) [16]byte {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], index)
	return [16]byte(derive(16, key[:], nil, "reset", b[:]))
}
