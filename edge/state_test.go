package edge

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// inDir keeps an edge's state in a directory.
func inDir(dir string) func(*Config) { return func(c *Config) { c.StateDir = dir } }

// TestStateRoundTrip stores everything that outlives a process and reads it
// again.
func TestStateRoundTrip(t *testing.T) {
	dir := t.TempDir()
	e := newEdge(t, inDir(dir))
	e.state.pinSupernode("sn:7654", [32]byte{5, 6})
	e.state.keepLease(netip.MustParsePrefix("10.64.3.4/20"))
	e.pins.keep(host(1), [32]byte{7}, e.cfg.Community)
	p := e.introduced(2)
	p.about.Name = "second"
	p.sessions.promote(e.session(p, noon, 1, true))
	e.startPath(noon, p)
	e.tickState(noon.Add(storeEvery))
	if e.state.dirty {
		t.Error("not written")
	}
	s, err := loadState(dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e.state.saved, s.saved); diff != "" {
		t.Error(diff)
	}
	if got := s.supernodeKey("sn:7654"); got == nil || *got != [32]byte{5, 6} {
		t.Errorf("supernode key %v", got)
	}
	if got := s.lease(); got != netip.MustParsePrefix("10.64.3.4/20") {
		t.Errorf("lease %v", got)
	}
	if len(s.saved.Peers) != 1 || s.saved.Peers[0].Name != "second" || len(s.saved.Pins) != 1 {
		t.Errorf("%+v", s.saved)
	}
	info, err := os.Stat(filepath.Join(dir, stateFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v %v", info.Mode(), err)
	}
	if names, _ := filepath.Glob(filepath.Join(dir, "*")); len(names) != 1 {
		t.Errorf("left behind: %v", names)
	}
}

// TestRecall starts anew with the state of an earlier run: the peer is known,
// and greeted.
func TestRecall(t *testing.T) {
	dir := t.TempDir()
	e := newEdge(t, inDir(dir))
	p := e.introduced(2)
	p.sessions.promote(e.session(p, noon, 1, true))
	p.view.SetRoute(dataplane.Route{Direct: netip.MustParseAddrPort("198.51.100.7:40000")})
	e.tickState(noon.Add(storeEvery))

	again := newEdge(t, inDir(dir))
	q := again.peers.byStatic[p.view.Static()]
	if q == nil || !q.recalled || !q.id.bound || q.view.MAC() != p.view.MAC() || !q.handshake.active {
		t.Fatalf("%+v", q)
	}
	sent := again.conn.take()
	if len(sent) != 2 || sent[1].to != netip.MustParseAddrPort("198.51.100.7:40000") || len(sent[1].pkt) != protocol.InitLen {
		t.Errorf("sent %d datagrams", len(sent))
	}
	if again.state.saved.Seq <= e.state.saved.Seq {
		t.Errorf("number %d after %d", again.state.saved.Seq, e.state.saved.Seq)
	}
}

// TestRecallRefuses gives an edge peers in its state that it must not believe:
// a file is no proof.
func TestRecallRefuses(t *testing.T) {
	e := newEdge(t, nil)
	_, raw := e.sign(testIdentity(2), protocol.MAC(testIdentity(2).MAC(e.cid)), 1)
	_, own := e.sign(e.cfg.Identity, e.plane.Self(), 1)
	forged := bytes.Clone(raw)
	forged[len(forged)-1] ^= 1
	id := testIdentity(3)
	foreign := id.SignStatement(crypto.Statement{ID: [32]byte(id.ID), Static: id.Static, CID: [16]byte{1}, MAC: id.MAC(e.cid)})
	for _, b := range [][]byte{own, forged, foreign, nil, raw[:10]} {
		e.state.saved.Peers = append(e.state.saved.Peers, storedPeer{Statement: base64.RawURLEncoding.EncodeToString(b)})
	}
	e.state.saved.Peers = append(e.state.saved.Peers, storedPeer{Statement: "not base64!"})
	// An address that must not be probed is not, though the peer is known.
	e.state.saved.Peers = append(e.state.saved.Peers, storedPeer{Statement: base64.RawURLEncoding.EncodeToString(raw), Addr: "127.0.0.1:4000"})
	e.conn.take()
	e.recallPeers(noon)
	e.send.Flush()
	if len(e.peers.byStatic) != 1 || len(e.conn.take()) != 0 {
		t.Errorf("%d peers", len(e.peers.byStatic))
	}
}

// TestStateFaults reads files that are not ours to use. None is taken for an
// empty one, which would lose the pins.
func TestStateFaults(t *testing.T) {
	for name, c := range map[string]struct{ content, want string }{
		"empty":         {"", "damaged"},
		"torn":          {`{"seq": 12, "pins": {"02:0`, "damaged"},
		"another shape": {`{"seq": "twelve"}`, "damaged"},
		"negative":      {`{"seq": -1}`, "damaged"},
		"a list":        {`[]`, "damaged"},
		"huge":          {strings.Repeat(" ", maxState+1), "larger than"},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, stateFile)
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadState(dir); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
		cfg := testConfig()
		cfg.StateDir = dir
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: New took it", name)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != c.content {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

// TestStateAbsent begins with no file, no directory, and a file that cannot
// be read.
func TestStateAbsent(t *testing.T) {
	for _, dir := range []string{"", t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		s, err := loadState(dir)
		if err != nil || s.saved.Seq != 0 || s.saved.Pins == nil || s.saved.Supernodes == nil || s.lease().IsValid() || s.supernodeKey("x") != nil {
			t.Errorf("%q: %+v %v", dir, s, err)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, stateFile), fs.ModePerm); err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(dir); err == nil {
		t.Error("a directory was taken for an empty file")
	}
}

// TestSeq checks that the statement's number rises at every start, whatever
// the clock says and whether or not the last start got far.
func TestSeq(t *testing.T) {
	dir := t.TempDir()
	last := uint64(0)
	for i, wall := range []time.Time{noon, noon, noon.Add(time.Millisecond), noon.AddDate(-1, 0, 0), time.Unix(0, 0), time.Time{}, noon.Add(time.Hour)} {
		s, err := loadState(dir)
		if err != nil {
			t.Fatal(err)
		}
		seq := s.nextSeq(wall)
		if seq <= last {
			t.Errorf("start %d: %d after %d", i, seq, last)
		}
		if !s.dirty {
			t.Errorf("start %d: would not be stored", i)
		}
		last = seq
		e := &Edge{state: s}
		e.store()
	}
	if want := uint64(noon.Add(time.Hour).UnixMilli()); last != want {
		t.Errorf("the last number is %d, want the clock's %d", last, want)
	}
	// Without the file the clock alone makes it rise.
	fresh, _ := loadState(t.TempDir())
	if fresh.nextSeq(noon.Add(2*time.Hour)) <= last {
		t.Error("a lost file makes the number fall")
	}
}

// TestDamagedKey treats a supernode's key that does not decode as none.
func TestDamagedKey(t *testing.T) {
	s, _ := loadState("")
	s.saved.Supernodes["short"], s.saved.Supernodes["odd"] = "AAAA", "%%"
	if s.supernodeKey("short") != nil || s.supernodeKey("odd") != nil {
		t.Error("a damaged key was taken")
	}
}

// TestPins checks whose a hardware address is, by the rule of membership.
func TestPins(t *testing.T) {
	c := testCommunity()
	cid := c.ID()
	one, two := [32]byte(testIdentity(1).ID), [32]byte(testIdentity(2).ID)
	derived := protocol.MAC(testIdentity(1).MAC(cid))
	for _, members := range []crypto.Members{crypto.MembersTOFU, crypto.MembersOpen, crypto.MembersList} {
		c.Members = members
		open := members == crypto.MembersOpen
		s, _ := loadState("")
		p := pins{state: s, cid: cid}
		if !p.derived(derived, one) || p.derived(derived, two) || p.derived(host(1), one) {
			t.Fatal("derived addresses")
		}
		if !p.allow(host(1), one, c) || !p.allow(host(1), two, c) || len(s.saved.Pins) != 0 {
			t.Errorf("%v: asking pins", members)
		}
		p.keep(host(1), one, c)
		p.keep(host(1), two, c) // too late
		if !p.allow(host(1), one, c) || p.allow(host(1), two, c) != open {
			t.Errorf("%v: the first one does not have it", members)
		}
		p.keep(derived, two, c)
		if !p.allow(derived, one, c) {
			t.Errorf("%v: a derived address was refused to its owner", members)
		}
		p.keep(derived, one, c)
		if p.allow(derived, two, c) != open {
			t.Errorf("%v: a derived address stayed with another", members)
		}
		if s.dirty == open {
			t.Errorf("%v: dirty %v", members, s.dirty)
		}
	}
}

// TestPinsBound fills the pins: no one new gets an address that is not its
// own, and nobody loses one.
func TestPinsBound(t *testing.T) {
	c := testCommunity()
	s, _ := loadState("")
	p := pins{state: s, cid: c.ID()}
	for n := range maxPins + 5 {
		p.keep(manyHosts(n), [32]byte{1}, c)
	}
	if len(s.saved.Pins) != maxPins {
		t.Errorf("%d pins", len(s.saved.Pins))
	}
	id := testIdentity(1)
	if p.allow(manyHosts(maxPins), [32]byte{1}, c) || !p.allow(manyHosts(0), [32]byte{1}, c) || p.allow(manyHosts(0), [32]byte{2}, c) {
		t.Error("a full table forgets, or takes more")
	}
	if !p.allow(protocol.MAC(id.MAC(p.cid)), [32]byte(id.ID), c) {
		t.Error("a derived address needs no room")
	}
}
