package adversary

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// initiator is what an end has of the handshakes that it begins.
type initiator struct {
	Payload protocol.InitPayload // of its INITs; the stamp is the time unless it is set

	initiation *crypto.Initiation // the last one, while its answer may come; nil: none
	cookie     *[16]byte
	index      uint32 // of the last handshake
	former     former
}

// former is the INIT before the last one, whose answer a guest takes as well.
type former struct {
	initiation *crypto.Initiation // nil: none
	index      uint32
}

// another returns the payload of another INIT, and counts the index on.
func (i *initiator) another(now time.Time) (plain [protocol.InitPayloadLen]byte) {
	i.index++
	payload := i.Payload
	if payload.Stamp == 0 {
		payload.Stamp = uint64(now.UnixNano())
	}
	payload.Put(&plain)
	return plain
}

// initiate returns an INIT that is not masked yet. Of its header XF and KI count.
func (i *initiator) initiate(cfg crypto.HandshakeConfig, to [32]byte, h protocol.Header, plain [protocol.InitPayloadLen]byte) ([]byte, error) {
	h.Type, h.RX, h.CTR = protocol.TypeInit, i.index, protocol.Revision
	var hdr [protocol.HeaderLen]byte
	h.Put(hdr[:])
	initiation, pkt, err := crypto.Initiate(cfg, to, hdr, plain, i.cookie)
	if err == nil {
		i.initiation = initiation
	}
	return pkt, err
}

// awaits reports whether a RESP or a COOKIE is for the last INIT.
func (i *initiator) awaits(h protocol.Header) bool { return i.initiation != nil && h.RX == i.index }

// keep keeps the cookie for the next INIT, and reports whether it opened.
func (i *initiator) keep(pkt []byte) bool {
	cookie, err := i.initiation.OpenCookie(pkt)
	if err == nil {
		i.cookie = &cookie
	}
	return err == nil
}

// finish opens a RESP. again: it asks for another INIT, with a challenge that is kept for it.
func (i *initiator) finish(pkt []byte) (keys crypto.SplitKeys, again bool, err error) {
	plain, keys, err := i.initiation.Finish(pkt)
	if err != nil {
		return keys, false, err
	}
	p, err := protocol.ParseRespPayload(plain[:])
	if err != nil {
		return keys, false, err
	}
	if p.Flags&protocol.RespChallenge != 0 {
		i.Payload.Challenge = p.Challenge
		return keys, true, nil
	}
	i.initiation = nil
	return keys, false, nil
}
