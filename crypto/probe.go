package crypto

import "crypto/ed25519"

// ProbeKey returns the key of the MAC on the probes that bridges send into their
// segments during epoch e (PROTOCOL.md, section 12): who has it is a member now, so that
// a stranger's probe costs a hash and no signature.
func (c *Community) ProbeKey(e Epoch) [32]byte {
	cid := c.ID()
	return derive32(e.Key[:], cid[:], "probe", []byte{e.Index})
}

// ProbeMAC returns the MAC of a probe under ProbeKey.
func ProbeMAC(key [32]byte, sealed []byte) [16]byte { return keyedHash(key[:], sealed) }

// ProbeAuthentic reports whether a probe has the MAC of its sealed bytes.
func ProbeAuthentic(key [32]byte, sealed []byte, mac [16]byte) bool {
	return equal(ProbeMAC(key, sealed), mac[:])
}

// SignProbe signs a probe in a community.
func (id *Identity) SignProbe(cid [16]byte, body []byte) [64]byte {
	return [64]byte(id.Sign(probeSigned(cid, body)))
}

// VerifyProbe reports whether a probe in a community was signed by an identity. It
// costs as much as a handshake's agreement.
func VerifyProbe(id [32]byte, cid [16]byte, body []byte, sig [64]byte) bool {
	return UsableID(id) && ed25519.Verify(id[:], probeSigned(cid, body), sig[:])
}

// probeSigned returns the bytes under a probe's signature.
func probeSigned(cid [16]byte, body []byte) []byte {
	b := append([]byte(labelPrefix), "probe"...)
	return append(append(b, cid[:]...), body...)
}
