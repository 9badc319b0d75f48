package localapi

import (
	"net/http"
	"net/http/pprof"
)

// HandleProfiles adds the profiles of this process (net/http/pprof) under
// /debug/pprof/. They belong on a local socket only: they show command lines and
// memory, and making one costs time.
func HandleProfiles(mux *http.ServeMux) {
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
}
