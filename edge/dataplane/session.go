package dataplane

import (
	"sync/atomic"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Session is one pair session as the queues see it.
type Session struct {
	session   *crypto.Session
	peer      *Peer
	features  uint32      // protocol.Feature bits that the other end announced
	confirmed atomic.Bool // the first packet was opened and told to the control loop
}

// NewSession returns a session with a peer, whose first packet is told of as
// Confirmed. features are the protocol.Feature bits that the other end announced.
func NewSession(s *crypto.Session, p *Peer, features uint32) *Session {
	return &Session{session: s, peer: p, features: features}
}

// Crypto returns the keys and counters of the session.
func (s *Session) Crypto() *crypto.Session { return s.session }

// Peer returns whom the session is with.
func (s *Session) Peer() *Peer { return s.peer }

// Partial reports whether the other end takes partial checksums.
func (s *Session) Partial() bool { return s.features&protocol.FeaturePartial != 0 }

// ECN reports whether the other end sees marks of congestion on packets.
func (s *Session) ECN() bool { return s.features&protocol.FeatureECN != 0 }

// Features returns the protocol.Feature bits that the other end announced.
func (s *Session) Features() uint32 { return s.features }

// Confirm says that the first packet of the session need not be told of.
func (s *Session) Confirm() { s.confirmed.Store(true) }

// Confirmed reports whether the first packet was told of, or need not be.
func (s *Session) Confirmed() bool { return s.confirmed.Load() }

// HopSession is one session with a supernode as the queues see it.
type HopSession struct {
	session   *crypto.HopSession
	supernode *Supernode
	features  uint32 // protocol.Feature bits that it announced
}

// NewHopSession returns a session with a supernode, which announced protocol.Feature
// bits.
func NewHopSession(s *crypto.HopSession, n *Supernode, features uint32) *HopSession {
	return &HopSession{session: s, supernode: n, features: features}
}

// ECN reports whether the supernode passes marks of congestion on.
func (s *HopSession) ECN() bool { return s.features&protocol.FeatureECN != 0 }

// Features returns the protocol.Feature bits that the supernode announced.
func (s *HopSession) Features() uint32 { return s.features }

// Crypto returns the keys and counters of the session.
func (s *HopSession) Crypto() *crypto.HopSession { return s.session }
