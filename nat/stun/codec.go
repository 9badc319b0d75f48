package stun

import (
	"net/netip"

	pion "github.com/pion/stun"
)

// software fills our requests up to the size of the longest answer, which is
// the one with an IPv6 address: a responder never sends a stranger more than
// it got. The text names no product, since it travels in clear.
const software = "generic STUN client"

// AppendRequest appends a Binding request of 52 bytes to dst. The caller draws
// txid at random, keeps it for the answer, and uses it once.
func AppendRequest(dst []byte, txid [12]byte) []byte {
	m, err := pion.Build(pion.NewTransactionIDSetter(txid), pion.BindingRequest,
		pion.NewSoftware(software), pion.Fingerprint)
	if err != nil {
		panic(err) // constant input: every setter's precondition holds
	}
	return append(dst, m.Raw...)
}

// RequestID returns the transaction of a Binding request, and whether b is one.
func RequestID(b []byte) (txid [12]byte, ok bool) {
	m, err := decode(b)
	if err != nil || m.Type != pion.BindingRequest {
		return txid, false
	}
	return m.TransactionID, true
}

// ParseResponse reads a Binding success response: the transaction that it
// answers, and the address that the server saw. Errors are ErrMessage,
// ErrAddress, ErrType and ErrAttribute.
func ParseResponse(b []byte) (txid [12]byte, mapped netip.AddrPort, err error) {
	m, err := decode(b)
	if err != nil {
		return txid, mapped, err
	}
	if m.Type != pion.BindingSuccess {
		return txid, mapped, ErrType
	}
	var address pion.XORMappedAddress
	if address.GetFrom(m) != nil {
		return txid, mapped, ErrAttribute
	}
	ip, ok := netip.AddrFromSlice(address.IP)
	if !ok || ip.IsUnspecified() || address.Port == 0 {
		return txid, mapped, ErrAttribute
	}
	return m.TransactionID, netip.AddrPortFrom(ip.Unmap(), uint16(address.Port)), nil
}

// AppendResponse appends the answer to the Binding request req, which came from
// the address from. It has 32 bytes, with IPv6 44, and 8 more for a fingerprint
// where the request carried one. Requests of AppendRequest are never shorter
// than their answer; a bare request of 20 bytes is, so a responder limits its
// rate per source. Anything that is not a Binding request, or asks for what we
// do not understand, gets no answer: dst comes back as it was, with ErrMessage,
// ErrAddress, ErrType or ErrAttribute.
func AppendResponse(dst, req []byte, from netip.AddrPort) ([]byte, error) {
	m, err := decode(req)
	if err != nil {
		return dst, err
	}
	if m.Type != pion.BindingRequest {
		return dst, ErrType
	}
	seen := pion.XORMappedAddress{IP: from.Addr().Unmap().AsSlice(), Port: int(from.Port())}
	setters := []pion.Setter{pion.NewTransactionIDSetter(m.TransactionID), pion.BindingSuccess, seen}
	if m.Contains(pion.AttrFingerprint) {
		setters = append(setters, pion.Fingerprint)
	}
	answer, err := pion.Build(setters...)
	if err != nil {
		return dst, ErrAttribute // from is no address: the caller's fault, not the network's
	}
	return append(dst, answer.Raw...), nil
}

// decode runs the guard and then the library's decoder over a copy of b, and
// applies the rules of RFC 8489 that hold for every message.
func decode(b []byte) (*pion.Message, error) {
	if err := Guard(b); err != nil {
		return nil, err
	}
	m := new(pion.Message)
	if pion.Decode(b, m) != nil {
		return nil, ErrMessage
	}
	for _, a := range m.Attributes {
		if a.Type < optionalFrom && !understood(a.Type) {
			return nil, ErrAttribute
		}
	}
	if m.Contains(pion.AttrFingerprint) && (lastAttribute(m) != pion.AttrFingerprint || pion.Fingerprint.Check(m) != nil) {
		return nil, ErrAttribute
	}
	return m, nil
}

// lastAttribute returns the type of the last attribute. FINGERPRINT has to be
// it (RFC 8489, section 14.7), and the library assumes so.
func lastAttribute(m *pion.Message) pion.AttrType {
	return m.Attributes[len(m.Attributes)-1].Type
}

// understood lists what may stand in a Binding message although it must be
// understood. Credentials are understood in the sense that we need none: our
// requests carry none, so a server has no reason to protect its answer.
func understood(t pion.AttrType) bool {
	switch t {
	case pion.AttrMappedAddress, pion.AttrXORMappedAddress, pion.AttrErrorCode,
		pion.AttrUnknownAttributes, pion.AttrUsername, pion.AttrMessageIntegrity,
		pion.AttrRealm, pion.AttrNonce, pion.AttrPriority, pion.AttrUseCandidate:
		return true
	}
	return false
}
