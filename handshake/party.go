package handshake

import (
	"io"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Party is our end of handshakes: what it says of itself in each, and what it
// needs for them. One Party serves all Initiators and the Responder of its kind.
// It does not change once it is in use.
type Party struct {
	// Hop says that these are handshakes between an edge and a supernode. They
	// have neither a community nor epochs.
	Hop bool
	// Identity holds our static key. Required.
	Identity *crypto.Identity
	// CID is the community. Not for a hop.
	CID [16]byte
	// Epochs are the community's keys. Required, but not for a hop.
	Epochs Epochs
	// Index returns an index that no session and no waiting INIT of ours has; it
	// is called once for each INIT and each RESP. Required.
	Index func() uint32

	// Features are our protocol.Feature bits, MAC our hardware address and MTU
	// that of our TAP device in bytes; zeros for a supernode.
	Features uint32
	MAC      protocol.MAC
	MTU      uint16

	// Wall returns the wall clock at a time of the caller's, for stamps. Nil: it
	// is the same clock.
	Wall func(now time.Time) time.Time
	// Jitter returns a random duration of at least 0 and less than d. Nil: 0.
	Jitter func(d time.Duration) time.Duration
	// Rand is the source of ephemeral keys. Nil: crypto/rand.
	Rand io.Reader
}

// Epochs are the keys of a community as a pair handshake asks for them. The
// caller implements it around crypto.Schedule; now is the caller's clock.
type Epochs interface {
	// Transmit returns the key index to send under. It reports false when there is
	// none.
	Transmit(now time.Time) (ki uint8, ok bool)
	// Acceptable returns the key indices that are received under, the best for a
	// retry first.
	Acceptable(now time.Time) []uint8
	// PSK returns the pair psk of a key index. It reports false when nothing is
	// received under it now.
	PSK(now time.Time, ki uint8) (psk [32]byte, ok bool)
	// NoticeKey returns the key of the mac of a NOTICE.
	NoticeKey() [32]byte
}

// transform returns the transform in the headers of these handshakes.
func (p *Party) transform() protocol.Transform {
	if p.Hop {
		return protocol.XFHop
	}
	return protocol.XFPair
}

// config returns what package crypto has to know for a handshake under psk.
func (p *Party) config(psk [32]byte) crypto.HandshakeConfig {
	return crypto.HandshakeConfig{Hop: p.Hop, Local: p.Identity, CID: p.CID, PSK: psk, Rand: p.Rand}
}

// header returns a header of these handshakes.
func (p *Party) header(t protocol.Type, ki uint8, rx uint32, ctr uint64) (b [protocol.HeaderLen]byte) {
	protocol.Header{Type: t, XF: p.transform(), KI: ki, RX: rx, CTR: ctr}.Put(b[:])
	return b
}

// wall returns the wall clock.
func (p *Party) wall(now time.Time) time.Time {
	if p.Wall == nil {
		return now
	}
	return p.Wall(now)
}

// jitter returns a random duration below d.
func (p *Party) jitter(d time.Duration) time.Duration {
	if p.Jitter == nil {
		return 0
	}
	return p.Jitter(d)
}

// lengths are the lengths in bytes of the packets of a handshake.
var lengths = map[protocol.Type]int{
	protocol.TypeInit: protocol.InitLen, protocol.TypeResp: protocol.RespLen,
	protocol.TypeCookie: protocol.CookieLen, protocol.TypeNotice: protocol.NoticeLen,
}

// readHeader checks what can be seen of a packet without any key.
func (p *Party) readHeader(pkt []byte) (protocol.Header, error) {
	h, err := protocol.ParseHeader(pkt)
	switch err {
	case nil:
	case protocol.ErrShort:
		return h, ErrLength
	case protocol.ErrVersion:
		return h, ErrVersion
	default:
		return h, ErrHeader
	}
	length, ok := lengths[h.Type]
	switch {
	case !ok || h.Flags != 0:
		return h, ErrHeader
	case len(pkt) != length:
		return h, ErrLength
	case h.XF != p.transform():
		return h, ErrTransform
	}
	return h, nil
}
