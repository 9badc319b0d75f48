package sim

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/supernode/admission"
)

// Edges that the operator removes know why within seconds, ask slowly, and are in again by
// themselves once they may.
func TestRulesOfTheOperator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 58)
		defer w.Close()
		sn := w.Supernode(supernodeAddr)
		var told events
		var edges []*Edge
		for n, name := range []string{"left", "right"} {
			edges = append(edges, w.Edge(w.Net.Host(netip.AddrFrom4([4]byte{198, 51, 100, byte(n + 1)})), Options{
				Name: name, Supernodes: []*Supernode{sn}, Report: told.add,
			}))
		}
		check := func(e *Edge, want control.SupernodeState, note string) {
			t.Helper()
			st := e.status()
			if notes := strings.Join(st.Notes, "|"); st.Supernodes[0].State != want || (note == "") != (notes == "") || !strings.Contains(notes, note) {
				t.Errorf("%s is %s with the notes %q, want %s and %q", e.options.Name, st.Supernodes[0].State, notes, want, note)
			}
		}
		time.Sleep(5 * time.Second)
		check(edges[0], control.StateRegistered, "")
		setRules := func(l admission.List, ended int) {
			t.Helper()
			rules, err := admission.NewRules(l)
			if err != nil {
				t.Fatal(err)
			}
			if n, err := sn.Server.SetRules(t.Context(), rules); n != ended || err != nil {
				t.Errorf("%d registrations ended, %v, want %d", n, err, ended)
			}
		}
		setRules(admission.List{Rules: []admission.Rule{{Verb: admission.Deny, Kind: admission.CommunityName, Subject: w.Community.Name}}}, len(edges))
		time.Sleep(5 * time.Second)
		for _, e := range edges {
			check(e, control.StateRefused, "[E07]")
		}
		time.Sleep(10 * time.Minute)
		if n := len(told.of(control.EventRefused)); n != len(edges) {
			t.Errorf("told %d times, want once each", n)
		}
		setRules(admission.List{}, 0)
		time.Sleep(65 * time.Second)
		for _, e := range edges {
			check(e, control.StateRegistered, "")
		}

		if n, err := sn.Server.Kick(t.Context(), edges[0].status().ID); n != 1 || err != nil {
			t.Errorf("%d sessions ended, %v", n, err)
		}
		time.Sleep(5 * time.Second)
		check(edges[0], control.StateRefused, "[E23]")
		check(edges[1], control.StateRegistered, "")
		time.Sleep(65 * time.Second)
		check(edges[0], control.StateRegistered, "")
		for _, e := range edges {
			e.Stop()
		}
		sn.Stop()
	})
}
