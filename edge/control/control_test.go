package control

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hedgerow/internal/localapi"
)

// still is a Source with fixed answers.
type still struct {
	status  Status
	peers   []Peer
	keys    Keys
	err     error
	reloads int

	counters Counters
	fdb      FDB
	routes   Routes
	members  Members
	adopted  []byte
}

func (s *still) Status(context.Context) (Status, error)  { return s.status, s.err }
func (s *still) Peers(context.Context) ([]Peer, error)   { return s.peers, s.err }
func (s *still) FDB(context.Context) (FDB, error)        { return s.fdb, s.err }
func (s *still) Routes(context.Context) (Routes, error)  { return s.routes, s.err }
func (s *still) KeyStatus(context.Context) (Keys, error) { return s.keys, s.err }
func (s *still) Counters(context.Context) (Counters, error) {
	return s.counters, s.err
}
func (s *still) Ping(_ context.Context, q PingRequest) (Ping, error) {
	return Ping{Name: q.Peer, Size: q.Size, Answered: true, PathStatus: PathStatus{Path: PathRelay, Kind: KindTLS, Via: "vps.example:7654", RTTms: number(41)}}, s.err
}
func (s *still) Members(context.Context) (Members, error) { return s.members, s.err }
func (s *still) AdoptMembers(_ context.Context, file []byte) error {
	s.adopted = file
	return s.err
}
func (s *still) Reload(context.Context) error { s.reloads++; return s.err }

func number(f float64) *float64 { return &f }

func sample() *still {
	ki := uint8(0)
	roll := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	return &still{
		status: Status{
			Community: "mynetwork", Version: "0.1.0", ID: "9f3a-71c2-e0b4", Device: "edge0", MAC: "02:5c:1e:9a:40:11", MTU: 1370,
			Prefixes: []string{"10.64.0.7/24"}, UptimeS: 1.5,
			Supernodes: []SupernodeStatus{{Name: "vps.example:7654", Addr: "203.0.113.10:7654", State: StateRegistered, RTTms: number(23), ID: "ab"}},
			Peers:      PeerCount{Seen: 2, Direct: 1, Relayed: 1}, Traffic: Traffic{InFrames: 1, InBytes: 2, OutFrames: 3, OutBytes: 4},
			Drops: map[string]uint64{"replay": 1}, Mapping: "endpoint-independent", Notes: []string{"a note"},
		},
		peers: []Peer{{Name: "a", ID: "1", MAC: "2", IPs: []string{"10.64.0.3"},
			PathStatus: PathStatus{Path: PathDirect, Kind: "reflexive", Endpoint: "198.51.100.4:41641", RTTms: number(18.5)},
			SinceS:     number(7), Payload: 1439, RxBytes: 9, TxBytes: 8, LastSeenS: number(0.5), Hosts: 3, Handle: 7}},
		keys: Keys{Community: "mynetwork", Source: "file", Active: &ki, Acceptable: []uint8{0, 1}, Next: &roll, Ends: &roll,
			Warning: "soon", Epochs: []Epoch{{Index: 0, Until: &roll, Transform: "auto"}}},
		fdb:      FDB{Stations: []Station{{MAC: "52:54:00:00:00:01", VLAN: 10, Edge: "a", ID: "1", AgeS: 1.5, How: "heard", Moves: 2}}, Totals: FDBTotals{Entries: 1, Size: 2, Unknown: 3}},
		routes:   Routes{Announced: []string{"10.1.0.0/16"}, Routes: []Route{{Prefix: "192.168.7.0/24", Edge: "a", ID: "1", Via: "10.64.0.3", State: RouteRefused, Why: "is public", Cost: 96}}},
		counters: Counters{Drops: map[string]uint64{"open": 1}, Queues: []QueueCounters{{Sleeps: 3, Frames: &FrameCounters{Reads: 1, In: 1}, Datagrams: &DatagramCounters{Writes: 1, Out: 46, TrainsOut: 1}}}},
	}
}

func TestRoundTrip(t *testing.T) {
	src := sample()
	path := filepath.Join(t.TempDir(), "edge.sock")
	l, err := localapi.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- localapi.ServeListener(ctx, l, Handler(src)) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	socket := Socket(path)

	status, err := socket.Status(ctx)
	if diff := cmp.Diff(src.status, status); err != nil || diff != "" {
		t.Errorf("status: %v %s", err, diff)
	}
	peers, err := socket.Peers(ctx)
	if diff := cmp.Diff(src.peers, peers); err != nil || diff != "" {
		t.Errorf("peers: %v %s", err, diff)
	}
	keys, err := socket.KeyStatus(ctx)
	if diff := cmp.Diff(src.keys, keys); err != nil || diff != "" {
		t.Errorf("keys: %v %s", err, diff)
	}
	counters, err := socket.Counters(ctx)
	if diff := cmp.Diff(src.counters, counters); err != nil || diff != "" {
		t.Errorf("counters: %v %s", err, diff)
	}
	fdb, err := socket.FDB(ctx)
	if diff := cmp.Diff(src.fdb, fdb); err != nil || diff != "" {
		t.Errorf("fdb: %v %s", err, diff)
	}
	routes, err := socket.Routes(ctx)
	if diff := cmp.Diff(src.routes, routes); err != nil || diff != "" {
		t.Errorf("routes: %v %s", err, diff)
	}
	ping, err := socket.Ping(ctx, PingRequest{Peer: "a", Size: 100})
	if want, _ := src.Ping(ctx, PingRequest{Peer: "a", Size: 100}); err != nil || cmp.Diff(want, ping) != "" {
		t.Errorf("ping: %v %+v", err, ping)
	}
	if err := socket.Reload(ctx); err != nil || src.reloads != 1 {
		t.Errorf("reload: %v, %d", err, src.reloads)
	}

	src.err = errors.New("edge: not running")
	var answer *localapi.ServerError
	if _, err := socket.Status(ctx); !errors.As(err, &answer) || answer.Message != src.err.Error() {
		t.Errorf("an error of the edge came as %v", err)
	}
	answer = nil
	if _, err := socket.Ping(ctx, PingRequest{Peer: "a"}); !errors.As(err, &answer) || answer.Message != src.err.Error() {
		t.Errorf("an error of ping came as %v", err)
	}
	if err := socket.Reload(ctx); !errors.As(err, &answer) {
		t.Errorf("an error of reload came as %v", err)
	}
}

func TestNobodyThere(t *testing.T) {
	socket := Socket(filepath.Join(t.TempDir(), "edge.sock"))
	if _, err := socket.Status(t.Context()); !errors.Is(err, localapi.ErrNotRunning) {
		t.Errorf("%v, want ErrNotRunning", err)
	}
	if _, err := socket.Ping(t.Context(), PingRequest{}); !errors.Is(err, localapi.ErrNotRunning) {
		t.Errorf("%v, want ErrNotRunning", err)
	}
}

// A question that is none, or too long, is refused.
func TestQuestions(t *testing.T) {
	for _, body := range []string{"", "[]", `{"peer":1}`, `{"peer":"` + strings.Repeat("x", questionBytes) + `"}`} {
		rec := httptest.NewRecorder()
		Handler(&still{}).ServeHTTP(rec, httptest.NewRequest(http.MethodPost, pathPing, strings.NewReader(body)))
		if rec.Code != http.StatusBadRequest {
			t.Errorf("%.20q: %d", body, rec.Code)
		}
	}
}

// TestFields holds the names that scripts rely on.
func TestFields(t *testing.T) {
	handler := Handler(&still{peers: []Peer{{}}})
	for path, want := range map[string][]string{
		pathPeers:  {"name", "id", "mac", "ips", "path", "endpoint", "rtt_ms", "rx_bytes", "tx_bytes", "last_seen_s"},
		pathStatus: {"community", "version", "device", "mac", "mtu", "prefixes", "uptime_s", "supernodes", "key_index", "peers", "traffic", "drops", "notes"},
		pathKeys:   {"community", "active", "acceptable", "epochs"},

		pathCounters: {"queues", "long", "drops"},
		pathFDB:      {"stations", "totals"},
	} {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		body := rec.Body.Bytes()
		if body[0] == '[' {
			body = body[1 : len(body)-2]
		}
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatal(err)
		}
		for _, name := range want {
			if _, ok := fields[name]; !ok {
				t.Errorf("%s has no %q: %s", path, name, rec.Body)
			}
		}
	}
}

func TestEmptyPeersIsAList(t *testing.T) {
	rec := httptest.NewRecorder()
	Handler(&still{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, pathPeers, nil))
	if got := rec.Body.String(); got != "[]\n" {
		t.Errorf("%q, want an empty list", got)
	}
}

// TestProfiles checks that the profiles of the process are there, and only read.
func TestProfiles(t *testing.T) {
	handler := Handler(&still{})
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/heap?debug=1"} {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if rec.Code != http.StatusOK || rec.Body.Len() == 0 {
			t.Errorf("%s: %d, %d bytes", path, rec.Code, rec.Body.Len())
		}
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/debug/pprof/", nil))
	if rec.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", rec.Code)
	}
}

func TestMethods(t *testing.T) {
	for _, tt := range []struct {
		method, path string
		code         int
	}{
		{http.MethodGet, pathReload, http.StatusMethodNotAllowed},
		{http.MethodGet, pathPing, http.StatusMethodNotAllowed},
		{http.MethodPost, pathStatus, http.StatusMethodNotAllowed},
		{http.MethodGet, "/", http.StatusNotFound},
	} {
		rec := httptest.NewRecorder()
		Handler(&still{}).ServeHTTP(rec, httptest.NewRequest(tt.method, tt.path, nil))
		if rec.Code != tt.code {
			t.Errorf("%s %s: %d, want %d", tt.method, tt.path, rec.Code, tt.code)
		}
	}
}

func TestIndices(t *testing.T) {
	for _, list := range []Indices{nil, {0}, {3, 4, 254}} {
		b, err := json.Marshal(list)
		if err != nil || b[0] != '[' {
			t.Fatalf("%s, %v", b, err)
		}
		var back Indices
		if err := json.Unmarshal(b, &back); err != nil || len(back) != len(list) {
			t.Errorf("%s became %v, %v", b, back, err)
		}
	}
	for _, bad := range []string{`[256]`, `[-1]`, `"BAU="`, `{}`} {
		if err := json.Unmarshal([]byte(bad), new(Indices)); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
