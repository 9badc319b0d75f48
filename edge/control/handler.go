package control

import (
	"context"
	"encoding/json"
	"net/http"

	"hedgerow/internal/localapi"
)

// The paths of the interface. A client of another version asks for the same
// paths; an incompatible interface would get new ones.
const (
	pathStatus = "/api/v1/status"
	pathPeers  = "/api/v1/peers"
	pathKeys   = "/api/v1/keys"
	pathFDB    = "/api/v1/fdb"
	pathRoutes = "/api/v1/routes"

	pathMembers = "/api/v1/members"
	pathPing    = "/api/v1/ping"
	pathReload  = "/api/v1/reload"

	pathCounters = "/api/v1/counters"
)

// Source is what the handler asks: the running edge. Every method is called
// from the goroutine of one request and returns early when its context ends.
type Source interface {
	Documents
	Actions
}

// Documents are what is shown of an edge.
type Documents interface {
	// Status returns the state of the edge.
	Status(ctx context.Context) (Status, error)
	// Peers returns the known peers, in the order in which they are to be
	// shown.
	Peers(ctx context.Context) ([]Peer, error)
	// FDB returns the forwarding database.
	FDB(ctx context.Context) (FDB, error)
	// Routes returns the networks behind other edges.
	Routes(ctx context.Context) (Routes, error)
	// Members returns the list of members.
	Members(ctx context.Context) (Members, error)
	// KeyStatus returns the state of the key schedule.
	KeyStatus(ctx context.Context) (Keys, error)
	// Counters returns what the data path has done.
	Counters(ctx context.Context) (Counters, error)
}

// Actions are what an edge can be asked to do.
type Actions interface {
	// Ping sends one ping to a peer and waits for what becomes of it.
	Ping(ctx context.Context, q PingRequest) (Ping, error)
	// Reload reads the community's keys anew.
	Reload(ctx context.Context) error
	// AdoptMembers takes a list of members, and keys, that the authority has signed.
	AdoptMembers(ctx context.Context, file []byte) error
}

// Bounds of the bodies of requests: of questions, and of one with a list of members.
const (
	questionBytes = 4 << 10
	listBytes     = 2 << 20
)

// Handler returns the HTTP handler that serves src.
func Handler(src Source) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+pathStatus, document(src.Status))
	mux.Handle("GET "+pathPeers, document(func(ctx context.Context) ([]Peer, error) {
		peers, err := src.Peers(ctx)
		if peers == nil {
			peers = []Peer{} // an empty list is [], never null
		}
		return peers, err
	}))
	mux.Handle("GET "+pathFDB, document(src.FDB))
	mux.Handle("GET "+pathRoutes, document(src.Routes))
	mux.Handle("GET "+pathMembers, document(src.Members))
	mux.HandleFunc("POST "+pathMembers, func(w http.ResponseWriter, r *http.Request) {
		var file []byte
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, listBytes)).Decode(&file); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if err := src.AdoptMembers(r.Context(), file); err != nil {
			localapi.Refuse(w, err)
			return
		}
		localapi.Answer(w, struct{}{})
	})
	mux.Handle("GET "+pathKeys, document(src.KeyStatus))
	mux.Handle("GET "+pathCounters, document(src.Counters))
	localapi.HandleProfiles(mux)
	mux.HandleFunc("POST "+pathPing, func(w http.ResponseWriter, r *http.Request) {
		var q PingRequest
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, questionBytes)).Decode(&q); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		document(func(ctx context.Context) (Ping, error) { return src.Ping(ctx, q) })(w, r)
	})
	mux.HandleFunc("POST "+pathReload, func(w http.ResponseWriter, r *http.Request) {
		if err := src.Reload(r.Context()); err != nil {
			localapi.Refuse(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}

// document serves the result of get as JSON.
func document[T any](get func(context.Context) (T, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := get(r.Context())
		if err != nil {
			localapi.Refuse(w, err)
			return
		}
		localapi.Answer(w, v)
	}
}
