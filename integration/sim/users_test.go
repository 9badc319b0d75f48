package sim

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/password"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/users"
)

// A closed supernode lets in who knows the password of a user, also after both have started
// again, and says to others what is wrong; once the user is denied, whoever came by the
// password goes.
func TestUsersOfSupernode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 58)
		defer w.Close()
		hash, err := password.Hash("correct horse", rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		closed, err := admission.NewRules(admission.List{Mode: admission.Closed, Rules: []admission.Rule{
			{Verb: admission.Allow, Kind: admission.User, Subject: "ana", Hash: hash},
		}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), users.FileName)
		book, keep := openUsers(t, path)
		sn := w.SupernodeWith(Beside{Rules: closed, Proofs: admission.Proofs{Users: book}}, supernodeAddr)
		start := func(n byte, user, word string) *Edge {
			return w.Edge(w.Net.Host(netip.AddrFrom4([4]byte{198, 51, 100, n})), Options{
				Name: user + word, Supernodes: []*Supernode{sn}, Around: Around{User: [2]string{user, word}},
			})
		}
		right := start(1, "ana", "correct horse")
		others := []*Edge{start(2, "ana", "correct house"), start(3, "bob", "correct horse"), start(4, "", "")}
		time.Sleep(5 * time.Second)
		right.Stop()
		right.Start()
		sn.Stop()
		keep()
		sn.beside.Proofs.Users, keep = openUsers(t, path)
		sn.Start()
		time.Sleep(time.Minute)
		if s := right.status(); s.Supernodes[0].State != control.StateRegistered || len(s.Notes) != 0 {
			t.Errorf("who knows the password is %s with the notes %q", s.Supernodes[0].State, s.Notes)
		}
		for i, want := range []string{"--password-file", "--password-file", "E07"} {
			s := others[i].status()
			if s.Supernodes[0].State == control.StateRegistered || !strings.Contains(strings.Join(s.Notes, "|"), want) {
				t.Errorf("%s is %s with the notes %q", others[i].options.Name, s.Supernodes[0].State, s.Notes)
			}
		}
		none, err := admission.NewRules(admission.List{Mode: admission.Closed})
		if err != nil {
			t.Fatal(err)
		}
		if ended, err := sn.Server.SetRules(t.Context(), none); err != nil || ended != 1 {
			t.Errorf("%d registrations ended, %v", ended, err)
		}
		time.Sleep(10 * time.Second)
		if s := right.status(); s.Supernodes[0].State == control.StateRegistered {
			t.Errorf("the user is denied, and the edge is %s", s.Supernodes[0].State)
		}
		for _, e := range append(others, right) {
			e.Stop()
		}
		keep()
		sn.Stop()
	})
}

// openUsers opens who has shown a password, and keeps it until end is called.
func openUsers(t *testing.T, path string) (b *users.Book, end func()) {
	t.Helper()
	b, err := users.Open(time.Now(), users.Config{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p := start(func(ctx context.Context) error { b.Run(ctx); return nil })
	return b, func() { _ = p.stop() }
}
