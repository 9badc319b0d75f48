// Package sim runs whole communities in memory: real edges and supernodes over
// the simulated internet of nat/nattest, with Ethernet devices of tap/taptest.
// Inside a testing/synctest bubble hours pass in seconds, and every run with
// one seed sees the same internet.
package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/integration/attack/adversary"
	"hedgerow/internal/waiter"
	"hedgerow/nat/nat64"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
	"hedgerow/supernode"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/quota"
	"hedgerow/tap/taptest"
	"hedgerow/transport"
)

// World is an internet with a community on it.
type World struct {
	tb        testing.TB
	Net       *nattest.Internet
	Community *crypto.Community
	Log       *slog.Logger // of every program; nil: SIM_LOG decides
	seed      uint64
	made      uint64 // identities so far
	sources   uint64 // of randomness so far
	flows     uint32
	programs  []process
}

// New returns a world without hosts; it ends with the test, and with it every program
// that still runs. In a synctest bubble it has to be made there.
func New(tb testing.TB, seed uint64) *World {
	w := &World{tb: tb, Net: nattest.New(seed), seed: seed}
	tb.TempDir() // cleanups run last first: the programs end before their directories are removed
	w.Community = &crypto.Community{
		Name: "simulated", Secret: w.key(0), Epochs: []crypto.Epoch{{Index: 0, Key: w.key(1)}},
	}
	return w
}

// Close ends every program that still runs, and then the internet: one whose socket went
// first would say so.
func (w *World) Close() {
	for _, p := range w.programs {
		_ = p.stop()
	}
	w.Net.Close()
}

// key returns one of the world's keys, the same in every run of a seed.
func (w *World) key(n uint64) (k [32]byte) {
	r := rand.NewChaCha8([32]byte(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(make([]byte, 16), w.seed), n)))
	r.Read(k[:])
	return k
}

// identity returns a new identity, the same in every run of a seed.
func (w *World) identity() *crypto.Identity {
	w.made++
	return crypto.NewIdentity(w.key(1000 + w.made))
}

// random returns a source of randomness of its own for one start of a program:
// two with the same bytes would draw the same salts and ephemeral keys.
func (w *World) random() io.Reader {
	w.sources++
	return &source{random: rand.NewChaCha8(w.key(1<<32 + w.sources))}
}

// surroundings are what an end played by hand needs of the world.
func (w *World) surroundings() adversary.Surroundings {
	return adversary.Surroundings{Rand: w.random(), Now: time.Now}
}

// source is a random source for several goroutines.
type source struct {
	mu     sync.Mutex
	random *rand.ChaCha8
}

// Read fills b; it never fails.
func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.random.Read(b)
}

// log returns where programs log: the test's output with SIM_LOG set.
func (w *World) log(name string) *slog.Logger {
	if w.Log != nil {
		return w.Log
	}
	if os.Getenv("SIM_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("at", name)
}

// process is something that runs until it is stopped.
type process struct {
	cancel context.CancelFunc
	done   <-chan struct{} // closed when it has ended
	err    *error          // what it ended with, then
}

func start(run func(context.Context) error) process {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	p := process{cancel: cancel, done: done, err: new(error)}
	go func() {
		defer close(done)
		*p.err = run(ctx)
	}()
	return p
}

// start runs a program until it is stopped or the test ends.
func (w *World) start(run func(context.Context) error) process {
	p := start(run)
	w.programs = append(w.programs, p)
	w.tb.Cleanup(func() { _ = p.stop() })
	return p
}

// stop ends the process and returns what Run returned.
func (p *process) stop() error {
	p.cancel()
	<-p.done
	return *p.err
}

// Supernode is a supernode on a public host.
type Supernode struct {
	process
	world    *World
	host     *nattest.Host
	identity *crypto.Identity
	beside   Beside
	dir      string
	conn     *nattest.Conn
	streams  *streamServer // nil: none
	copies   []*Supernode
	Addr     netip.AddrPort // the first address
	Server   *supernode.Server
}

// Beside says what a supernode does besides UDP.
type Beside struct {
	Streams bool // takes streams
	TURN    bool // is a TURN server, too, and gives out credentials for it

	Rules  *admission.Rules // who may register; nil: everybody
	Proofs admission.Proofs // admit whom no rule does

	Month quota.Limits // of what is relayed in a month

	ObfsKey []byte // which its edges have as well; nil: there is none
}

// Supernode starts a supernode with a state directory of its own.
func (w *World) Supernode(addrs ...netip.Addr) *Supernode { return w.SupernodeWith(Beside{}, addrs...) }

// SupernodeWith starts a supernode that does more than speak UDP.
func (w *World) SupernodeWith(b Beside, addrs ...netip.Addr) *Supernode {
	s := &Supernode{
		world: w, host: w.Net.Host(addrs...), identity: w.identity(), beside: b, dir: w.tb.TempDir(),
		Addr: netip.AddrPortFrom(addrs[0], 7654),
	}
	s.Start()
	return s
}

// Copy starts another supernode with the same identity, as when it was moved to another
// host and the old one goes on.
func (s *Supernode) Copy(addrs ...netip.Addr) *Supernode {
	c := &Supernode{
		world: s.world, host: s.world.Net.Host(addrs...), identity: s.identity, dir: s.world.tb.TempDir(),
		Addr: netip.AddrPortFrom(addrs[0], s.Addr.Port()), beside: Beside{Streams: s.beside.Streams, ObfsKey: s.beside.ObfsKey},
	}
	c.Start()
	s.copies = append(s.copies, c)
	return c
}

// addrFor returns the supernode's address of a family that a host has.
func (s *Supernode) addrFor(h *nattest.Host) netip.Addr {
	for _, a := range s.host.Addresses() {
		for _, own := range h.Addresses() {
			if a.Is4() == own.Is4() {
				return a
			}
		}
	}
	return s.Addr.Addr()
}

// Start starts a supernode that was stopped, with the state that it left.
func (s *Supernode) Start() {
	conn, err := s.host.Listen(s.Addr.Port())
	if err != nil {
		s.world.tb.Fatal(err)
	}
	second, err := s.host.Listen(s.Addr.Port() + 1)
	if err != nil {
		s.world.tb.Fatal(err)
	}
	cfg := supernode.Config{
		Conn: conn, Alternate: second, Identity: s.identity, StateDir: s.dir, Log: s.world.log("supernode"), Rand: s.world.random(),
		Rules: s.beside.Rules, Proofs: s.beside.Proofs, Limits: supernode.Limits{Month: s.beside.Month},
		Cover: supernode.Cover{ObfsKey: s.beside.ObfsKey},
	}
	if _, err := os.Stat(filepath.Join(s.dir, supernode.RotationFile)); err == nil {
		cfg.Identity = nil // it has another one than it was made with
	}
	if s.beside.Streams {
		s.takeStreams(&cfg, conn)
	}
	if s.beside.TURN {
		cfg.TURN = s.serveTURN()
	}
	s.Server, err = supernode.New(cfg)
	if err != nil {
		s.world.tb.Fatal(err)
	}
	s.conn = conn
	s.process = s.world.start(s.Server.Run)
}

// Move stops the supernode and starts it at another address, with its identity and
// its state.
func (s *Supernode) Move(to netip.Addr) {
	s.Stop()
	s.host = s.world.Net.Host(to)
	s.Addr = netip.AddrPortFrom(to, s.Addr.Port())
	s.Start()
}

// Stop ends the supernode as SIGTERM does.
func (s *Supernode) Stop() {
	if err := s.stop(); err != nil {
		s.world.tb.Errorf("supernode: %v", err)
	}
}

// Edge is an edge on some host of the internet.
type Edge struct {
	process
	world    *World
	host     *nattest.Host
	identity *crypto.Identity
	options  Options
	dir      string
	conn     *nattest.Conn
	lan      *nattest.Multicast // nil: none
	lines    lines
	MAC      protocol.MAC
	Device   *taptest.Device
	Edge     *edge.Edge
}

// Options of an edge. The zero value leases an address and keeps no state.
type Options struct {
	Name        string
	Supernodes  []*Supernode
	Deliver     func(frame []byte) // called for every frame that the edge writes to its device
	Report      func(control.Event)
	Opened      func(*taptest.Device) // told of the device of each process before that runs
	ClockOffset time.Duration
	Address     edge.Address
	Community   *crypto.Community // default: the world's
	State       bool              // keep a state directory over restarts
	Log         *slog.Logger      // default: the world's
	Ethernet    edge.Ethernet
	Links       edge.Links
	Around      Around
	Reach       edge.Reach
	Stacked     *Stacked // the host as its kernel has it, with an address on the bridge; nil: it has none
}

// Around says what of its surroundings an edge makes use of. The zero value is
// sockets alone.
type Around struct {
	LAN     bool                 // announces itself on the host's LAN
	Map     bool                 // has the router map its port
	Watch   bool                 // is told of changes of the host's network
	Streams *StreamPath          // by which streams go to supernodes; nil: no streams
	Names   func() netip.Addr    // what the names of supernodes stand for, zero: for nothing; nil: they are given by address
	Boot    func() time.Duration // since the host was started, suspensions too
	Machine func() string        // identity of the host
	DNS64   nat64.Prefix         // that name servers make addresses up with; not valid: they do not
	Token   []byte               // that supernodes are shown
	User    [2]string            // name and password that they are shown
	NoPin   bool                 // does not know the keys of supernodes beforehand
	Obfs    []byte               // the obfuscation key that it has for them; nil: theirs
	Forked  <-chan struct{}      // each receipt tells the edge that the host was restored or cloned
	Clock   bool                 // is told when the clock is set, which never happens
}

// clock is the edge's Host.Watch.Clock.
func (a Around) clock() func(ctx context.Context, set func()) error {
	if !a.Clock {
		return nil
	}
	return func(ctx context.Context, _ func()) error {
		<-ctx.Done()
		return nil
	}
}

// forks is the edge's Host.Watch.Forks.
func (a Around) forks() func(ctx context.Context, forked func()) error {
	if a.Forked == nil {
		return nil
	}
	return func(ctx context.Context, forked func()) error {
		for {
			select {
			case <-a.Forked:
				forked()
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// Edge starts an edge on a host.
func (w *World) Edge(h *nattest.Host, o Options) *Edge {
	e := &Edge{world: w, host: h, identity: w.identity(), options: o}
	if o.State {
		e.dir = w.tb.TempDir()
	}
	e.Start()
	return e
}

// Start starts an edge that was stopped, with its identity and its state.
func (e *Edge) Start() {
	conn, err := e.host.Listen(0)
	if err != nil {
		e.world.tb.Fatal(err)
	}
	community := e.options.Community
	if community == nil {
		community = e.world.Community
	}
	e.conn = conn
	sides := transport.NewSides()
	var socket transport.Batch = conn
	if s := e.options.Stacked; s != nil {
		socket = s.wrap(e, conn)
	}
	mux, err := sides.Reader(socket, false)
	if err != nil {
		e.world.tb.Fatal(err)
	}
	e.Device = taptest.New(taptest.Options{Deliver: e.options.Deliver})
	if e.options.Opened != nil {
		e.options.Opened(e.Device)
	}
	cfg := edge.Config{
		Community: community, Identity: e.identity, Name: e.options.Name, Address: e.options.Address,
		Device: e.Device, StateDir: e.dir, Reach: e.options.Reach, Ethernet: e.options.Ethernet, Links: e.options.Links,
		Queues:     []dataplane.Queue{{Frames: e.Device, Conn: mux, Waiter: waiter.NewChannels(e.Device.Ready(), conn.Ready(), mux.SideReady())}},
		Transports: e.transports(sides), Network: e.network(conn),
		Host: edge.Host{
			Interface: "sim0", Log: e.world.log(e.options.Name), ClockOffset: e.options.ClockOffset,
			Addresses: e.addresses,
			Report:    e.options.Report,
			Rand:      e.world.random(),
			BootClock: e.options.Around.Boot, Machine: e.options.Around.Machine, Watch: edge.Watch{Forks: e.options.Around.forks(), Clock: e.options.Around.clock()},
		},
	}
	if s := e.options.Stacked; s != nil {
		cfg.Host.Own = s.Own()
	}
	if e.options.Log != nil {
		cfg.Host.Log = e.options.Log
	}
	for i, s := range e.options.Supernodes {
		key := s.identity.Static
		cfg.Supernodes = append(cfg.Supernodes, edge.Supernode{
			Name: s.Addr.String(), Host: e.supernodeHost(i), Port: s.Addr.Port(), Key: &key, Token: e.options.Around.Token,
			User: e.options.Around.User[0], Password: e.options.Around.User[1], ObfsKey: e.obfsKey(s),
		})
		if e.options.Around.NoPin {
			cfg.Supernodes[i].Key = nil
		}
	}
	cfg.Host.Resolver = names{e}
	e.MAC = e.identity.MAC(community.ID())
	if e.options.Ethernet.MAC != [6]byte{} {
		e.MAC = e.options.Ethernet.MAC
	}
	e.Edge, err = edge.New(cfg)
	if err != nil {
		e.world.tb.Fatal(err)
	}
	e.process = e.world.start(e.Edge.Run)
}

// addresses returns those of the host.
func (e *Edge) addresses() ([]netip.Addr, error) {
	if s := e.options.Stacked; s != nil {
		return append(e.host.Addresses(), s.Inside), nil
	}
	return e.host.Addresses(), nil
}

// obfsKey returns the obfuscation key that the edge has for a supernode.
func (e *Edge) obfsKey(s *Supernode) []byte {
	if key := e.options.Around.Obfs; key != nil {
		return key
	}
	return s.beside.ObfsKey
}

// supernodeHost returns what the configuration calls the host of a supernode.
func (e *Edge) supernodeHost(i int) string {
	if e.options.Around.Names != nil {
		return fmt.Sprintf("supernode%d.example", i)
	}
	return e.options.Supernodes[i].addrFor(e.host).String()
}

// transports returns by what the edge sends besides its data socket.
func (e *Edge) transports(sides *transport.Sides) underlay.Transports {
	t := underlay.Transports{Sides: sides, NAT64: sides.NAT64(), Open: e.opener(sides.NAT64()), TURN: newTURNClient}
	if e.options.Around.Streams != nil {
		t.Dial = e.dial
	}
	return t
}

// network returns what the edge is told of the network around it. Its socket for
// announcements ends with the edge.
func (e *Edge) network(conn *nattest.Conn) (n underlay.LocalNetwork) {
	if e.options.Around.Watch {
		n.Watch = e.host.Watch
	}
	if e.options.Around.Map {
		n.Mapper = e.host.Mapper(conn.LocalAddr().Port())
	}
	if e.options.Around.LAN {
		e.lan = e.host.Multicast()
		n.LAN = e.lan
	}
	return n
}

// names are what an edge can look up.
type names struct{ edge *Edge }

// LookupNetIP returns the address of a supernode by its name.
func (n names) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	if host == nat64.Name {
		return n.made(netip.AddrFrom4([4]byte{192, 0, 0, 170}), netip.AddrFrom4([4]byte{192, 0, 0, 171}))
	}
	if names := n.edge.options.Around.Names; names != nil {
		if a := names(); a.IsValid() {
			if made, err := n.made(a); err == nil && a.Is4() {
				return append(made, a), nil
			}
			return []netip.Addr{a}, nil
		}
	}
	return nil, fmt.Errorf("no such host: %s", host)
}

// made returns the addresses that a DNS64 makes up for a name with IPv4 addresses.
func (n names) made(list ...netip.Addr) (made []netip.Addr, err error) {
	p := n.edge.options.Around.DNS64
	if !p.IsValid() {
		return nil, fmt.Errorf("no DNS64 makes addresses up for %v", list)
	}
	for _, a := range list {
		made = append(made, p.Embed(a))
	}
	return made, nil
}

// Stop ends the edge as SIGTERM does.
func (e *Edge) Stop() {
	if err := e.stop(); err != nil {
		e.world.tb.Errorf("edge %s: %v", e.options.Name, err)
	}
	e.leave()
}

// leave closes what the edge left open.
func (e *Edge) leave() {
	if e.lan != nil {
		_ = e.lan.Close()
		e.lan = nil
	}
}

// Send hands the edge a frame for dst with a payload, as its kernel would.
func (e *Edge) Send(dst protocol.MAC, payload []byte) bool {
	return e.Device.Inject(Frame(dst, e.MAC, payload))
}

// EtherType is the type of the frames that Frame makes: an experimental one
// (IEEE 802, annex B).
const EtherType = 0x88b5

// Frame makes an Ethernet frame of the experimental type.
func Frame(dst, src protocol.MAC, payload []byte) []byte {
	f := append(append(make([]byte, 0, 14+len(payload)), dst[:]...), src[:]...)
	f = binary.BigEndian.AppendUint16(f, EtherType)
	return append(f, payload...)
}

// Identity returns who the edge is.
func (e *Edge) Identity() *crypto.Identity { return e.identity }
