package main

import (
	"log/slog"
	"path/filepath"
	"time"

	"hedgerow/supernode/admission"
	"hedgerow/supernode/invites"
	"hedgerow/supernode/users"
)

// ledgers are the files of what lets edges in that no rule does.
type ledgers struct {
	invites *invites.Ledger
	users   *users.Book
}

// openLedgers reads them from a state directory.
func openLedgers(dir string, log *slog.Logger) (l ledgers, err error) {
	if l.invites, err = invites.Open(time.Now(), invites.Config{Path: filepath.Join(dir, invites.FileName), Log: log}); err != nil {
		return l, err
	}
	l.users, err = users.Open(time.Now(), users.Config{Path: filepath.Join(dir, users.FileName), Log: log})
	return l, err
}

// proofs returns them for a supernode.
func (l ledgers) proofs() admission.Proofs {
	return admission.Proofs{Tokens: l.invites, Users: l.users}
}
