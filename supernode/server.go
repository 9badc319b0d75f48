package supernode

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/crypto"
	"hedgerow/handshake"
	"hedgerow/nat/turn"
)

// IdentityFile is the name of the identity in the state directory.
const IdentityFile = "id"

// Server is a supernode. New makes it; Run is its whole life.
type Server struct {
	cfg      Config
	identity *crypto.Identity
	mask     *crypto.Mask
	store    *store
	started  time.Time
	wake     chan struct{} // the timers have new work
	counted

	mu        sync.Mutex // guards all that follows; never held across I/O
	registry  *registry
	hops      *hopTable
	responder *handshake.Responder
	strangers strangers
	resets    resets
	pushes    pushes
	timers    timers
}

// counted is what a Server counts. All of it may be used by any goroutine.
type counted struct {
	refused refusals
	loop    loopCounters
	turn    atomic.Pointer[turn.Server] // that counts; nil: not running
}

// New validates cfg, opens the state directory and loads the registrations in
// it. It sends and reads nothing. Run must follow: it gives back the state directory
// and the socket.
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	id := cfg.Identity
	if id == nil {
		var err error
		if id, _, err = crypto.LoadIdentity(filepath.Join(cfg.StateDir, IdentityFile)); err != nil {
			return nil, fmt.Errorf("load the identity: %w", err)
		}
	}
	s := &Server{
		cfg:       cfg,
		identity:  id,
		mask:      crypto.NewMask(crypto.SupernodeMaskKey(id.Static, nil)),
		started:   cfg.Now(),
		wake:      make(chan struct{}, 1),
		counted:   counted{refused: refusals{log: cfg.Log, now: cfg.Now}},
		registry:  newRegistry(cfg.Limits, cfg.Pool),
		strangers: newStrangers(),
	}
	var boot uint64
	var err error
	s.store, boot, err = openStore(storeConfig{
		dir: cfg.StateDir, log: cfg.Log, now: cfg.Now, failures: &s.refused.drops[dropStoreWrite],
		boot: func() uint64 { return uint64(s.random32()) }, // another than the last with 255 chances in 256
	})
	if err != nil {
		return nil, err
	}
	s.hops = newHopTable(uint8(boot))
	s.responder = newResponder(s)
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("load the registrations: %w", err), s.store.close())
	}
	return s, nil
}

// Key returns the X25519 static public key that edges pin.
func (s *Server) Key() [32]byte { return s.identity.Static }

// KeyText returns a supernode's key as it is typed after the '#' of an edge's
// -l option: unpadded base64url.
func KeyText(key [32]byte) string { return base64.RawURLEncoding.EncodeToString(key[:]) }

// Run serves until ctx ends, which gives nil, or the socket fails. It closes
// the socket and the state directory and has joined every goroutine when it
// returns. It can be called once.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var tasks, writer sync.WaitGroup
	written := make(chan struct{})
	writer.Go(func() { s.store.run(written) })
	tasks.Go(func() { s.runTimers(ctx) })
	tasks.Go(func() {
		<-ctx.Done()
		_ = s.cfg.Conn.Close()
		if s.cfg.Alternate != nil {
			_ = s.cfg.Alternate.Close()
		}
	})
	if s.cfg.Streams != nil {
		tasks.Go(func() { s.serveStreams(ctx) })
	}
	if s.cfg.TURN != nil {
		tasks.Go(func() { s.serveTURN(ctx) })
	}
	if s.cfg.Alternate != nil {
		tasks.Go(func() {
			if err := s.readAlternate(); !errors.Is(err, net.ErrClosed) {
				s.cfg.Log.Error("the second port no longer answers", "err", err)
			}
		})
	}
	s.cfg.Log.Debug("supernode is listening", "address", s.cfg.Conn.LocalAddr(), "key", KeyText(s.Key()))

	err := s.readDatagrams()
	ended := ctx.Err() != nil
	cancel(nil)
	tasks.Wait()
	close(written) // after the last change of the registry
	writer.Wait()
	if ended {
		return nil
	}
	return fmt.Errorf("read datagrams: %w", err)
}

// random32 returns 32 random bits. The system's source cannot fail, and
// nothing safe could be done if a test's did.
func (s *Server) random32() uint32 {
	var b [4]byte
	s.random(b[:])
	return binary.BigEndian.Uint32(b[:])
}

func (s *Server) random(b []byte) {
	if _, err := io.ReadFull(s.cfg.Rand, b); err != nil {
		panic("supernode: the source of random bytes failed: " + err.Error())
	}
}
