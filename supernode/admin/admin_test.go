package admin_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"hedgerow/internal/localapi"
	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

type source struct{ state admin.Status }

func (s source) Status() admin.Status { return s.state }

func (source) Counters() admin.Counters { return counters }

// Communities and Edges tell one in each document, the first of them twice.
func (s source) Communities(from int) admin.Communities {
	doc := admin.Communities{UptimeS: 7, Communities: []admin.CommunityStatus{{ID: fmt.Sprint(min(from, 2)), Edges: from}}}
	doc.Next = map[int]int{0: 3, 3: 2, 2: 1}[from]
	return doc
}

func (s source) Edges(community [16]byte, from int) admin.Edges {
	doc := admin.Edges{UptimeS: 7, Edges: []admin.Edge{{Community: fmt.Sprintf("%x", community[:1]), Identity: fmt.Sprint(min(from, 2))}}}
	doc.Next = map[int]int{0: 3, 3: 2, 2: 1}[from]
	return doc
}

// acts does nothing, and says what it was asked.
type acts struct{}

func (acts) Change(_ context.Context, words []string) (admin.Changed, error) {
	if len(words) == 0 {
		return admin.Changed{}, errors.New("say whom")
	}
	return admin.Changed{Done: strings.Join(words, " "), Ended: 3, Notes: []string{}}, nil
}

func (acts) Reload(context.Context) (admin.Changed, error) {
	return admin.Changed{Done: "open, 2 rules", Notes: []string{"line 1"}}, nil
}

func (acts) Invite(r admin.InviteRequest) (admin.Invited, error) {
	if r.Uses == 0 {
		return admin.Invited{}, errors.New("for whom?")
	}
	return admin.Invited{Invite: invite, Token: r.Community, Port: 7, Needed: true}, nil
}

func (acts) Invites() []admin.Invite { return []admin.Invite{invite} }

func (acts) Uninvite(_ context.Context, id string) (admin.Uninvited, error) {
	if id != invite.ID {
		return admin.Uninvited{}, errors.New("no such invite")
	}
	return admin.Uninvited{Invite: invite, Ended: 2}, nil
}

var invite = admin.Invite{ID: "00ff", Community: "a", Uses: 3, Used: []admin.InviteUse{{Identity: "11"}}}

func (acts) Rules() admin.Rules {
	return admin.Rules{Mode: "closed", Rules: []string{"allow community a"}}
}

var counters = admin.Counters{
	Socket: &transport.Counters{Reads: 3, Messages: 9}, Sleeps: 2,
	ReceivedTrains: admin.TrainSizes{1, 0, 2}, SentTrains: admin.TrainSizes{7: 4}, Drops: map[string]uint64{"open": 5},
}

var state = admin.Status{
	Version: "1.2.3", Listen: netip.MustParseAddrPort("[::]:7654"), Key: "abc", UptimeS: 12.5,
	Edges: 2, Leases: 3, Sessions: 4, Guests: 1,
	Communities: []admin.CommunityStatus{{
		ID: "00ff", Edges: 2, Leases: 3, Pool: netip.MustParsePrefix("10.64.0.0/20"),
		Relayed: admin.Traffic{Packets: 7, Bytes: 800, Floods: 9},
	}},
	Drops: map[string]uint64{"open": 5},
}

func TestDocumentsOverTheSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := localapi.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- localapi.ServeListener(ctx, l, admin.Handler(source{state}, acts{})) }()
	got, err := admin.Socket(path).Status(ctx)
	if err != nil || !reflect.DeepEqual(got, state) {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := admin.Socket(path).Counters(ctx); err != nil || !reflect.DeepEqual(got, counters) {
		t.Errorf("got %+v, %v", got, err)
	}
	communities, err := admin.Socket(path).Communities(ctx)
	if want := (admin.Communities{UptimeS: 7, Communities: []admin.CommunityStatus{{ID: "2", Edges: 3}, {ID: "1", Edges: 1}, {ID: "0"}}}); err != nil || !reflect.DeepEqual(communities, want) {
		t.Errorf("got %+v, %v", communities, err)
	}
	edges, err := admin.Socket(path).Edges(ctx, "ab000000000000000000000000000000")
	if want := (admin.Edges{UptimeS: 7, Edges: []admin.Edge{{Community: "ab", Identity: "0"}, {Community: "ab", Identity: "1"}, {Community: "ab", Identity: "2"}}}); err != nil || !reflect.DeepEqual(edges, want) {
		t.Errorf("got %+v, %v", edges, err)
	}
	var refused *localapi.ServerError
	if _, err := admin.Socket(path).Edges(ctx, "a&b"); !errors.As(err, &refused) || refused.Code != http.StatusBadRequest {
		t.Errorf("of no community: %v", err)
	}
	if got, err := admin.Socket(path).Change(ctx, []string{"ban", "x y"}); err != nil || got.Done != "ban x y" || got.Ended != 3 {
		t.Errorf("change: %+v, %v", got, err)
	}
	var answer *localapi.ServerError
	if _, err := admin.Socket(path).Change(ctx, nil); !errors.As(err, &answer) || answer.Message != "say whom" {
		t.Errorf("a change that is refused: %v", err)
	}
	if got, err := admin.Socket(path).Reload(ctx); err != nil || len(got.Notes) != 1 {
		t.Errorf("reload: %+v, %v", got, err)
	}
	if got, err := admin.Socket(path).Rules(ctx); err != nil || got.Mode != "closed" || len(got.Rules) != 1 {
		t.Errorf("rules: %+v, %v", got, err)
	}
	made, err := admin.Socket(path).Invite(ctx, admin.InviteRequest{Community: "a", Uses: 3})
	if want := (admin.Invited{Invite: invite, Token: "a", Port: 7, Needed: true}); err != nil || !reflect.DeepEqual(made, want) {
		t.Errorf("got %+v, %v", made, err)
	}
	if _, err := admin.Socket(path).Invite(ctx, admin.InviteRequest{}); !errors.As(err, &answer) || answer.Message != "for whom?" {
		t.Errorf("an invite that is refused: %v", err)
	}
	if list, err := admin.Socket(path).Invites(ctx); err != nil || !reflect.DeepEqual(list, []admin.Invite{invite}) {
		t.Errorf("got %+v, %v", list, err)
	}
	if gone, err := admin.Socket(path).Uninvite(ctx, "00ff"); err != nil || gone.Ended != 2 || gone.Community != "a" {
		t.Errorf("got %+v, %v", gone, err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := admin.Socket(path).Status(t.Context()); !errors.Is(err, localapi.ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}

func TestHandler(t *testing.T) {
	for _, test := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/api/v1/status", http.StatusOK},
		{"GET", "/api/v1/counters", http.StatusOK},
		{"GET", "/api/v1/communities", http.StatusOK},
		{"GET", "/api/v1/communities?from=-1", http.StatusBadRequest},
		{"GET", "/api/v1/edges?from=7", http.StatusOK},
		{"GET", "/api/v1/edges?from=x", http.StatusBadRequest},
		{"GET", "/api/v1/edges?community=ab", http.StatusBadRequest},
		{"POST", "/api/v1/edges", http.StatusMethodNotAllowed},
		{"GET", "/debug/pprof/", http.StatusOK},
		{"GET", "/debug/pprof/heap", http.StatusOK},
		{"GET", "/debug/pprof/trace?seconds=0.001", http.StatusOK},
		{"GET", "/debug/pprof/nonsense", http.StatusNotFound},
		{"POST", "/debug/pprof/heap", http.StatusMethodNotAllowed},
		{"POST", "/api/v1/status", http.StatusMethodNotAllowed},
		{"GET", "/api/v1/rules", http.StatusOK},
		{"POST", "/api/v1/rules", http.StatusMethodNotAllowed},
		{"POST", "/api/v1/reload", http.StatusOK},
		{"GET", "/api/v1/reload", http.StatusMethodNotAllowed},
		{"POST", "/api/v1/rules/change", http.StatusBadRequest},
		{"GET", "/api/v1/invites", http.StatusOK},
		{"POST", "/api/v1/invites/new", http.StatusBadRequest},
		{"GET", "/api/v1/invites/remove", http.StatusMethodNotAllowed},
		{"GET", "/", http.StatusNotFound},
	} {
		w := httptest.NewRecorder()
		admin.Handler(source{state}, acts{}).ServeHTTP(w, httptest.NewRequest(test.method, test.path, nil))
		if w.Code != test.code {
			t.Errorf("%s %s: %d, want %d", test.method, test.path, w.Code, test.code)
		}
	}
	w := httptest.NewRecorder()
	admin.Handler(source{}, acts{}).ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/status", nil))
	var document map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &document); err != nil || document["edges"] != 0.0 {
		t.Errorf("%v: %s", err, w.Body)
	}
}
