package edge

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/durable"
	"hedgerow/internal/limit"
)

// stateFile is where an edge keeps what it must know at its next start.
const stateFile = "state.json"

// Bounds of the state file.
const (
	storedPeers     = 64
	storedAddresses = 64              // of supernodes
	storedKeys      = 8               // of one supernode
	storeEvery      = 5 * time.Second // between two writes of the file
	storeRest       = 2 * storeEvery  // until one after a time without any
	maxPins         = 4096
	maxState        = 4 << 20
)

// state is what survives a restart: the statement's sequence number, the
// supernodes' keys, whose a hardware address is, the lease, and how to reach
// the latest peers.
type state struct {
	dir     string
	log     *slog.Logger
	loop    *background
	saved   storedState
	resumed *resumed // what another process has left; nil: this edge begins anew
	dirty   bool     // saved is not on the disk as it is
	version uint64   // of what was written last
	writer  stateWriter
	failure string    // why it could not be written last, empty: it could
	aside   string    // where a damaged file was put, empty: there was none
	aged    time.Time // by the wall clock, when pins that have ended were removed last
}

// resumed is what Run goes on from, beside what is in its place already.
type resumed struct {
	lease      netip.Prefix
	assumed    bool // no supernode has granted it
	forwarding bool // we are a bridge, and forward
	serial     uint64
}

// stateWriter puts versions of the state file on the disk, from any goroutine.
type stateWriter struct {
	mu   sync.Mutex
	last uint64 // the version on the disk
	left bool   // another process writes the file
}

type storedState struct {
	Identity   string              `json:"identity,omitempty"` // whose state it is
	Seq        uint64              `json:"seq"`
	Lease      string              `json:"lease,omitempty"`
	Supernodes map[string]string   `json:"supernodes,omitempty"`
	Addresses  map[string]string   `json:"addresses,omitempty"` // of supernodes given by name, where they answered last
	Redirects  map[string]redirect `json:"redirects,omitempty"` // of supernodes, where they said that they are
	Rotations  map[string]rotated  `json:"rotations,omitempty"` // of supernodes, their keys
	Pins       map[string]pin      `json:"pins,omitempty"`      // by hardware address
	Peers      []storedPeer        `json:"peers,omitempty"`
	Links      map[string]int      `json:"links,omitempty"` // numbers of links, by identity
	Listed     listed              `json:"listed,omitzero"`
}

// redirect is where a supernode has said that it is.
type redirect struct {
	Key    string `json:"key"` // its static key, as in Supernodes
	Serial uint64 `json:"serial"`
	Host   string `json:"host,omitempty"` // empty: where it is known
	Port   uint16 `json:"port,omitempty"`
}

// rotated are the keys of a supernode, as in Supernodes, each of which has taken the place of
// the one before.
type rotated struct {
	Keys   []string `json:"keys"`
	Serial uint64   `json:"serial"` // of the last rotation
}

// listed is the highest serial of the lists of an authority that there was here.
type listed struct {
	Authority string `json:"authority"`
	Serial    uint64 `json:"serial"`
}

type storedPeer struct {
	Statement string `json:"statement"`
	Addr      string `json:"addr,omitempty"`
	Name      string `json:"name,omitempty"`
}

// loadState reads the state file. One that is missing is empty. One that is
// damaged is set aside and said: an edge without pins and known peers is worth more
// than one that does not start.
func loadState(dir string, now time.Time, log *slog.Logger) (*state, error) {
	s := &state{dir: dir, log: log}
	if dir != "" {
		if err := s.read(filepath.Join(dir, stateFile), now); err != nil {
			return nil, err
		}
	}
	if s.saved.Supernodes == nil {
		s.saved.Supernodes = make(map[string]string)
	}
	if s.saved.Pins == nil {
		s.saved.Pins = make(map[string]pin)
	}
	return s, nil
}

// read reads the state file at a path, or sets it aside.
func (s *state) read(path string, now time.Time) error {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("edge: read state: %w", err)
	case len(b) > maxState:
		err = fmt.Errorf("it is larger than %d bytes", maxState)
	default:
		err = json.Unmarshal(b, &s.saved)
	}
	if err == nil {
		return nil
	}
	s.saved = storedState{}
	why := err
	if s.aside, err = durable.SetAside(path, now, why); err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	s.log.Warn("the state file is damaged and was set aside: pins and known peers begin anew", "file", path, "aside", s.aside, "err", why)
	return nil
}

// notes says for status what is odd about the state.
func (s *state) notes() (list []string) {
	if s.failure != "" {
		list = append(list, s.failure)
	}
	if s.aside != "" {
		list = append(list, "the state file was damaged at the start and is now "+s.aside+": supernode keys, pins and known peers began anew")
	}
	return list
}

// keep writes the state in the background: the disk may take seconds. A write
// that fails is tried again with the next one.
func (s *state) keep() {
	if write := s.prepare(); write != nil {
		failed := s.failure != ""
		s.loop.Go(func(context.Context) {
			if err := write(); err != nil || failed {
				s.loop.Do(func(time.Time) { s.kept(err) })
			}
		})
	}
}

// keepNow writes the state and waits for the disk.
func (s *state) keepNow() {
	if write := s.prepare(); write != nil {
		s.kept(write())
	}
}

// kept notes whether the state was written. A failure is said once, until there is another
// one or none.
func (s *state) kept(err error) {
	if err == nil {
		s.failure = ""
		return
	}
	s.dirty = true
	text := fmt.Sprintf("the state cannot be kept in %s (%v): what this edge learns is lost with its next start", s.dir, err)
	if advice := limit.Advice(err); advice != "" {
		text += ". " + advice
	}
	if s.failure != text {
		s.failure = text
		s.log.Error(text)
	}
}

// prepare returns what writes the state as it is now, nil when it is kept nowhere.
func (s *state) prepare() (write func() error) {
	if s.dir == "" {
		return nil
	}
	b, err := json.MarshalIndent(&s.saved, "", " ")
	if err != nil {
		s.log.Error("cannot keep state", "dir", s.dir, "err", err)
		return nil
	}
	s.dirty = false
	s.version++
	version := s.version
	return func() error {
		return s.writer.write(filepath.Join(s.dir, stateFile), version, b)
	}
}

// write replaces the file, unless a newer version is there already.
func (w *stateWriter) write(path string, version uint64, b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if version < w.last || w.left {
		return nil
	}
	return w.replace(path, version, b)
}

// replace is write; the lock is held.
func (w *stateWriter) replace(path string, version uint64, b []byte) error {
	if err := durable.Replace(path, b, 0o600); err != nil {
		return err
	}
	w.last = version
	return nil
}

// belong makes the state an identity's. What another identity of this machine has
// learned stays true, but its lease is its own.
func (s *state) belong(id ed25519.PublicKey) {
	name := pinText([32]byte(id))
	if s.saved.Identity == name {
		return
	}
	if s.saved.Identity != "" {
		s.saved.Lease = ""
	}
	s.saved.Identity, s.dirty = name, true
}

// nextSeq returns a sequence number higher than that of any earlier start.
// The clock helps when the state was lost; the stored one when the clock was.
func (s *state) nextSeq(wall time.Time) uint64 {
	s.saved.Seq = max(s.saved.Seq+1, uint64(max(wall.UnixMilli(), 0)))
	s.dirty = true
	return s.saved.Seq
}

// supernodeKey returns the key pinned for a supernode on first use, or nil.
func (s *state) supernodeKey(name string) *[32]byte { return parseKey(s.saved.Supernodes[name]) }

func (s *state) pinSupernode(name string, key [32]byte) {
	s.saved.Supernodes[name] = keyText(key)
	s.dirty = true
}

// knownKey returns the key that a supernode is known by at the start: the one that was typed
// or trusted at first sight, or the one that has taken its place.
func (s *state) knownKey(name string, typed *[32]byte) (key *[32]byte, serial uint64) {
	if key = typed; key == nil {
		key = s.supernodeKey(name)
	}
	if key == nil {
		return nil, 0
	}
	r := s.saved.Rotations[name]
	if i := slices.Index(r.Keys, keyText(*key)); i >= 0 {
		if last := parseKey(r.Keys[len(r.Keys)-1]); last != nil {
			return last, r.Serial
		}
	}
	return key, 0
}

// KnownKey returns the key by which the edge with a state directory knows a supernode, by its
// name HOST:PORT: the one that was typed (nil: none) or trusted at first sight, or the one that
// has taken its place by the supernode's own word. It is nil if none is known. The error says
// why the state cannot be read; the key is the one that was typed then.
func KnownKey(dir, name string, typed *[32]byte) (*[32]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return typed, nil
	}
	var s state
	if err == nil {
		err = json.Unmarshal(b, &s.saved)
	}
	if err != nil {
		return typed, fmt.Errorf("read the state of the edge: %w", err)
	}
	key, _ := s.knownKey(name, typed)
	return key, nil
}

// keepRotation keeps that a key of a supernode has taken the place of another. What is kept of
// supernodes that are not configured any more goes when there is much of it.
func (s *state) keepRotation(name string, from, to [32]byte, serial uint64) {
	r := s.saved.Rotations[name]
	if n := len(r.Keys); n > 0 && r.Keys[n-1] == keyText(to) && slices.Contains(r.Keys, keyText(from)) {
		return // the other place of the supernode has said so before
	}
	if s.saved.Rotations == nil || len(s.saved.Rotations) >= storedAddresses {
		s.saved.Rotations = make(map[string]rotated)
	}
	if n := len(r.Keys); n == 0 || r.Keys[n-1] != keyText(from) {
		r.Keys = []string{keyText(from)}
	}
	if r.Keys = append(r.Keys, keyText(to)); len(r.Keys) > storedKeys {
		r.Keys = slices.Delete(r.Keys, 1, 2) // the first one is what was typed
	}
	r.Serial = serial
	s.saved.Rotations[name] = r
	s.dirty = true
}

// replaced reports whether another key of a supernode has taken the place of a key.
func (s *state) replaced(name string, key [32]byte) bool {
	keys := s.saved.Rotations[name].Keys
	i := slices.Index(keys, keyText(key))
	return i >= 0 && i < len(keys)-1
}

// keyText returns a key as the state file has it.
func keyText(key [32]byte) string { return base64.RawURLEncoding.EncodeToString(key[:]) }

// parseKey reads what keyText returned; nil: it is none that can be used.
func parseKey(text string) *[32]byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != 32 || !crypto.UsableStatic([32]byte(b)) {
		return nil
	}
	return (*[32]byte)(b)
}

// supernodeAddress returns where a supernode answered last, not valid: that is not known.
func (s *state) supernodeAddress(name string) netip.AddrPort {
	a, _ := netip.ParseAddrPort(s.saved.Addresses[name])
	return a
}

// keepSupernodeAddress keeps where a supernode answered. What is kept of supernodes that
// are not configured any more goes when there is much of it.
func (s *state) keepSupernodeAddress(name string, a netip.AddrPort) {
	if s.saved.Addresses == nil || len(s.saved.Addresses) >= storedAddresses {
		s.saved.Addresses = make(map[string]string)
	}
	s.saved.Addresses[name] = a.String()
	s.dirty = true
}

// pointer returns where a supernode with a key has said that it is.
func (s *state) pointer(name string, key [32]byte) pointer {
	r := s.saved.Redirects[name]
	if r.Key != keyText(key) {
		return pointer{}
	}
	return pointer{serial: r.Serial, host: r.Host, port: r.Port}
}

// keepPointer keeps it. What is kept of supernodes that are not configured any more goes
// when there is much of it.
func (s *state) keepPointer(name string, key [32]byte, p *pointer) {
	if s.saved.Redirects == nil || len(s.saved.Redirects) >= storedAddresses {
		s.saved.Redirects = make(map[string]redirect)
	}
	s.saved.Redirects[name] = redirect{Key: keyText(key), Serial: p.serial, Host: p.host, Port: p.port}
	s.dirty = true
}

func (s *state) lease() netip.Prefix {
	p, _ := netip.ParsePrefix(s.saved.Lease)
	return p
}

func (s *state) keepLease(p netip.Prefix) {
	s.saved.Lease = p.String()
	s.dirty = true
}
