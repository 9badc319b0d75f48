// Package admin is the local interface of a running supernode: its state as
// JSON over HTTP on a Unix socket of this machine, and the profiles of package
// net/http/pprof under /debug/pprof/, and changes of who may register. The mode of the
// socket decides who may do that. The documents are plain values: who reads or shows them
// needs no supernode.
package admin

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"hedgerow/internal/localapi"
)

// Where the documents are. A client of another version asks for the same paths;
// an incompatible document would get a new one.
const (
	pathStatus      = "/api/v1/status"
	pathCounters    = "/api/v1/counters"
	pathCommunities = "/api/v1/communities"
	pathEdges       = "/api/v1/edges"
)

// Source is what the handler asks: the running supernode.
type Source interface {
	// Status returns the present state. It is called from the goroutines of
	// requests.
	Status() Status
	// Counters returns what the packet loop has done, likewise.
	Counters() Counters
	// Communities returns some of the communities, from a place on, likewise.
	Communities(from int) Communities
	// Edges returns some of the edges, likewise: of the community with an id, or of all
	// if that is zero.
	Edges(community [16]byte, from int) Edges
}

// Handler returns the HTTP handler that serves src and does actions. It must not be served where
// strangers can reach it: a profile costs time and shows what the program does.
// (Package pprof has entered itself in http.DefaultServeMux as well, which no
// part of hedgerow serves.)
func Handler(src Source, actions Actions) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathStatus, func(w http.ResponseWriter, _ *http.Request) { localapi.Answer(w, src.Status()) })
	mux.HandleFunc("GET "+pathCounters, func(w http.ResponseWriter, _ *http.Request) { localapi.Answer(w, src.Counters()) })
	mux.HandleFunc("GET "+pathCommunities, func(w http.ResponseWriter, r *http.Request) {
		if _, from, ok := place(w, r); ok {
			localapi.Answer(w, src.Communities(from))
		}
	})
	mux.HandleFunc("GET "+pathEdges, func(w http.ResponseWriter, r *http.Request) {
		if community, from, ok := place(w, r); ok {
			localapi.Answer(w, src.Edges(community, from))
		}
	})
	handleActions(mux, actions)
	localapi.HandleProfiles(mux)
	return mux
}

// place reads ?community=ID&from=PLACE, both of which may be missing. What is neither is
// refused, and ok is false.
func place(w http.ResponseWriter, r *http.Request) (community [16]byte, from int, ok bool) {
	text := r.FormValue("community")
	id, err := hex.DecodeString(text)
	if ok = err == nil && (text == "" || len(id) == len(community)); !ok {
		http.Error(w, "community is not the id of one in hexadecimal", http.StatusBadRequest)
		return community, 0, false
	}
	copy(community[:], id)
	if text = r.FormValue("from"); text != "" {
		if from, err = strconv.Atoi(text); err != nil || from < 0 {
			http.Error(w, "from is not a place in the list", http.StatusBadRequest)
			return community, 0, false
		}
	}
	return community, from, true
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

// Communities fetches all communities, the largest first.
func (s Socket) Communities(ctx context.Context) (Communities, error) {
	all := Communities{Communities: []CommunityStatus{}}
	known := make(map[string]bool)
	for from := 0; ; {
		var part Communities
		if err := localapi.Get(ctx, string(s), fmt.Sprintf("%s?from=%d", pathCommunities, from), &part); err != nil {
			return all, err
		}
		all.UptimeS = part.UptimeS
		for _, c := range part.Communities {
			if !known[c.ID] {
				known[c.ID] = true
				all.Communities = append(all.Communities, c)
			}
		}
		if from = part.Next; from == 0 {
			slices.SortFunc(all.Communities, CommunityStatus.Compare)
			return all, nil
		}
	}
}

// Edges fetches all edges that are here of the community with an id in hexadecimal, or of
// every community if that is empty, by community and then by how long they have been here.
func (s Socket) Edges(ctx context.Context, community string) (Edges, error) {
	all := Edges{Edges: []Edge{}}
	known := make(map[EdgeKey]bool)
	for from := 0; ; {
		var part Edges
		if err := localapi.Get(ctx, string(s), fmt.Sprintf("%s?community=%s&from=%d", pathEdges, url.QueryEscape(community), from), &part); err != nil {
			return all, err
		}
		all.UptimeS = part.UptimeS
		for _, e := range part.Edges {
			if !known[e.Key()] {
				known[e.Key()] = true
				all.Edges = append(all.Edges, e)
			}
		}
		if from = part.Next; from == 0 {
			slices.SortFunc(all.Edges, Edge.Compare)
			return all, nil
		}
	}
}
