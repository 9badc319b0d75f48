package bridge

import (
	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Prober makes the frames of probes. It belongs to one goroutine.
type Prober struct {
	Identity *crypto.Identity
	CID      [16]byte
	Tag      uint32       // of the community
	Device   protocol.MAC // the device's address
	Boot     uint64       // of our statement
	seq      uint32
}

// Seq returns the number of the last probe of this boot.
func (s *Prober) Seq() uint32 { return s.seq }

// GoOn has the next probe follow one with a number, which another process sent.
func (s *Prober) GoOn(seq uint32) { s.seq = seq }

// Frame returns the frame of a probe, sealed under the key of an epoch.
func (s *Prober) Frame(p protocol.Probe, ki uint8, key [32]byte) []byte {
	s.seq++
	p.Tag, p.KI, p.Boot, p.Seq, p.Static = s.Tag, ki, s.Boot, s.seq, s.Identity.Static
	frame := p.AppendFrame(make([]byte, 0, protocol.EthernetLen+protocol.ProbeLen), protocol.ProbeSource(s.Device))
	body := protocol.ProbeBody(frame)
	sig := s.Identity.SignProbe(s.CID, body[:protocol.ProbeSigned])
	copy(body[protocol.ProbeSigned:], sig[:])
	mac := crypto.ProbeMAC(key, body[:protocol.ProbeSealed])
	copy(body[protocol.ProbeSealed:], mac[:])
	return frame
}
