package edge

import (
	"bytes"
	"context"
	"encoding/base64"
	"io/fs"
	"log/slog"
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

// quiet is a log that keeps nothing.
var quiet = slog.New(slog.DiscardHandler)

// inDir keeps an edge's state in a directory.
func inDir(dir string) func(*Config) { return func(c *Config) { c.StateDir = dir } }

// TestStateRoundTrip stores everything that outlives a process and reads it
// again.
func TestStateRoundTrip(t *testing.T) {
	dir := t.TempDir()
	e := newEdge(t, inDir(dir))
	e.state.pinSupernode("sn:7654", [32]byte{5, 6})
	e.state.keepLease(netip.MustParsePrefix("10.64.3.4/20"))
	e.peers.pins.keep(noon, host(1), [32]byte{7}, e.cfg.Community)
	p := e.introduced(2)
	p.about.Name = "second"
	e.promote(p, e.session(p, noon, 1, true))
	e.paths.routing.start(noon, p)
	e.keepState(noon.Add(storeEvery))
	e.background.workers.Wait()
	if e.state.dirty {
		t.Error("not written")
	}
	s, err := loadState(dir, noon, quiet)
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
	e.promote(p, e.session(p, noon, 1, true))
	p.view.SetRoute(dataplane.Route{Direct: netip.MustParseAddrPort("198.51.100.7:40000")})
	e.keepState(noon.Add(storeEvery))
	e.background.workers.Wait()

	again := newEdge(t, inDir(dir))
	q := again.peers.byStatic[p.view.Static()]
	if q == nil || !q.recalled || !q.identity.bound || q.view.MAC() != p.view.MAC() || !q.sessions.init.active() {
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
	_, raw := e.sign(testIdentity(2), protocol.MAC(testIdentity(2).MAC(e.self.cid)), 1)
	_, own := e.sign(e.cfg.Identity, e.self.mac, 1)
	forged := bytes.Clone(raw)
	forged[len(forged)-1] ^= 1
	id := testIdentity(3)
	foreign := id.SignStatement(crypto.Statement{ID: [32]byte(id.ID), Static: id.Static, CID: [16]byte{1}, MAC: id.MAC(e.self.cid)})
	for _, b := range [][]byte{own, forged, foreign, nil, raw[:10]} {
		e.state.saved.Peers = append(e.state.saved.Peers, storedPeer{Statement: base64.RawURLEncoding.EncodeToString(b)})
	}
	e.state.saved.Peers = append(e.state.saved.Peers, storedPeer{Statement: "not base64!"})
	// An address that must not be probed is not, though the peer is known.
	e.state.saved.Peers = append(e.state.saved.Peers, storedPeer{Statement: base64.RawURLEncoding.EncodeToString(raw), Addr: "127.0.0.1:4000"})
	e.conn.take()
	recallPeers(e.Edge, noon)
	e.settle(noon)
	if len(e.peers.byStatic) != 1 || len(e.conn.take()) != 0 {
		t.Errorf("%d peers", len(e.peers.byStatic))
	}
}

// TestStateAbsent begins with no file, no directory, and a file that cannot
// be read.
func TestStateAbsent(t *testing.T) {
	for _, dir := range []string{"", t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		s, err := loadState(dir, noon, quiet)
		if err != nil || s.saved.Seq != 0 || s.saved.Pins == nil || s.saved.Supernodes == nil || s.lease().IsValid() || s.supernodeKey("x") != nil {
			t.Errorf("%q: %+v %v", dir, s, err)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, stateFile), fs.ModePerm); err != nil {
		t.Fatal(err)
	}
	if _, err := loadState(dir, noon, quiet); err == nil {
		t.Error("a directory was taken for an empty file")
	}
}

// TestSeq checks that the statement's number rises at every start, whatever
// the clock says and whether or not the last start got far.
func TestSeq(t *testing.T) {
	dir := t.TempDir()
	last := uint64(0)
	for i, wall := range []time.Time{noon, noon, noon.Add(time.Millisecond), noon.AddDate(-1, 0, 0), time.Unix(0, 0), time.Time{}, noon.Add(time.Hour)} {
		s, err := loadState(dir, noon, quiet)
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
		s.keepNow()
	}
	if want := uint64(noon.Add(time.Hour).UnixMilli()); last != want {
		t.Errorf("the last number is %d, want the clock's %d", last, want)
	}
	// Without the file the clock alone makes it rise.
	fresh, _ := loadState(t.TempDir(), noon, quiet)
	if fresh.nextSeq(noon.Add(2*time.Hour)) <= last {
		t.Error("a lost file makes the number fall")
	}
}

// TestDamagedKey treats a supernode's key that does not decode as none.
func TestDamagedKey(t *testing.T) {
	s, _ := loadState("", noon, quiet)
	s.saved.Supernodes["short"], s.saved.Supernodes["odd"] = "AAAA", "%%"
	if s.supernodeKey("short") != nil || s.supernodeKey("odd") != nil {
		t.Error("a damaged key was taken")
	}
}

// TestStateDamaged reads files that are no state. Each is set aside with all that it
// holds, which is said in the log and in status, and the edge begins anew.
func TestStateDamaged(t *testing.T) {
	for name, content := range map[string]string{
		"empty":         "",
		"torn":          `{"seq": 12, "pins": {"02:0`,
		"another shape": `{"seq": "twelve"}`,
		"negative":      `{"seq": -1}`,
		"a list":        `[]`,
		"too large":     strings.Repeat(" ", maxState+1),
		"zeros":         strings.Repeat("\x00", 100),
	} {
		t.Run(name, func(t *testing.T) {
			dir, log := t.TempDir(), new(bytes.Buffer)
			path := filepath.Join(dir, stateFile)
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			e := newEdge(t, func(c *Config) {
				c.StateDir, c.Host.Log = dir, slog.New(slog.NewTextHandler(log, nil))
			})
			aside := path + ".damaged-20260301T120000.000Z"
			if b, err := os.ReadFile(aside); err != nil || string(b) != content {
				t.Errorf("the file that was set aside has %d bytes, %v", len(b), err)
			}
			if notes := e.status(noon).Notes; !strings.Contains(strings.Join(notes, "|"), aside) {
				t.Errorf("status says %q", notes)
			}
			if !strings.Contains(log.String(), "level=WARN") || !strings.Contains(log.String(), aside) {
				t.Errorf("the log says %s", log)
			}
			again, err := loadState(dir, noon, quiet)
			if err != nil || again.saved.Seq != uint64(noon.UnixMilli()) || strings.Join(again.notes(), "") != "" {
				t.Errorf("the state that was begun anew: %+v %v", again, err)
			}
		})
	}
}

// A damaged file that cannot be set aside ends the start with a sentence that names
// it, and so does one that cannot be read.
func TestStateStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, stateFile)
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A directory that is not empty is where the file would have to go.
	if err := os.MkdirAll(filepath.Join(path+".damaged-20260301T120000.000Z", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig()
	cfg.StateDir = dir
	if _, err := compose(cfg, noon); err == nil || !strings.Contains(err.Error(), "cannot be set aside") || !strings.Contains(err.Error(), path) {
		t.Errorf("set aside over a directory: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "{" {
		t.Errorf("the file has %q, %v", b, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := compose(cfg, noon); err == nil || !strings.Contains(err.Error(), "read state") || !strings.Contains(err.Error(), path) {
		t.Errorf("a directory in its place: %v", err)
	}
}

// Where the state cannot be written, the edge runs all the same, says so, and tries
// again.
func TestStateCannotBeWritten(t *testing.T) {
	dir, log := filepath.Join(t.TempDir(), "later"), new(bytes.Buffer)
	e := newEdge(t, func(c *Config) { c.StateDir, c.Host.Log = dir, slog.New(slog.NewTextHandler(log, nil)) })
	if !e.state.dirty || strings.Count(log.String(), "the state cannot be kept") != 1 || !strings.Contains(strings.Join(e.state.notes(), ""), dir) || !strings.Contains(log.String(), dir) {
		t.Errorf("dirty %v, log %s", e.state.dirty, log)
	}
	e.pass(noon.Add(storeEvery))
	e.await(noon.Add(storeEvery)) // it failed again
	if !e.state.dirty || strings.Count(log.String(), "the state cannot be kept") != 1 {
		t.Errorf("the second failure is forgotten or said again: %s", log)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	e.pass(noon.Add(2 * storeEvery))
	e.await(noon.Add(2 * storeEvery))
	if note := e.state.notes(); len(note) != 0 {
		t.Errorf("written, and status says %q", note)
	}
	if s, err := loadState(dir, noon, quiet); err != nil || s.saved.Seq != e.state.saved.Seq || e.state.dirty {
		t.Errorf("not written at last: %+v %v", s, err)
	}
}

// Versions that are written in the background may come to the disk in any order: the
// newest stays.
func TestNewestStateStays(t *testing.T) {
	s, err := loadState(t.TempDir(), noon, quiet)
	if err != nil {
		t.Fatal(err)
	}
	var writes []func() error
	for n := range 4 {
		s.saved.Seq = uint64(10 + n)
		writes = append(writes, s.prepare())
	}
	for _, i := range []int{1, 3, 0, 2} {
		if err := writes[i](); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := loadState(s.dir, noon, quiet); err != nil || got.saved.Seq != 13 {
		t.Errorf("%d is on the disk, %v", got.saved.Seq, err)
	}
	running, cancel := context.WithCancel(t.Context())
	s.loop = &background{requests: make(chan func(time.Time)), running: running}
	for n := range 20 {
		s.saved.Seq = uint64(100 + n)
		s.keep()
	}
	s.loop.workers.Wait()
	cancel()
	if got, err := loadState(s.dir, noon, quiet); err != nil || got.saved.Seq != 119 || s.dirty {
		t.Errorf("%d is on the disk, %v", got.saved.Seq, err)
	}
}

// Sixty-four peers are remembered at most, and of each where it was reached
// directly, but not through what.
func TestRemember(t *testing.T) {
	e := newEdge(t, nil)
	p, q := e.neighbour(2), e.met(3, "cellar")
	e.introduced(4) // without a session
	e.state.remember(e.peers)
	saved := make(map[string]storedPeer)
	for _, s := range e.state.saved.Peers {
		saved[s.Statement] = s
	}
	text := func(p *peer) string { return base64.RawURLEncoding.EncodeToString(p.identity.raw) }
	if len(saved) != 2 || saved[text(p)].Addr != p.view.Route().Direct.String() || saved[text(q)] != (storedPeer{Statement: text(q), Name: "cellar"}) {
		t.Errorf("%+v", saved)
	}
	e.state.dirty = false
	if e.state.remember(e.peers); e.state.dirty {
		t.Error("the same again is a change")
	}
	for n := range 70 {
		e.met(byte(10+n), "")
	}
	if e.state.remember(e.peers); len(e.state.saved.Peers) != storedPeers {
		t.Errorf("%d peers", len(e.state.saved.Peers))
	}
	e.sessions.closed(p)
	e.settle(noon)
}
