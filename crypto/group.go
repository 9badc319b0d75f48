package crypto

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"time"
)

// The life of a GROUP salt (PROTOCOL.md, section 6). A salt starts with the unix
// time of its creation in seconds; a receiver that does not know its sender
// accepts it only near that time.
const (
	saltLife       = 120 * time.Second
	saltSkew       = 10 * time.Minute
	saltAcceptance = saltLife + saltSkew
)

// Where a salt names what (PROTOCOL.md, section 3).
const (
	saltRandomAt = 4 // behind the time of its creation
	saltSenderAt = 8 // the sender tag, to the salt's end
	senderTagLen = 8
)

// groupMin is the length of the shortest GROUP packet.
const groupMin = headerLen + saltLen + tagLen + tailLen

// GroupSender seals the GROUP packets of one sender under one salt. The salt
// names its sender, so no two senders share one, none share a key, and counters
// can be nonces. It is safe for concurrent use; each goroutine brings its own
// Scratch.
type GroupSender struct {
	aead    cipher.AEAD // nil in an insecure community
	salt    [saltLen]byte
	ki, xf  uint8
	serial  uint64
	created time.Time
	sent    numbers
}

// GroupConfig is what a GroupSender is made from.
type GroupConfig struct {
	Community *Community
	// Epoch is the one to send under, XF the transform: 0x01
	// (ChaCha20-Poly1305) or 0x02 (AES-256-GCM); an insecure community always
	// uses 0x00.
	Epoch Epoch
	XF    uint8
	// Static is the sender's X25519 static key, which the salt names.
	Static [32]byte
	// Serial is higher than that of every salt that the sender drew before, in
	// this run or an earlier one.
	Serial uint64
	// Now is the time of creation.
	Now time.Time
	// Random is read for 4 bytes. Nil: crypto/rand.
	Random io.Reader
}

// NewGroupSender draws a new salt and returns its sender. The error is that of
// Random, or names a transform that GROUP cannot have.
func NewGroupSender(c GroupConfig) (*GroupSender, error) {
	if c.Random == nil {
		c.Random = rand.Reader
	}
	if c.Community.Insecure {
		c.XF = xfNull
	} else if c.XF != xfGroupChaCha && c.XF != xfGroupGCM {
		return nil, fmt.Errorf("crypto: transform %#02x is not one of GROUP", c.XF)
	}
	g := &GroupSender{ki: c.Epoch.Index, xf: c.XF, serial: c.Serial, created: c.Now}
	binary.BigEndian.PutUint32(g.salt[:], uint32(c.Now.Unix()))
	if _, err := io.ReadFull(c.Random, g.salt[saltRandomAt:saltSenderAt]); err != nil {
		return nil, err
	}
	tag := c.Community.SenderTag(c.Static)
	copy(g.salt[saltSenderAt:], tag[:])
	g.aead = groupAEAD(c.Community.ID(), c.Epoch, groupSalt{g.salt, g.ki, g.xf})
	return g, nil
}

// GroupVouch is what a sender says of a salt of its own in a SALT message.
type GroupVouch struct {
	KI, XF uint8
	Salt   [16]byte
	// Lowest is the lowest counter that the salt is vouched for from: everything
	// below was sealed before the two ends had need of a session.
	Lowest uint64
	// Serial orders the salts of one sender, over restarts too.
	Serial uint64
}

// Vouch returns what to say of the salt now.
func (g *GroupSender) Vouch() GroupVouch {
	return GroupVouch{KI: g.ki, XF: g.xf, Salt: g.salt, Lowest: g.sent.next.Load(), Serial: g.serial}
}

// Salt returns the salt, which ends with the sender tag.
func (g *GroupSender) Salt() [16]byte { return g.salt }

// KI returns the key index that goes into the header.
func (g *GroupSender) KI() uint8 { return g.ki }

// XF returns the transform that goes into the header.
func (g *GroupSender) XF() uint8 { return g.xf }

// Reserve reserves n consecutive counters and returns the first. The error is
// ErrExhausted: far beyond the point where Worn asks for a new sender.
func (g *GroupSender) Reserve(n uint32) (first uint64, err error) {
	return g.sent.reserve(n, refuseGCM)
}

// Seal writes the salt into pkt = hdr16 | room for the salt 16 | inner, seals
// it in place and returns it with its tag and a random tail, 24 bytes longer;
// cap(pkt) must leave room for them, or the packet is copied. The header must be
// complete: its CTR, from Reserve, is the nonce; header and salt are authenticated.
// Each further copy gets a tail of its own: see Vary.
func (g *GroupSender) Seal(sc *Scratch, pkt []byte) []byte {
	const at = headerLen + saltLen
	copy(pkt[headerLen:at], g.salt[:])
	if g.aead == nil {
		pkt = sealNull(pkt)
	} else {
		pkt = g.aead.Seal(pkt[:at], sc.counterNonce(pkt), pkt[at:], pkt[:at])
	}
	return binary.NativeEndian.AppendUint64(pkt, mathrand.Uint64())
}

// Vary gives a copy of a sealed GROUP packet, before it is masked, another tail: the
// mask is made from the end of a packet, and no two copies are to have the same.
// The tail is not authenticated, and receivers ignore it.
func Vary(pkt []byte) {
	binary.NativeEndian.PutUint64(pkt[len(pkt)-tailLen:], mathrand.Uint64())
}

// Worn reports whether it is time for a new salt: after 120 s, after 2^28
// packets, and when now lies before the creation.
func (g *GroupSender) Worn(now time.Time) bool {
	age := now.Sub(g.created)
	return age < 0 || age >= saltLife || g.sent.next.Load() >= rekeyGCM
}

// groupSalt names the key of one sender: its salt, under an epoch and a
// transform.
type groupSalt struct {
	salt   [saltLen]byte
	ki, xf uint8
}

// sender returns the tag of the sender that the salt names.
func (k *groupSalt) sender() [senderTagLen]byte { return [senderTagLen]byte(k.salt[saltSenderAt:]) }

// time returns the time of creation that the salt names.
func (k *groupSalt) time() time.Time {
	return time.Unix(int64(binary.BigEndian.Uint32(k.salt[:])), 0)
}

// acceptable reports whether a sender that no session vouched for may use the
// salt.
func (k *groupSalt) acceptable(now time.Time) bool {
	return now.Sub(k.time()).Abs() <= saltAcceptance
}

// groupAEAD returns the AEAD of a salt, nil for the null transform. It is the
// key of Community.GroupKey with the community's identifier at hand.
func groupAEAD(cid [16]byte, e Epoch, k groupSalt) cipher.AEAD {
	if k.xf == xfNull {
		return nil
	}
	key := derive32(e.Key[:], k.salt[:], "group key", []byte{k.xf, k.ki}, cid[:])
	if k.xf == xfGroupGCM {
		return newGCM(key[:])
	}
	return newChaCha(key[:])
}

// parseGroup returns the salt of a GROUP packet, less its tail, of the community with
// that tag; null says that the community is insecure and accepts packets in clear only.
func parseGroup(pkt []byte, tag [4]byte, null bool) (k groupSalt, ok bool) {
	if len(pkt) < groupMin-tailLen || pkt[0] != firstByte(typeGroup) || !bytes.Equal(pkt[offRX:offCTR], tag[:]) {
		return k, false
	}
	k.xf, k.ki = pkt[offXF], pkt[offKI]
	copy(k.salt[:], pkt[headerLen:])
	return k, k.fits(null)
}
