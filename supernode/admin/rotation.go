package admin

import (
	"context"
	"net/http"
	"time"

	"hedgerow/internal/localapi"
)

const pathRotate = "/api/v1/rotate"

// Rotation is the key of a supernode that takes the place of a former one.
type Rotation struct {
	// Key is the key, and Former the one before, which answers as well.
	Key    string `json:"key"`
	Former string `json:"former"`
	// Since is when the key was made.
	Since time.Time `json:"since"`
	// Edges is how many are here, and Old how many of them by the former key. Some names the
	// first few of those.
	Edges int      `json:"edges"`
	Old   int      `json:"old"`
	Some  []string `json:"some,omitempty"`
}

// Rotate asks a supernode for a new key, or to end the use of the former one.
type Rotate struct {
	// End ends the use of the former key; Force does while edges use it.
	End   bool `json:"end"`
	Force bool `json:"force"`
}

// Rotated is what a Rotate has led to.
type Rotated struct {
	// Rotation is as in Status; nil: one key answers.
	Rotation *Rotation `json:"rotation"`
}

// Rotatable returns h with the action to change the key, which do does.
func Rotatable(h http.Handler, do func(r Rotate) (Rotated, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("POST "+pathRotate, func(w http.ResponseWriter, r *http.Request) { answerAsked(w, r, do) })
	return mux
}

// Rotate has the key changed, or the use of the former one ended.
func (s Socket) Rotate(ctx context.Context, r Rotate) (done Rotated, err error) {
	err = localapi.Ask(ctx, string(s), pathRotate, r, &done)
	return done, err
}
