package metrics

import (
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hedgerow/internal/format"
	"hedgerow/supernode/admin"
)

const (
	// mostScrapes is how many answers of /metrics are made at a time, and scrapeTime how
	// long one may take: each has up to admin.StatusCommunities communities.
	mostScrapes = 2
	scrapeTime  = 5 * time.Second
)

// Source is what the handler asks: the running supernode. Both are called from the
// goroutines of requests.
type Source interface {
	Status() admin.Status
	Counters() admin.Counters
}

// Handler returns the HTTP handler that serves src:
//
//	/metrics  the metrics of collector, and those of the process and of Go
//	/healthz  200 and "ok" if nothing stops or degrades what the supernode does, and
//	          otherwise 503 and a line for each thing, as 'supernode health'
//	/readyz   200 while edges are served, and otherwise 503; then the lines of /healthz
func Handler(src Source) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&collector{src}, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewGoCollector())
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: mostScrapes, Timeout: scrapeTime}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		st := src.Status()
		answer(w, len(st.Notes) == 0, "ok", "", st.Notes)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		st := src.Status()
		answer(w, st.Serving, "ready", "edges are not served now", st.Notes)
	})
	return mux
}

// answer writes a line that says whether it is good or bad, unless that is empty, and the
// notes.
func answer(w http.ResponseWriter, good bool, ifGood, ifBad string, notes []string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	first := ifGood
	if !good {
		w.WriteHeader(http.StatusServiceUnavailable)
		first = ifBad
	}
	if first != "" {
		_, _ = io.WriteString(w, first+"\n") // the only error is a client that went away
	}
	for _, note := range notes {
		_, _ = fmt.Fprintln(w, format.Printable(note))
	}
}
