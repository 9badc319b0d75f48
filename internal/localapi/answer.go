package localapi

import (
	"encoding/json"
	"net/http"
)

// Failure is the document of a request that failed.
type Failure struct {
	// Error is the sentence to show.
	Error string `json:"error"`
}

// Answer sends a document as JSON.
func Answer(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	// The only error left is a client that went away.
	_ = json.NewEncoder(w).Encode(document)
}

// Refuse answers with the sentence of err and status 500. The caller gets it as a
// *ServerError.
func Refuse(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusInternalServerError)
	_ = json.NewEncoder(w).Encode(Failure{Error: err.Error()})
}
