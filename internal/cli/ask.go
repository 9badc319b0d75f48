package cli

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"

	"hedgerow/internal/format"
	"hedgerow/internal/localapi"
)

// PrintJSON writes a document for another program, indented, so that people can read
// it as well.
func PrintJSON(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(document)
}

// SocketRemoved says that a program runs whose control socket was removed.
func SocketRemoved(program, socket string) error {
	return Errorf(Failure, "", "the %s of %s runs and serves, but somebody has removed that socket, so it cannot be asked. Start it again, which makes the socket anew.", program, socket)
}

// CallError puts into words why a running program did not answer a question through
// its control socket.
func CallError(program, socket string, err error) error {
	var answer *localapi.ServerError
	switch {
	case errors.Is(err, localapi.ErrNotRunning):
		return Errorf(Failure, "", "no %s is running at %s.", program, socket)
	case errors.Is(err, localapi.ErrRemoved):
		return SocketRemoved(program, socket)
	case errors.Is(err, fs.ErrPermission):
		return Errorf(Permission, "", "no permission on %s: run this with sudo, or join the group that owns it.", socket)
	case errors.As(err, &answer):
		return Errorf(Failure, "", "the %s at %s says: %s", program, socket, format.Printable(answer.Message))
	}
	return Errorf(Failure, "", "%w", err)
}
