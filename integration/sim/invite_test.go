package sim

import (
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/internal/invite"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/invites"
)

// A closed supernode lets in who shows an invite: the first edge, after its restart too, and
// no second one with the same, none with one that has expired, and the first one no more
// once it is taken back. A supernode that starts again knows all of it.
func TestInvites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 57)
		defer w.Close()
		path := filepath.Join(t.TempDir(), invites.FileName)
		closed, err := admission.NewRules(admission.List{Mode: admission.Closed})
		if err != nil {
			t.Fatal(err)
		}
		ledger, keep := openInvites(t, path)
		sn := w.SupernodeWith(Beside{Rules: closed, Proofs: admission.Proofs{Tokens: ledger}}, supernodeAddr)
		once, over := invite.Token{1}, invite.Token{2}
		made := makeInvite(t, ledger, w.Community, once, time.Hour)
		makeInvite(t, ledger, w.Community, over, time.Second)
		time.Sleep(time.Second)

		var told events
		start := func(n byte, name string, token []byte) *Edge {
			return w.Edge(w.Net.Host(netip.AddrFrom4([4]byte{198, 51, 100, n})), Options{
				Name: name, Supernodes: []*Supernode{sn}, Report: told.add, Around: Around{Token: token},
			})
		}
		first := start(1, "first", once[:])
		time.Sleep(5 * time.Second)
		if s := first.status().Supernodes[0].State; s != control.StateRegistered {
			t.Fatalf("the first edge is %s; told %v", s, told.of(control.EventRefused))
		}
		others := []*Edge{start(2, "second", once[:]), start(3, "late", over[:]), start(4, "without", nil)}
		first.Stop()
		first.Start()
		keep() // what was told is on the disk
		sn.Stop()
		ledger, keep = openInvites(t, path)
		sn.beside.Proofs.Tokens = ledger
		sn.Start()
		time.Sleep(time.Minute)
		if s := first.status().Supernodes[0].State; s != control.StateRegistered {
			t.Errorf("after restarts the first edge is %s", s)
		}
		if n := len(told.of(control.EventRefused)); n != len(others) {
			t.Errorf("%d edges were told that they are refused, want %d: %v", n, len(others), told.of(control.EventRefused))
		}
		for _, e := range others {
			if s := e.status().Supernodes[0].State; s == control.StateRegistered {
				t.Errorf("%s is registered", e.options.Name)
			}
		}
		if _, err := ledger.Remove(made); err != nil {
			t.Fatal(err)
		}
		if ended, err := sn.Server.Review(t.Context()); err != nil || ended != 1 {
			t.Errorf("%d registrations ended, %v", ended, err)
		}
		time.Sleep(5 * time.Second)
		if s := first.status(); s.Supernodes[0].State == control.StateRegistered || !strings.Contains(strings.Join(s.Notes, "|"), "E23") {
			t.Errorf("it is taken back, and the first edge is %s with the notes %q", s.Supernodes[0].State, s.Notes)
		}
		for _, e := range append(others, first) {
			e.Stop()
		}
		keep()
		sn.Stop()
	})
}

// openInvites opens the invites of a supernode and keeps them until close is called.
func openInvites(t *testing.T, path string) (l *invites.Ledger, end func()) {
	t.Helper()
	l, err := invites.Open(time.Now(), invites.Config{Path: path, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p := start(func(ctx context.Context) error { l.Run(ctx); return nil })
	return l, func() { _ = p.stop() }
}

// makeInvite makes an invite for one edge and returns its id.
func makeInvite(t *testing.T, l *invites.Ledger, c *crypto.Community, token invite.Token, ttl time.Duration) string {
	t.Helper()
	made, err := l.Create(time.Now(), invites.Request{Community: c.Name, NameHash: c.NameHash(), TTL: ttl, Uses: 1}, token)
	if err != nil {
		t.Fatal(err)
	}
	return made.ID
}
