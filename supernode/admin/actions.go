package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"hedgerow/internal/localapi"
)

// Where the actions are.
const (
	pathRules  = "/api/v1/rules"
	pathChange = "/api/v1/rules/change"
	pathReload = "/api/v1/reload"
)

// askedBytes bounds the body of a request: a path of Linux, the longest that one has, may
// take six times its 4096 bytes as JSON.
const askedBytes = 32 << 10

// Change asks for one more rule, or for a kick: its words, such as "ban", "edge" and
// "9f3a-71c2-e0b4".
type Change struct {
	Words []string `json:"words"`
}

// Changed is what a Change or a reload has led to.
type Changed struct {
	// Done says what was done.
	Done string `json:"done"`
	// Ended is how many registrations have ended because of it.
	Ended int `json:"ended"`
	// Notes are what was read and is not done.
	Notes []string `json:"notes"`
}

// Rules are who may register.
type Rules struct {
	// Mode is "open" or "closed".
	Mode string `json:"mode"`
	// Rules are those that hold, as text.
	Rules []string `json:"rules"`
	// Notes are what was read and is not done.
	Notes []string `json:"notes"`
}

// Actions are what a supernode can be asked to do. Every method is called from the
// goroutine of one request and returns early when its context ends.
type Actions interface {
	// Change changes who may register, durably. Its error is a sentence for the operator.
	Change(ctx context.Context, words []string) (Changed, error)
	// Reload reads the files of rules again. After an error the old ones hold.
	Reload(ctx context.Context) (Changed, error)
	// Rules returns who may register.
	Rules() Rules
	Invitations
}

// handleActions adds the actions to a handler.
func handleActions(mux *http.ServeMux, a Actions) {
	handleInvites(mux, a)
	mux.HandleFunc("GET "+pathRules, func(w http.ResponseWriter, _ *http.Request) { localapi.Answer(w, a.Rules()) })
	mux.HandleFunc("POST "+pathReload, func(w http.ResponseWriter, r *http.Request) {
		done, err := a.Reload(r.Context())
		answer(w, done, err)
	})
	mux.HandleFunc("POST "+pathChange, func(w http.ResponseWriter, r *http.Request) {
		answerAsked(w, r, func(c Change) (Changed, error) { return a.Change(r.Context(), c.Words) })
	})
}

// answerAsked answers what a request asks in its body.
func answerAsked[Q, A any](w http.ResponseWriter, r *http.Request, f func(Q) (A, error)) {
	var asked Q
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, askedBytes)).Decode(&asked); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	done, err := f(asked)
	answer(w, done, err)
}

// answer answers with what an action has led to, or with why it was not done.
func answer[A any](w http.ResponseWriter, done A, err error) {
	if err != nil {
		localapi.Refuse(w, err)
		return
	}
	localapi.Answer(w, done)
}

// Change asks for a change of who may register.
func (s Socket) Change(ctx context.Context, words []string) (Changed, error) {
	var done Changed
	err := localapi.Ask(ctx, string(s), pathChange, Change{Words: words}, &done)
	return done, err
}

// Reload has the files of rules read again.
func (s Socket) Reload(ctx context.Context) (Changed, error) {
	var done Changed
	err := localapi.Ask(ctx, string(s), pathReload, struct{}{}, &done)
	return done, err
}

// Rules fetches who may register.
func (s Socket) Rules(ctx context.Context) (Rules, error) {
	var rules Rules
	err := localapi.Get(ctx, string(s), pathRules, &rules)
	return rules, err
}
