// Package admin is the local interface of a running supernode: its state as
// JSON over HTTP on a Unix socket of this machine. Whoever may open the socket
// may read; nothing can be changed through it.
package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"hedgerow/internal/localapi"
	"hedgerow/supernode"
)

// pathStatus is where the state is. A client of another version asks for the
// same path; an incompatible document would get a new one.
const pathStatus = "/api/v1/status"

// Source is what the handler asks: a running *supernode.Server.
type Source interface {
	// Status returns the present state. It is called from the goroutines of
	// requests.
	Status() supernode.Status
}

// Handler returns the HTTP handler that serves src.
func Handler(src Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathStatus, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// The only error left is a client that went away.
		_ = json.NewEncoder(w).Encode(src.Status())
	})
	return mux
}

// Socket is the calling side: the path of the Unix socket of a running
// supernode. Its errors are those of package localapi: ErrNotRunning when
// nothing listens there, and fs.ErrPermission when the socket may not be opened.
type Socket string

// Status fetches the state.
func (s Socket) Status(ctx context.Context) (supernode.Status, error) {
	var st supernode.Status
	err := localapi.Get(ctx, string(s), pathStatus, &st)
	return st, err
}
