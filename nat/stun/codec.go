package stun

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	pion "github.com/pion/stun"
)

// software fills our requests up to the size of the longest answer, which is
// the one with two IPv6 addresses: a responder never sends a stranger more than
// it got. The text names no product, since it travels in clear.
const software = "generic STUN client after RFC 8489, RFC 5780"

// RequestLen is the size in bytes of a request of AppendRequest. One with a
// ChangePort or an AnswerPort has 8 more for each, a long one 80.
const RequestLen = 76

// longer are the bytes of software that a long request has more; the attribute may have
// 127 characters (RFC 8489, section 14.14).
const longer = 80

// Request is a Binding request (RFC 8489, section 2.2).
type Request struct {
	// ID is the transaction. It is drawn at random, kept for the answer, and
	// used once.
	ID [12]byte
	// ChangePort asks for an answer from the server's other port (RFC 5780,
	// section 7.2), which a NAT lets through or not by its filtering behaviour.
	ChangePort bool
	// AnswerPort asks for an answer to another port of the address that the request
	// comes from, 0 for none (RESPONSE-PORT, RFC 5780, section 7.5): whether it arrives
	// tells whether that port's mapping still lives (section 4.6).
	AnswerPort uint16
	// Long makes the request 80 bytes longer: answers that others ask for are to go to
	// where it comes from as well, and nobody is to get more there than came from there.
	Long bool
}

// CHANGE-REQUEST has four bytes of flags (RFC 5780, section 7.2), and RESPONSE-PORT a
// port and two bytes of padding, which some count and some do not (section 7.5).
const (
	changeLen     = 4
	changePort    = 2
	answerPortLen = 4
	barePortLen   = 2
)

// attrAnswerPort is RESPONSE-PORT.
const attrAnswerPort pion.AttrType = 0x0027

// Append appends the request to dst.
func (r Request) Append(dst []byte) []byte {
	setters := []pion.Setter{pion.NewTransactionIDSetter(r.ID), pion.BindingRequest}
	if r.ChangePort {
		setters = append(setters, pion.RawAttribute{Type: pion.AttrChangeRequest, Value: []byte{0, 0, 0, changePort}})
	}
	if r.AnswerPort != 0 {
		value := binary.BigEndian.AppendUint16(nil, r.AnswerPort)
		setters = append(setters, pion.RawAttribute{Type: attrAnswerPort, Value: append(value, 0, 0)})
	}
	text := software
	if r.Long {
		text += strings.Repeat(" ", longer)
	}
	m, err := pion.Build(append(setters, pion.NewSoftware(text), pion.Fingerprint)...)
	if err != nil {
		panic(err) // constant input: every setter's precondition holds
	}
	return append(dst, m.Raw...)
}

// AppendRequest appends a Binding request of 76 bytes to dst.
func AppendRequest(dst []byte, txid [12]byte) []byte { return Request{ID: txid}.Append(dst) }

// ParseRequest reads a Binding request. Errors are ErrMessage, ErrAddress,
// ErrType and ErrAttribute; the last also for a request to be answered from
// another address, which no responder here has.
func ParseRequest(b []byte) (Request, error) {
	m, err := decode(b)
	if err != nil {
		return Request{}, err
	}
	if m.Type != pion.BindingRequest {
		return Request{}, ErrType
	}
	r := Request{ID: m.TransactionID}
	if flags, err := m.Get(pion.AttrChangeRequest); err == nil {
		if len(flags) != changeLen || flags[3]&^changePort != 0 {
			return Request{}, ErrAttribute
		}
		r.ChangePort = flags[3]&changePort != 0
	}
	if port, err := m.Get(attrAnswerPort); err == nil {
		if len(port) != answerPortLen && len(port) != barePortLen {
			return Request{}, ErrAttribute
		}
		r.AnswerPort = binary.BigEndian.Uint16(port)
	}
	return r, nil
}

// Response is a Binding success response.
type Response struct {
	// ID is the transaction that it answers.
	ID [12]byte
	// Mapped is the address that the server saw.
	Mapped netip.AddrPort
	// Other is the server's other address (OTHER-ADDRESS, RFC 5780, section
	// 7.4), not valid when it names none. A server that does not know its
	// address, as most behind a provider's NAT, names the unspecified one.
	Other netip.AddrPort
}

// ParseResponse reads a Binding success response. Errors are ErrMessage,
// ErrAddress, ErrType and ErrAttribute.
func ParseResponse(b []byte) (Response, error) {
	m, err := decode(b)
	if err != nil {
		return Response{}, err
	}
	if m.Type != pion.BindingSuccess {
		return Response{}, ErrType
	}
	var mapped pion.XORMappedAddress
	if mapped.GetFrom(m) != nil {
		return Response{}, ErrAttribute
	}
	r := Response{ID: m.TransactionID, Mapped: addrPort(mapped.IP, mapped.Port)}
	if !r.Mapped.IsValid() || r.Mapped.Addr().IsUnspecified() {
		return Response{}, ErrAttribute
	}
	var other pion.OtherAddress
	if other.GetFrom(m) == nil {
		r.Other = addrPort(other.IP, other.Port)
	}
	return r, nil
}

// addrPort converts a decoded address; it returns the zero AddrPort without a
// port.
func addrPort(ip []byte, port int) netip.AddrPort {
	a, ok := netip.AddrFromSlice(ip)
	if !ok || port == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(port))
}

// AppendResponse appends the answer to the Binding request req, which came from
// the address from. It has 32 bytes, with IPv6 44, and 8 more for a fingerprint
// if the request has one. It names the server's other address, if that is valid,
// when the answer is then still not longer than the request, and goes to where that
// came from. Requests of
// AppendRequest are never shorter than their answer; a bare request of 20 bytes
// is, so a responder compares the two. For a request that ParseRequest
// refuses it appends nothing and returns that error.
func AppendResponse(dst, req []byte, from, other netip.AddrPort) ([]byte, error) {
	r, err := ParseRequest(req)
	if err != nil {
		return dst, err
	}
	m, err := decode(req)
	if err != nil {
		return dst, err
	}
	seen := pion.XORMappedAddress{IP: from.Addr().Unmap().AsSlice(), Port: int(from.Port())}
	var last []pion.Setter
	if m.Contains(pion.AttrFingerprint) {
		last = append(last, pion.Fingerprint)
	}
	setters := []pion.Setter{pion.NewTransactionIDSetter(r.ID), pion.BindingSuccess, seen}
	if other.IsValid() && r.AnswerPort == 0 {
		named := &pion.OtherAddress{IP: other.Addr().Unmap().AsSlice(), Port: int(other.Port())}
		answer, err := pion.Build(slices.Concat(setters, []pion.Setter{named}, last)...)
		if err == nil && len(answer.Raw) <= len(req) {
			return append(dst, answer.Raw...), nil
		}
	}
	answer, err := pion.Build(append(setters, last...)...)
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

// understood lists the attributes of a Binding message that must be understood
// and that we accept. Credentials are among them because we need none: our
// requests carry none, so a server has no reason to protect its answer.
func understood(t pion.AttrType) bool {
	switch t {
	case pion.AttrMappedAddress, pion.AttrXORMappedAddress, pion.AttrErrorCode,
		pion.AttrUnknownAttributes, pion.AttrUsername, pion.AttrMessageIntegrity,
		pion.AttrRealm, pion.AttrNonce, pion.AttrPriority, pion.AttrUseCandidate,
		pion.AttrChangeRequest, attrAnswerPort:
		return true
	}
	return false
}
