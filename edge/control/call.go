package control

import (
	"context"

	"hedgerow/internal/localapi"
)

// Socket is the calling side of the interface: the path of the Unix socket of
// a running edge. Its methods connect anew for every call. Their errors are
// those of package localapi: localapi.ErrNotRunning when nothing listens
// there, fs.ErrPermission when the socket may not be opened, and
// *localapi.ServerError when the edge answered with a sentence of its own.
type Socket string

// Status fetches the state of the edge.
func (s Socket) Status(ctx context.Context) (Status, error) {
	var v Status
	err := localapi.Get(ctx, string(s), pathStatus, &v)
	return v, err
}

// Peers fetches the list of peers.
func (s Socket) Peers(ctx context.Context) ([]Peer, error) {
	var v []Peer
	err := localapi.Get(ctx, string(s), pathPeers, &v)
	return v, err
}

// FDB fetches the forwarding database.
func (s Socket) FDB(ctx context.Context) (FDB, error) {
	var v FDB
	err := localapi.Get(ctx, string(s), pathFDB, &v)
	return v, err
}

// Routes fetches the networks behind other edges.
func (s Socket) Routes(ctx context.Context) (Routes, error) {
	var v Routes
	err := localapi.Get(ctx, string(s), pathRoutes, &v)
	return v, err
}

// KeyStatus fetches the state of the key schedule.
func (s Socket) KeyStatus(ctx context.Context) (Keys, error) {
	var v Keys
	err := localapi.Get(ctx, string(s), pathKeys, &v)
	return v, err
}

// Counters fetches what the data path has done.
func (s Socket) Counters(ctx context.Context) (Counters, error) {
	var v Counters
	err := localapi.Get(ctx, string(s), pathCounters, &v)
	return v, err
}

// Ping sends one ping to a peer and waits for what becomes of it, for five
// seconds and as long as ctx lasts.
func (s Socket) Ping(ctx context.Context, q PingRequest) (Ping, error) {
	var v Ping
	err := localapi.Ask(ctx, string(s), pathPing, q, &v)
	return v, err
}

// Members fetches the list of members.
func (s Socket) Members(ctx context.Context) (Members, error) {
	var v Members
	err := localapi.Get(ctx, string(s), pathMembers, &v)
	return v, err
}

// AdoptMembers hands the edge a list of members, and keys, that the authority has signed.
func (s Socket) AdoptMembers(ctx context.Context, file []byte) error {
	var v struct{}
	return localapi.Ask(ctx, string(s), pathMembers, file, &v)
}

// Reload makes the edge read its keys anew.
func (s Socket) Reload(ctx context.Context) error {
	return localapi.Post(ctx, string(s), pathReload)
}
