// Package admin is the local interface of a running supernode: its state as
// JSON over HTTP on a Unix socket of this machine, and the profiles of package
// net/http/pprof under /debug/pprof/. Whoever may open the socket may read;
// nothing can be changed through it. The documents are plain values: who reads or
// shows them needs no supernode.
package admin

import (
	"context"
	"net/http"

	"hedgerow/internal/localapi"
)

// Where the documents are. A client of another version asks for the same paths;
// an incompatible document would get a new one.
const (
	pathStatus   = "/api/v1/status"
	pathCounters = "/api/v1/counters"
)

// Source is what the handler asks: the running supernode.
type Source interface {
	// Status returns the present state. It is called from the goroutines of
	// requests.
	Status() Status
	// Counters returns what the packet loop has done, likewise.
	Counters() Counters
}

// Handler returns the HTTP handler that serves src. It must not be served where
// strangers can reach it: a profile costs time and shows what the program does.
// (Package pprof has entered itself in http.DefaultServeMux as well, which no
// part of hedgerow serves.)
func Handler(src Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathStatus, func(w http.ResponseWriter, _ *http.Request) { localapi.Answer(w, src.Status()) })
	mux.HandleFunc("GET "+pathCounters, func(w http.ResponseWriter, _ *http.Request) { localapi.Answer(w, src.Counters()) })
	localapi.HandleProfiles(mux)
	return mux
}

// Socket is the calling side: the path of the Unix socket of a running
// supernode. Its errors are those of package localapi: ErrNotRunning when
// nothing listens there, and fs.ErrPermission when the socket may not be opened.
type Socket string

// Status fetches the state.
func (s Socket) Status(ctx context.Context) (Status, error) {
	var st Status
	err := localapi.Get(ctx, string(s), pathStatus, &st)
	return st, err
}

// Counters fetches what the packet loop has done.
func (s Socket) Counters(ctx context.Context) (Counters, error) {
	var c Counters
	err := localapi.Get(ctx, string(s), pathCounters, &c)
	return c, err
}
