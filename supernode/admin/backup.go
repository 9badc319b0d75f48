package admin

import (
	"context"
	"net/http"

	"hedgerow/internal/localapi"
)

const pathBackup = "/api/v1/backup"

// Copyable returns h with the action to copy what a supernode keeps, which do does: the
// content of a backup. It has the private key in it.
func Copyable(h http.Handler, do func(ctx context.Context) ([]byte, error)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("GET "+pathBackup, func(w http.ResponseWriter, r *http.Request) {
		b, err := do(r.Context())
		if err != nil {
			localapi.Refuse(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(b) // the only error left is a client that went away
	})
	return mux
}

// Backup fetches a copy of what a supernode keeps, of most bytes at most.
func (s Socket) Backup(ctx context.Context, most int64) ([]byte, error) {
	return localapi.Fetch(ctx, string(s), pathBackup, most)
}
