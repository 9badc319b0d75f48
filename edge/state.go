package edge

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// stateFile is where an edge keeps what it must know at its next start.
const stateFile = "state.json"

// Bounds of the state file.
const (
	storedPeers = 64
	storeEvery  = 5 * time.Second // PROTOCOL.md, section 6
	maxPins     = 4096
	maxState    = 4 << 20
)

// state is what survives a restart: the statement's sequence number, the
// supernodes' keys, whose a hardware address is, the lease, and how to reach
// the latest peers.
type state struct {
	dir     string
	dirty   bool
	storeAt time.Time
	saved   storedState
}

type storedState struct {
	Seq        uint64            `json:"seq"`
	Lease      string            `json:"lease,omitempty"`
	Supernodes map[string]string `json:"supernodes,omitempty"`
	Pins       map[string]string `json:"pins,omitempty"`
	Peers      []storedPeer      `json:"peers,omitempty"`
}

type storedPeer struct {
	Statement string `json:"statement"`
	Addr      string `json:"addr,omitempty"`
	Name      string `json:"name,omitempty"`
}

// loadState reads the state file. One that is missing is empty; one that does
// not parse is refused, since starting without pins would be worse than not
// starting.
func loadState(dir string) (*state, error) {
	s := &state{dir: dir}
	if dir != "" {
		path := filepath.Join(dir, stateFile)
		b, err := os.ReadFile(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, fmt.Errorf("edge: read state: %w", err)
		case len(b) > maxState:
			return nil, fmt.Errorf("edge: %s is larger than %d bytes: it is not ours, move it away", path, maxState)
		default:
			if err := json.Unmarshal(b, &s.saved); err != nil {
				return nil, fmt.Errorf("edge: %s is damaged (%w): move it away to start without pins and known peers", path, err)
			}
		}
	}
	if s.saved.Supernodes == nil {
		s.saved.Supernodes = make(map[string]string)
	}
	if s.saved.Pins == nil {
		s.saved.Pins = make(map[string]string)
	}
	return s, nil
}

// nextSeq returns a sequence number higher than that of any earlier start.
// The clock helps when the state was lost; the stored one when the clock was.
func (s *state) nextSeq(wall time.Time) uint64 {
	s.saved.Seq = max(s.saved.Seq+1, uint64(max(wall.UnixMilli(), 0)))
	s.dirty = true
	return s.saved.Seq
}

// supernodeKey returns the key pinned for a supernode on first use, or nil.
func (s *state) supernodeKey(name string) *[32]byte {
	b, err := base64.RawURLEncoding.DecodeString(s.saved.Supernodes[name])
	if err != nil || len(b) != 32 {
		return nil
	}
	return (*[32]byte)(b)
}

func (s *state) pinSupernode(name string, key [32]byte) {
	s.saved.Supernodes[name] = base64.RawURLEncoding.EncodeToString(key[:])
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

// pins says whose a hardware address is (PROTOCOL.md, section 9).
type pins struct {
	state *state
	cid   [16]byte
}

// allow reports whether an identity may have a hardware address. An address
// that is derived from an identity is that identity's for good; of the others
// the first identity that made a session has it, unless the community is open.
func (p pins) allow(mac protocol.MAC, id [32]byte, c *crypto.Community) bool {
	if p.derived(mac, id) || c.Members == crypto.MembersOpen {
		return true
	}
	if have, ok := p.state.saved.Pins[mac.String()]; ok {
		return have == pinText(id)
	}
	return len(p.state.saved.Pins) < maxPins
}

// keep pins a hardware address to an identity that allow lets have it and that
// proved to be a member's. The owner of a derived address takes it back from
// whoever it was pinned to; it needs no pin of its own.
func (p pins) keep(mac protocol.MAC, id [32]byte, c *crypto.Community) {
	key := mac.String()
	have, pinned := p.state.saved.Pins[key]
	switch {
	case p.derived(mac, id):
		if pinned && have != pinText(id) {
			p.state.saved.Pins[key], p.state.dirty = pinText(id), true
		}
	case !pinned && c.Members != crypto.MembersOpen && len(p.state.saved.Pins) < maxPins:
		p.state.saved.Pins[key], p.state.dirty = pinText(id), true
	}
}

func pinText(id [32]byte) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// derived reports whether a hardware address is the one that follows from an
// identity.
func (p pins) derived(mac protocol.MAC, id [32]byte) bool {
	return mac == protocol.MAC(crypto.MACFor(id[:], p.cid))
}

// rememberPeers notes how to reach the peers that have a session.
func (e *Edge) rememberPeers() {
	var list []storedPeer
	for _, p := range e.peers.byStatic {
		if p.sessions.current == nil || p.id.raw == nil || len(list) == storedPeers {
			continue
		}
		stored := storedPeer{Statement: base64.RawURLEncoding.EncodeToString(p.id.raw), Name: p.about.Name}
		if a := p.view.Route().Direct; a.IsValid() && !isSide(a) {
			stored.Addr = a.String()
		}
		list = append(list, stored)
	}
	slices.SortFunc(list, func(a, b storedPeer) int { return strings.Compare(a.Statement, b.Statement) })
	if len(list) > 0 && !slices.Equal(list, e.state.saved.Peers) {
		e.state.saved.Peers = list
		e.state.dirty = true
	}
}

// tickState writes the state file if something changed, at most every five
// seconds.
func (e *Edge) tickState(now time.Time) {
	s := e.state
	if !due(now, s.storeAt) {
		return
	}
	s.storeAt = now.Add(storeEvery)
	e.rememberPeers()
	if s.dirty {
		e.store()
	}
}

// store writes the state file whole: a torn one would lose the pins.
func (e *Edge) store() {
	s := e.state
	if s.dir == "" {
		return
	}
	b, err := json.MarshalIndent(&s.saved, "", " ")
	if err == nil {
		err = replaceFile(filepath.Join(s.dir, stateFile), b)
	}
	if err != nil {
		e.host.Log.Error("cannot keep state", "dir", s.dir, "err", err)
		return
	}
	s.dirty = false
}

// replaceFile writes a file beside the old one and puts it in its place.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err2 := f.Close(); err == nil {
		err = err2
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// recallPeers meets the peers of the last run, to greet them without having
// to be told of them.
func (e *Edge) recallPeers(now time.Time) {
	for _, s := range e.state.saved.Peers {
		raw, err := base64.RawURLEncoding.DecodeString(s.Statement)
		if err != nil {
			continue
		}
		st, err := crypto.VerifyStatement(raw)
		if err != nil || st.CID != e.cid || st.Static == e.cfg.Identity.Static {
			continue
		}
		p := e.meet(now, st.Static)
		if p == nil {
			return
		}
		e.learnStatement(p, st, raw, 0)
		p.about.Name = s.Name
		p.recalled = true
		if addr, err := netip.ParseAddrPort(s.Addr); err == nil && e.addresses.policy.Probeable(addr) {
			p.handshake.direct = addr
			e.initiate(now, p)
		}
	}
}
