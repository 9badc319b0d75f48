package supernode

import (
	"context"
	"fmt"
	"sync"

	"hedgerow/internal/timer"
	"hedgerow/supernode/journal"
)

// Server is a supernode. New makes it; Run is its whole life.
type Server struct {
	cfg     Config // complete, with its identity
	refused *refusals
	sockets *sockets
	store   *store
	turn    *turnServer

	mu        sync.Mutex // guards all that follows; never held across I/O
	timers    timer.Queue
	registry  *registry
	sessions  *sessions
	strangers strangers
	controls  *controls
	relayer   *relayer
	notices   *notices
	reviews   *reviews
	health    health
}

// strangers answer senders without a session.
type strangers struct {
	handshakes *handshakes
	greeter    *greeter
	binding    *binding
	cover      *cover
}

// New validates cfg, opens the state directory and loads the registrations in
// it. It sends and reads nothing. Run must follow: it gives back the state directory
// and the socket.
func New(cfg Config) (*Server, error) { return newOn(journal.System, cfg) }

// newOn is New with the state directory on a disk.
func newOn(disk journal.Disk, cfg Config) (*Server, error) {
	s, found, err := newServer(disk, cfg)
	if err != nil {
		return nil, err
	}
	cfg = s.cfg
	random := random{cfg.Rand}
	st, boot, err := openStore(s.storeConfig(disk))
	if err != nil {
		return nil, err
	}
	s.store = st
	keys, damaged := (stateFiles{cfg.StateDir, disk, cfg.Now, cfg.Log}).openResetKeys(cfg.Identity.Seed, uint8(boot), random)
	s.compose(random, uint8(boot), keys, found.rotation)
	s.keepFiles(keys, append(found.aside, damaged)...)
	lost := s.controls.registrar.restore(cfg.Now())
	s.notices.resets.list = lost
	s.sessions.returning.expect(cfg.Now(), addressesOf(lost))
	return s, nil
}

// foundKeys is what there is of keys at the start.
type foundKeys struct {
	rotation rotationFile
	aside    []string // damaged files, where they are now
}

// newServer returns a Server without tables: its configuration is complete.
func newServer(disk journal.Disk, cfg Config) (s *Server, found foundKeys, err error) {
	if err := cfg.validate(); err != nil {
		return nil, found, err
	}
	cfg = cfg.withDefaults()
	files, aside := stateFiles{cfg.StateDir, disk, cfg.Now, cfg.Log}, ""
	if cfg.Identity == nil {
		if cfg.Identity, aside, err = files.loadIdentity(); err != nil {
			return nil, found, fmt.Errorf("load the identity: %w", err)
		}
	}
	found.aside = append(found.aside, aside)
	found.rotation, aside = files.loadRotation(cfg.Identity)
	found.aside = append(found.aside, aside)
	late := newLateLog()
	cfg.Log = late.logger(cfg.Log)
	return &Server{cfg: cfg, refused: &refusals{log: cfg.Log, late: late, now: cfg.Now}}, found, nil
}

// storeConfig says where the registrations are kept.
func (s *Server) storeConfig(disk journal.Disk) storeConfig {
	return storeConfig{
		dir: s.cfg.StateDir, edges: s.cfg.Limits.Edges, log: s.cfg.Log, now: s.cfg.Now, failures: &s.refused.drops[dropStoreWrite],
		boot: func() uint64 { return uint64(random{s.cfg.Rand}.number()) }, disk: disk,
	}
}

// keepFiles tells the store what belongs beside the registrations, and what was damaged of
// it.
func (s *Server) keepFiles(keys *resetKeys, damaged ...string) {
	files := s.controls.rotation.secrets()
	files[ResetKeysFile] = keys.file()
	s.store.keep(files, damaged...)
}

// Key returns the X25519 static public key that edges pin.
func (s *Server) Key() [32]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets.keys.own.identity.Static
}

// Run serves until ctx ends or HandOver has succeeded, which gives nil, or the socket fails. It closes
// the socket and the state directory and has joined every goroutine when it
// returns. It can be called once.
func (s *Server) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.sockets.replies.running = true
	var tasks, writer sync.WaitGroup
	written := make(chan struct{})
	writer.Go(func() { s.store.run(written) })
	for _, run := range []func(context.Context){s.runTimers, s.registry.events.run, s.refused.late.run, s.reviews.lists.run, s.relayer.months.keeper.Run} {
		tasks.Go(func() { run(ctx) })
	}
	tasks.Go(func() { s.sockets.replies.run(ctx, s.sockets.sendLater) })
	tasks.Go(func() { s.strangers.handshakes.answerer.run(ctx, s.sockets, s.cfg.Now) })
	tasks.Go(func() { s.controls.runProofs(ctx, s.sockets, s.cfg.Now) })
	tasks.Go(func() {
		select {
		case <-ctx.Done():
		case <-s.sockets.gate.Left():
			cancel(nil)
		}
		s.sockets.close()
	})
	s.serveBeside(ctx, &tasks)
	s.cfg.Log.Debug("supernode is listening", "address", s.cfg.Conn.LocalAddr(), "key", KeyText(s.Key()))

	s.health.serving.Store(true)
	err := s.readDatagrams()
	s.health.serving.Store(false)
	ended := ctx.Err() != nil || s.sockets.gate.Handed()
	cancel(nil)
	tasks.Wait()
	s.mu.Lock()
	s.registry.events.sum(s.cfg.Now())
	s.mu.Unlock()
	s.registry.events.rest()
	s.refused.late.rest()
	s.relayer.months.keeper.End()
	close(written) // after the last change of the registry
	writer.Wait()
	if ended {
		return nil
	}
	return fmt.Errorf("read datagrams: %w", err)
}

// serveBeside serves what not every supernode has, until ctx ends.
func (s *Server) serveBeside(ctx context.Context, tasks *sync.WaitGroup) {
	if s.cfg.Streams != nil {
		tasks.Go(func() { s.sockets.serveStreams(ctx, &s.health.streams) })
	}
	if s.cfg.TURN != nil {
		tasks.Go(func() { s.turn.serve(ctx) })
	}
	if s.cfg.Alternate != nil {
		tasks.Go(s.serveAlternate)
	}
}
