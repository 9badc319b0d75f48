package admin

import (
	"context"
	"net/http"

	"hedgerow/internal/localapi"
)

const pathUpgrade = "/api/v1/upgrade"

// Upgrade asks a supernode to be replaced by another process while it serves.
type Upgrade struct {
	// Binary is the path of the program, which is absolute; empty: the one that the
	// supernode was started from.
	Binary string `json:"binary,omitempty"`
}

// Upgraded says that another process serves.
type Upgraded struct {
	// Pid is its number.
	Pid int `json:"pid"`
	// Version is the program's.
	Version string `json:"version"`
	// Sessions and Edges are what it has taken over.
	Sessions int `json:"sessions"`
	Edges    int `json:"edges"`
	// PauseS is for how long nothing was read, in seconds. What came waited.
	PauseS float64 `json:"pause_s"`
}

// Upgradable returns h with the action to be replaced, which do does.
func Upgradable(h http.Handler, do func(ctx context.Context, u Upgrade) (Upgraded, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("POST "+pathUpgrade, func(w http.ResponseWriter, r *http.Request) {
		answerAsked(w, r, func(u Upgrade) (Upgraded, error) { return do(r.Context(), u) })
	})
	return mux
}

// Upgrade has the supernode replaced. The error says why it was not, and that it serves on.
func (s Socket) Upgrade(ctx context.Context, u Upgrade) (done Upgraded, err error) {
	err = localapi.Ask(ctx, string(s), pathUpgrade, u, &done)
	return done, err
}
