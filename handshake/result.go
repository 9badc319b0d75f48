package handshake

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Result is a finished handshake: the keys of a session, and what the other end
// said of itself.
type Result struct {
	// Remote is the other end's static key, proven by the handshake.
	Remote [32]byte
	// Keys are the keys of both directions and the handshake hash.
	Keys crypto.SplitKeys
	// Initiator says that we sent the INIT. A responder's session counts from its
	// first valid packet on only (PROTOCOL.md, section 4).
	Initiator bool
	// Local and Far are the session indices: ours, which the other end puts into
	// RX, and the other end's.
	Local, Far uint32
	// XF is the transform that DATA is sealed under, the same at both ends: for a
	// pair ChaCha20-Poly1305 if either end would rather open that, else AES-256-GCM.
	XF protocol.Transform
	// KI is the epoch, protocol.KINone for a hop.
	KI uint8
	// Features, MAC and MTU are what the other end said: of a supernode the last two are
	// zeros.
	Features uint32
	MAC      protocol.MAC
	MTU      uint16
	// RTT is the time from the INIT to its RESP, 0 for the responder.
	RTT time.Duration
}

// SessionConfig returns what crypto.NewSession, or for a hop
// crypto.NewHopSession, makes the session of. created is now; Null is the
// caller's to set.
func (r *Result) SessionConfig(created time.Time) crypto.SessionConfig {
	return crypto.SessionConfig{
		Keys: r.Keys, XF: uint8(r.XF), KI: r.KI, Local: r.Local, Remote: r.Far,
		Static: r.Remote, Created: created, Initiator: r.Initiator,
	}
}

// dataTransform returns the transform of the session with an edge of those
// features.
func (p *Party) dataTransform(features uint32) protocol.Transform {
	switch {
	case p.Hop:
		return protocol.XFHop
	case (features|p.Features)&protocol.FeatureChaCha != 0:
		return protocol.XFDataChaCha
	}
	return protocol.XFDataGCM
}
