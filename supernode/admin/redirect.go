package admin

import (
	"context"
	"net/http"

	"hedgerow/internal/localapi"
)

const pathMove = "/api/v1/move"

// Redirect is where edges are sent by a supernode that moves.
type Redirect struct {
	// Place is the host and the port there.
	Place string `json:"place"`
	// Edges is how many are here, and Noted how many of them have noted it. An edge of an
	// older version does not.
	Edges int `json:"edges"`
	Noted int `json:"noted"`
}

// Move asks a supernode to tell its edges where it is found from now on.
type Move struct {
	// Host is a name or an IP address; empty: it stays where it is.
	Host string `json:"host"`
	// Port is the UDP port there; 0: its own.
	Port uint16 `json:"port"`
}

// Moved is what edges are told.
type Moved struct {
	// Redirect is where they are sent; nil: nowhere.
	Redirect *Redirect `json:"redirect"`
}

// Movable returns h with the action to tell edges of another place, which do does.
func Movable(h http.Handler, do func(m Move) (Moved, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("POST "+pathMove, func(w http.ResponseWriter, r *http.Request) { answerAsked(w, r, do) })
	return mux
}

// Move has edges told where the supernode is found from now on.
func (s Socket) Move(ctx context.Context, m Move) (done Moved, err error) {
	err = localapi.Ask(ctx, string(s), pathMove, m, &done)
	return done, err
}
