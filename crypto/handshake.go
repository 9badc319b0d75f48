package crypto

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"io"

	"github.com/flynn/noise"
	"golang.org/x/crypto/chacha20poly1305"
)

// ErrHandshake is the one error of a handshake packet with a fault: a wrong
// length, header, mac1, key or point. It does not tell which, so that a stranger
// learns nothing.
var ErrHandshake = errors.New("crypto: handshake packet does not open")

// Faults of what the caller gives for a handshake.
var (
	errHeader  = errors.New("crypto: header does not fit the handshake")
	errWeakKey = errors.New("crypto: the remote static key is of small order")
)

// pattern is IK with the pre-shared key at the end of both messages: Noise, revision
// 34, section 9. NewHandshakeState adds the second token and its name, so that the name
// becomes IKpsk1+psk2. The first token has an INIT open for those only who hold the key
// of its epoch. At the second a key of the two ends alone may be mixed in one day
// (PROTOCOL.md, section 4).
var pattern = noise.HandshakePattern{
	Name:                 "IKpsk1+",
	ResponderPreMessages: []noise.MessagePattern{noise.MessagePatternS},
	Messages: [][]noise.MessagePattern{
		{noise.MessagePatternE, noise.MessagePatternDHES, noise.MessagePatternS, noise.MessagePatternDHSS, noise.MessagePatternPSK},
		{noise.MessagePatternE, noise.MessagePatternDHEE, noise.MessagePatternDHSE},
	},
}

// Lengths of the two Noise messages: e 32, enc(static) 48 and enc(payload) 64;
// e 32 and enc(payload) 48.
const (
	initMessage = 144
	respMessage = 80
)

// HandshakeConfig names the local identity of a handshake and its keys.
// Handshakes are Noise_IKpsk1+psk2_25519_ChaChaPoly_BLAKE2s (the Noise specification,
// revision 34; PROTOCOL.md, section 4).
type HandshakeConfig struct {
	Hop   bool      // edge with supernode; otherwise edge with edge
	Local *Identity // ours: the initiator's for Initiate, the responder's for ReadInit
	CID   [16]byte  // the community; not used for a hop
	PSK   [32]byte  // Community.PairPSK of the header's KI; zeros, or the access key's, for a hop
	Rand  io.Reader // ephemeral keys and the noise in mac2; nil means crypto/rand
}

// SplitKeys are the result of a handshake (Noise, section 5.2, Split): a key for
// each direction, from the holder's point of view, and the handshake hash, which
// is the same at both ends and binds signatures to this one handshake.
type SplitKeys struct {
	Send, Recv [32]byte
	Hash       [32]byte
}

// random returns the source of randomness.
func (c *HandshakeConfig) random() io.Reader {
	if c.Rand == nil {
		return rand.Reader
	}
	return c.Rand
}

// fits reports whether hdr is a header of that type for this handshake.
func (c *HandshakeConfig) fits(hdr []byte, packetType byte) bool {
	if hdr[0] != firstByte(packetType) {
		return false
	}
	if c.Hop {
		return hdr[offXF] == xfHop && hdr[offKI] == kiNone
	}
	return hdr[offXF] == xfPair && hdr[offKI] != kiNone
}

// state returns the Noise state at the start of a handshake. remote is nil for
// the responder; hdr is the header of the INIT, of which V, XF, KI and FL are
// bound into the prologue.
func (c *HandshakeConfig) state(a *agreement, hdr []byte, remote []byte, random io.Reader) (*noise.HandshakeState, error) {
	label, cid := labelPrefix+"pair", c.CID
	if c.Hop {
		label, cid = labelPrefix+"hop", [16]byte{}
	}
	prologue := append([]byte(label), cid[:]...)
	prologue = append(prologue, hdr[0]>>5, hdr[offXF], hdr[offKI], hdr[offFL])
	private := c.Local.StaticPrivate()
	return noise.NewHandshakeState(noise.Config{
		CipherSuite:           a.suite(),
		Random:                random,
		Pattern:               pattern,
		Initiator:             remote != nil,
		Prologue:              prologue,
		PresharedKey:          c.PSK[:],
		PresharedKeyPlacement: 2,
		StaticKeypair:         noise.DHKey{Private: private[:], Public: c.Local.Static[:]},
		PeerStatic:            remote,
	})
}

// Initiation is the initiator's half of a handshake, waiting for the RESP. Not
// safe for concurrent use.
type Initiation struct {
	cfg       HandshakeConfig
	remote    [32]byte
	hdr       [headerLen]byte
	payload   [48]byte
	mac1      [16]byte // of our INIT: a COOKIE is bound to it
	mac1Key   [32]byte
	ephemeral [32]byte
	keys      *agreement
	noise     *noise.HandshakeState // nil after it was used up
}

// Initiate makes the INIT (192 bytes, not masked) for the responder with the
// static key remote. hdr is the complete header. cookie is nil, or the last one
// that the responder sent, from OpenCookie. It fails when the header does not
// fit, when remote is no usable key, or when Rand fails.
func Initiate(cfg HandshakeConfig, remote [32]byte, hdr [16]byte, payload [48]byte, cookie *[16]byte) (*Initiation, []byte, error) {
	i := &Initiation{cfg: cfg, remote: remote, hdr: hdr, payload: payload, mac1Key: staticKey("mac1", remote)}
	switch {
	case !cfg.fits(hdr[:], typeInit):
		return nil, nil, errHeader
	case !UsableStatic(remote):
		return nil, nil, errWeakKey
	}
	var filler [16]byte
	for _, b := range [][]byte{i.ephemeral[:], filler[:]} {
		if _, err := io.ReadFull(cfg.random(), b); err != nil {
			return nil, nil, err
		}
	}
	pkt := make([]byte, headerLen, initLen)
	copy(pkt, hdr[:])
	pkt, err := i.begin(pkt)
	if err != nil {
		return nil, nil, err
	}
	pkt = appendMACs(pkt, i.mac1Key, cookie, filler)
	copy(i.mac1[:], pkt[initLen-32:])
	return i, pkt, nil
}

// MAC1 returns the mac1 of the INIT, which a NOTICE is bound to.
func (i *Initiation) MAC1() [16]byte { return i.mac1 }

// CheckMAC1 reports whether a RESP (128 bytes, unmasked) has the right length and
// was made by somebody who knows the responder's static key. Finish checks it as
// well, but does not say that this was the fault.
func (i *Initiation) CheckMAC1(resp []byte) bool {
	return len(resp) == respLen && mac1Valid(i.mac1Key, resp)
}

// begin appends the first message to out and leaves the Noise state behind it,
// as often as it is called: the ephemeral key stays the same.
func (i *Initiation) begin(out []byte) ([]byte, error) {
	i.keys = newAgreement(i.cfg.Local)
	state, err := i.cfg.state(i.keys, i.hdr[:], i.remote[:], bytes.NewReader(i.ephemeral[:]))
	if err != nil {
		return nil, err
	}
	if out, _, _, err = state.WriteMessage(out, i.payload[:]); err != nil {
		return nil, err
	}
	i.noise = state
	return out, nil
}

// Finish reads a RESP (128 bytes, unmasked) and returns the responder's payload
// and the keys. It may be called again: after an error, because anybody can send
// a wrong RESP first, and after a RESP that only carried a challenge, whose keys
// the caller discards. Any fault is ErrHandshake.
func (i *Initiation) Finish(resp []byte) (payload [32]byte, keys SplitKeys, err error) {
	if len(resp) != respLen || !i.answers(resp, typeResp) || !mac1Valid(i.mac1Key, resp) {
		return payload, keys, ErrHandshake
	}
	if i.noise == nil {
		if _, err := i.begin(nil); err != nil {
			return payload, keys, ErrHandshake
		}
	}
	// The Noise state rolls back after a message that fails to open. A message
	// that opens uses the state up, and a point of low order leaves it unusable.
	text, out, in, err := i.noise.ReadMessage(payload[:0], resp[headerLen:headerLen+respMessage])
	if err != nil {
		if i.keys.failed {
			i.noise = nil
		}
		return [32]byte{}, keys, ErrHandshake
	}
	copy(payload[:], text)
	keys = split(i.noise, out, in)
	i.noise = nil
	return payload, keys, nil
}

// OpenCookie reads a COOKIE (72 bytes, unmasked) that answers our INIT and
// returns the cookie for the next Initiate. Any fault is ErrHandshake.
func (i *Initiation) OpenCookie(pkt []byte) (cookie [16]byte, err error) {
	if len(pkt) != cookieLen || !i.answers(pkt, typeCookie) {
		return cookie, ErrHandshake
	}
	key := staticKey("cookie", i.remote)
	nonce, sealed := pkt[headerLen:headerLen+chacha20poly1305.NonceSizeX], pkt[headerLen+chacha20poly1305.NonceSizeX:]
	text, err := newXChaCha(key[:]).Open(nil, nonce, sealed, i.mac1[:])
	if err != nil {
		return cookie, ErrHandshake
	}
	return [16]byte(text), nil
}

// newXChaCha returns XChaCha20-Poly1305 under key of 32 bytes.
func newXChaCha(key []byte) cipher.AEAD {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	return aead
}

// answers reports whether the header of pkt is that of an answer to our INIT:
// same transform and key index, and RX our index.
func (i *Initiation) answers(pkt []byte, packetType byte) bool {
	return i.cfg.fits(pkt, packetType) && bytes.Equal(pkt[offKI:offKI+1], i.hdr[offKI:offKI+1]) &&
		bytes.Equal(pkt[offRX:offCTR], i.hdr[offRX:offCTR])
}

// Reply is the responder's half of a handshake, after a valid INIT. Not safe
// for concurrent use.
type Reply struct {
	Remote  [32]byte // the initiator's static key, proven
	Payload [48]byte // the initiator's payload

	cfg   HandshakeConfig
	hdr   [headerLen]byte
	noise *noise.HandshakeState
}

// ReadInit reads an INIT (192 bytes, unmasked); cfg.Local is the responder, and
// cfg.PSK belongs to the header's key index. It checks mac1 once more, so that
// no use of it can leave that out; mac2 is for the Guard. Whoever made the INIT held
// its static key and cfg.PSK. Nothing has been proven about the sender's address, nor
// about the INIT being new. Any fault is ErrHandshake.
func ReadInit(cfg HandshakeConfig, init []byte) (*Reply, error) {
	if len(init) != initLen || !cfg.fits(init, typeInit) || !mac1Valid(staticKey("mac1", cfg.Local.Static), init) {
		return nil, ErrHandshake
	}
	state, err := cfg.state(newAgreement(cfg.Local), init[:headerLen], nil, cfg.random())
	if err != nil {
		return nil, ErrHandshake
	}
	r := &Reply{cfg: cfg, hdr: [headerLen]byte(init), noise: state}
	text, _, _, err := state.ReadMessage(r.Payload[:0], init[headerLen:headerLen+initMessage])
	if err != nil {
		return nil, ErrHandshake
	}
	copy(r.Payload[:], text)
	copy(r.Remote[:], state.PeerStatic())
	return r, nil
}

// Write makes the RESP (128 bytes, not masked) and the responder's keys. hdr is
// the complete header: of type RESP, with the INIT's transform, key index and
// RX. It works once. When the payload carries a challenge, discard the keys.
func (r *Reply) Write(hdr [16]byte, payload [32]byte) (resp []byte, keys SplitKeys, err error) {
	if !r.cfg.fits(hdr[:], typeResp) || hdr[offKI] != r.hdr[offKI] || !bytes.Equal(hdr[offRX:offCTR], r.hdr[offRX:offCTR]) {
		return nil, keys, errHeader
	}
	resp = make([]byte, headerLen, respLen)
	copy(resp, hdr[:])
	resp, in, out, err := r.noise.WriteMessage(resp, payload[:])
	if err != nil {
		return nil, keys, err
	}
	var filler [16]byte
	if _, err := io.ReadFull(r.cfg.random(), filler[:]); err != nil {
		return nil, keys, err
	}
	// The responder never has a cookie: its mac2 is noise, and nobody checks it.
	resp = appendMACs(resp, staticKey("mac1", r.cfg.Local.Static), nil, filler)
	return resp, split(r.noise, out, in), nil
}

// split returns the keys of a finished handshake.
func split(state *noise.HandshakeState, out, in *noise.CipherState) SplitKeys {
	return SplitKeys{Send: out.UnsafeKey(), Recv: in.UnsafeKey(), Hash: [32]byte(state.ChannelBinding())}
}
