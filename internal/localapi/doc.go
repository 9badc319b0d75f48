// Package localapi carries HTTP and JSON over a Unix socket on this machine:
// how a running edge or supernode answers "status" and its relatives.
//
// The file mode of the socket is the whole of its access control, so the
// socket gets that mode before it gets its name: there is no moment in which
// a stranger could connect.
package localapi

import "errors"

// ErrNotRunning says that no process listens on the socket: it does not exist,
// or the process that made it has ended.
var ErrNotRunning = errors.New("not running")

// ErrInUse says that another living process listens on the socket.
var ErrInUse = errors.New("another process listens on the control socket")

// ServerError is an answer that is not the document asked for.
type ServerError struct {
	// Code is the HTTP status code.
	Code int
	// Message is the sentence that the server sent, without its final newline.
	Message string
}

// Error returns the server's sentence.
func (e *ServerError) Error() string { return e.Message }
