package metrics

import (
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"hedgerow/supernode/admin"
	"hedgerow/transport"
	"hedgerow/transport/stream"
)

// shown is a supernode in a state.
type shown struct {
	mu    sync.Mutex
	state admin.Status
}

func (s *shown) Status() admin.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (*shown) Counters() admin.Counters {
	return admin.Counters{Socket: &transport.Counters{Datagrams: 30, DatagramsOut: 40}}
}

func get(h http.Handler, path string) (code int, body string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// example is a state with something of everything.
func example() admin.Status {
	one, two := strings.Repeat("0f", 16), strings.Repeat("ab", 16)
	return admin.Status{
		Version: "1.2.3", Edges: 5, Leases: 7, Sessions: 9, Guests: 2, Streams: &stream.Status{Open: 3}, Notes: []string{"something"}, Serving: true,
		Communities: []admin.CommunityStatus{
			{ID: one, Label: "evil\"\n\xff", Edges: 4, Relayed: admin.Traffic{Packets: 1, Bytes: 100, Floods: 2, FloodBytes: 300}, Month: admin.Month{Used: 70}},
			{ID: two, Edges: 1, Limited: &admin.Excess{Packets: 6}},
		},
		Totals: admin.Totals{Communities: 2, Registered: 11, Relayed: admin.Traffic{Bytes: 500, FloodBytes: 600}, Month: admin.Month{Used: 80, Limit: 900}},
		Drops:  map[string]uint64{"open": 5, "register-mac-taken": 8},
	}
}

// ours are the lines of an answer that are not of the process or of Go.
func ours(body string) (lines []string) {
	for line := range strings.Lines(body) {
		if strings.Contains(line, "supernode_") {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestMetrics compares the text with testdata/metrics.text.
func TestMetrics(t *testing.T) {
	code, body := get(Handler(&shown{state: example()}), "/metrics")
	want, err := os.ReadFile("testdata/metrics.text")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(ours(body), ""); code != http.StatusOK || got != string(want) {
		t.Errorf("%d\n%s\nwant\n%s", code, got, want)
	}
	for _, name := range []string{"process_start_time_seconds ", "go_goroutines "} {
		if !strings.Contains(body, "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
	// Of a supernode that nobody has used.
	if code, body = get(Handler(&shown{}), "/metrics"); code != http.StatusOK || !slices.Contains(ours(body), "supernode_leases{state=\"here\"} 0\n") {
		t.Errorf("%d: %s", code, body)
	}
}

func TestHealthAndReadiness(t *testing.T) {
	for _, test := range []struct {
		path    string
		notes   []string
		serving bool
		code    int
		body    string
	}{
		{"/healthz", nil, true, 200, "ok\n"},
		{"/healthz", []string{"one\x1b", "two"}, true, 503, "one\uFFFD\ntwo\n"},
		{"/readyz", nil, true, 200, "ready\n"},
		{"/readyz", []string{"one"}, true, 200, "ready\none\n"},
		{"/readyz", []string{"one"}, false, 503, "edges are not served now\none\n"},
		{"/", nil, true, 404, "404 page not found\n"},
		{"/debug/pprof/", nil, true, 404, "404 page not found\n"},
	} {
		code, body := get(Handler(&shown{state: admin.Status{Notes: test.notes, Serving: test.serving}}), test.path)
		if code != test.code || body != test.body {
			t.Errorf("%s of %q, serving %v: %d %q", test.path, test.notes, test.serving, code, body)
		}
	}
	w := httptest.NewRecorder()
	Handler(&shown{}).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/healthz", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", w.Code)
	}
}
