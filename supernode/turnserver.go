package supernode

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/nat/turn"
	"hedgerow/protocol"
)

// turnTime is how long a credential lasts. An edge registers again after half of
// its lease, and gets another one then.
const turnTime = leaseTime

// turnSecret is the secret that credentials are made from. It follows from the
// identity, so credentials that edges hold outlive a restart.
func turnSecret(seed [32]byte) []byte {
	secret, err := hkdf.Key(sha256.New, seed[:], nil, "hedgerow/1 turn secret", 32)
	if err != nil {
		panic("supernode: derive the TURN secret: " + err.Error()) // constant lengths: it cannot fail
	}
	return secret
}

// turnServer is the TURN server beside the supernode, and gives edges credentials.
type turnServer struct {
	cfg      *TURN        // nil: there is none
	failed   *atomic.Bool // set when it cannot run
	secret   []byte
	tables   sync.Locker // guards the registry
	registry *registry
	spent    func(now time.Time, edge *hop, datagrams, bytes int) (more bool) // counts what was sent for an edge; the mutex is held
	refused  *refusals
	log      *slog.Logger
	now      func() time.Time
	released <-chan struct{}             // closed when the port is ours; nil: it is
	running  atomic.Pointer[turn.Server] // nil: it does not run
}

// offer returns the TURN server with a credential for r, and the zero value if
// there is no server. The identity in the credential is the handle, which names one
// edge in one community.
func (t *turnServer) offer(now time.Time, r *registration) protocol.TURNServer {
	if t.cfg == nil {
		return protocol.TURNServer{}
	}
	identity := strconv.FormatUint(uint64(r.handle), 16)
	user, password := turn.Credentials(t.secret, identity, now.Add(turnTime))
	return protocol.TURNServer{Addr: t.cfg.at(), User: user, Password: password}
}

// allowed reports whether the edge that an identity names may reach an address:
// one at which we see an edge of its community by UDP now. Addresses that edges claim
// do not count, since the server would send to whichever host they name.
func (t *turnServer) allowed(identity string, peer netip.Addr) bool {
	handle, err := strconv.ParseUint(identity, 16, 32)
	if err != nil {
		t.refuse(dropTURNIdentity, identity, peer)
		return false
	}
	t.tables.Lock()
	defer t.tables.Unlock()
	r := t.registry.byHandle[uint32(handle)]
	if r == nil || r.ended(t.now()) {
		t.refuse(dropTURNIdentity, identity, peer)
		return false
	}
	if r.community.seesAnother(r, peer) {
		return true
	}
	t.refuse(dropTURNPeer, identity, peer)
	return false
}

// spend counts what the TURN server has sent for the edge that an identity names, and reports
// whether it may send more. What an edge that has gone still sends is nobody's; its peers
// are refused soon.
func (t *turnServer) spend(identity string, datagrams, bytes int) (more bool) {
	handle, err := strconv.ParseUint(identity, 16, 32)
	if err != nil {
		return false
	}
	t.tables.Lock()
	defer t.tables.Unlock()
	r := t.registry.byHandle[uint32(handle)]
	return r == nil || r.hop == nil || t.spent(t.now(), r.hop, datagrams, bytes)
}

// refuse counts why the TURN server may not reach an address for the
// edge that an identity names, and says it at debug level.
func (t *turnServer) refuse(reason dropReason, identity string, peer netip.Addr) {
	t.refused.count(reason, true, func() []any { return []any{"handle", identity, "peer", peer} })
}

// serve serves TURN until ctx ends. Only edges that use it lose by its failure.
func (t *turnServer) serve(ctx context.Context) {
	if t.released != nil {
		select {
		case <-t.released:
		case <-ctx.Done():
			_ = t.cfg.Conn.Close()
			return
		}
	}
	server, err := turn.NewServer(turn.ServerConfig{
		Conn: t.cfg.Conn, Address: t.cfg.Address, Bind: t.cfg.Bind, Ports: t.cfg.Ports, Limits: t.cfg.Limits, Listen: t.cfg.Listen,
		Secret: t.secret, Allowed: t.allowed, Spend: t.spend, Log: t.log,
	})
	if err != nil {
		t.failed.Store(true)
		t.log.Error("there is no TURN server", "err", err)
		return
	}
	t.running.Store(server)
	<-ctx.Done()
	if err := server.Close(); err != nil {
		t.log.Error("the TURN server did not end well", "err", err)
	}
}

// stats returns the counters of the server, nil while it does not run.
func (t *turnServer) stats() *turn.ServerStats {
	server := t.running.Load()
	if server == nil {
		return nil
	}
	stats := server.Stats()
	return &stats
}
