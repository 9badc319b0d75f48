package turn

import (
	"errors"
	"fmt"
)

// Errors of Client besides a *ServerError and the error of a context.
var (
	// ErrClosed means that Close was called.
	ErrClosed = errors.New("turn: the client is closed")
	// ErrNoAllocation means that Allocate has not succeeded yet.
	ErrNoAllocation = errors.New("turn: nothing is allocated yet")
	// ErrNoPermission means that a datagram is for an address that Permit was
	// not called for, or that the server no longer permits.
	ErrNoPermission = errors.New("turn: the relay has no permission for that address")
	// ErrFamily means that a peer's address is not IPv4, as the relay's is.
	ErrFamily = errors.New("turn: the relay reaches IPv4 addresses only")
	// ErrLong means that a datagram is longer than MaxPayload.
	ErrLong = fmt.Errorf("turn: the datagram is longer than %d bytes", MaxPayload)
)

// Codes of RFC 8489, section 14.8, and RFC 8656, section 19.
const (
	codeTryAlternate = 300
	codeBadRequest   = 400
	codeUnauthorized = 401
	codeForbidden    = 403
	codeUnknown      = 420
	codeMismatch     = 437
	codeStaleNonce   = 438
	codeWrong        = 441
	codeTransport    = 442
	codePeerFamily   = 443
	codeQuota        = 486
	codeServer       = 500
	codeCapacity     = 508
)

// ServerError is a refusal by a TURN server. Its text is a sentence for the
// administrator who configured the server.
type ServerError struct {
	// Request is the name of the refused request, as in RFC 8656: Allocate,
	// Refresh, CreatePermission, ChannelBind.
	Request string
	// Code is the number of the error; -1 if the server gave none.
	Code int
	// Reason is the server's own text: printable ASCII, at most 64 bytes.
	Reason string
}

// Error returns the sentence.
func (e *ServerError) Error() string {
	if e.Code == codeNone {
		return fmt.Sprintf("the TURN server refuses %s and does not say why", e.Request)
	}
	return fmt.Sprintf("the TURN server refuses %s (%d %s): %s", e.Request, e.Code, e.Reason, e.meaning())
}

// meaning explains a code to the administrator.
func (e *ServerError) meaning() string {
	switch e.Code {
	case codeTryAlternate:
		return "it names another server to be used in its place; configure that one"
	case codeUnauthorized, codeWrong:
		return "the user or the password is wrong or has expired"
	case codeBadRequest: // pion's answer to a wrong password
		return "the user or the password is wrong or has expired, or the request is not understood"
	case codeForbidden:
		return "its rules forbid that address or that user"
	case codeUnknown:
		return "it asks for something that is not understood here"
	case codeMismatch:
		return "it knows of another allocation, or of none, for our address and port; one of an earlier run ends within 10 minutes"
	case codeTransport:
		return "it relays no UDP"
	case codePeerFamily:
		return "it does not relay to addresses of that family"
	case codeQuota:
		return "the user has as many allocations as it may"
	case codeCapacity:
		return "it has no room for one more allocation, or the user has as many as it may"
	}
	return "nothing more is known"
}

// transient says whether the same request may succeed a moment later.
func (e *ServerError) transient() bool { return e.Code >= codeServer && e.Code != codeCapacity }
