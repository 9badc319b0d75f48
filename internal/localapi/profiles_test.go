package localapi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestProfiles asks for the profiles by GET, and by POST, which is refused.
func TestProfiles(t *testing.T) {
	mux := http.NewServeMux()
	HandleProfiles(mux)
	for _, c := range []struct {
		method, path string
		code         int
		has          string
	}{
		{http.MethodGet, "/debug/pprof/", http.StatusOK, "goroutine"},
		{http.MethodGet, "/debug/pprof/goroutine?debug=1", http.StatusOK, "goroutine profile"},
		{http.MethodGet, "/debug/pprof/symbol", http.StatusOK, "num_symbols"},
		{http.MethodPost, "/debug/pprof/", http.StatusMethodNotAllowed, ""},
		{http.MethodGet, "/", http.StatusNotFound, ""},
	} {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.has) {
			t.Errorf("%s %s: %d, %.80q", c.method, c.path, w.Code, w.Body)
		}
	}
}

// TestServerError shows the server's sentence as it came.
func TestServerError(t *testing.T) {
	if got := (&ServerError{Code: http.StatusNotFound, Message: "no such peer"}).Error(); got != "no such peer" {
		t.Error(got)
	}
}
