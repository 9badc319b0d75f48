package supernode

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hedgerow/protocol"
	"hedgerow/supernode/journal"
)

// resetIndex returns what a RESET names and proves.
func resetIndex(t *testing.T, e *fakeEdge, p sent) (uint32, [16]byte) {
	t.Helper()
	if len(p.pkt) != protocol.ResetLen {
		t.Fatalf("%d bytes", len(p.pkt))
	}
	e.mask.Show(e.sc, p.pkt)
	index, token, err := protocol.ParseReset(p.pkt)
	if err != nil {
		t.Fatal(err)
	}
	return index, token
}

func TestResetsOfTheStart(t *testing.T) {
	cfg := Config{StateDir: t.TempDir(), Limits: Limits{InitRate: 1e6}}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	const n = 120
	edges := map[uint32]*fakeEdge{}
	for i := range n {
		e := r.edge(c, fmt.Sprint("e", i), i).join()
		edges[e.session.RemoteIndex()] = e
	}
	left := r.edge(c, "left", 900).join()
	left.ask(&protocol.Unregister{})
	// The last word on where an edge is counts.
	var moved *fakeEdge
	for _, moved = range edges {
		break
	}
	moved.addr = address(999)
	var nonce [8]byte
	for _, a := range moved.open(r.deliver(moved.addr, moved.seal(&protocol.Whoami{Pad: 100}))) {
		if ping, err := protocol.ParsePing(a.value); a.typ == protocol.MsgPing && err == nil {
			nonce = ping.Nonce
		}
	}
	moved.ask(&protocol.Pong{Nonce: nonce, Seen: address(0)})

	r = r.restart(cfg)
	r.s.notices.begin(r.now)
	var rounds [2]map[uint32]bool
	rounds[0], rounds[1] = map[uint32]bool{}, map[uint32]bool{}
	start := r.now
	for range 60 {
		got := r.pass(10*time.Millisecond, 10*time.Millisecond)
		if len(got) > packetsAPace {
			t.Fatalf("%d packets in 10 ms", len(got))
		}
		since := r.now.Sub(start)
		for _, p := range got {
			round := 0
			if since >= resetAgain {
				round = 1
			}
			index, token := resetIndex(t, left, p)
			e := edges[index]
			if e == nil || p.to != e.addr {
				t.Fatalf("RESET of %08x to %v after %v", index, p.to, since)
			}
			if token != e.ack.ResetToken {
				t.Error("wrong token")
			}
			if rounds[round][index] {
				t.Errorf("%08x twice in round %d", index, round)
			}
			rounds[round][index] = true
		}
	}
	if len(rounds[0]) != n || len(rounds[1]) != n {
		t.Errorf("%d RESETs at once, %d later", len(rounds[0]), len(rounds[1]))
	}
	if got := r.pass(time.Second, 10*time.Millisecond); len(got) != 0 {
		t.Errorf("%d more", len(got))
	}
}

// TestNoResetForWhoIsBack: of the RESETs of the start an edge gets none that is back already,
// however many are, and however few of those that are left.
func TestNoResetForWhoIsBack(t *testing.T) {
	const n, back = noticeSteps + 10, noticeSteps
	cfg := Config{StateDir: t.TempDir(), Limits: Limits{InitRate: 1e6}}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	for i := range n {
		r.edge(c, fmt.Sprint("e", i), i).join()
	}
	r = r.restart(cfg)
	count := func(d time.Duration) (resets int) {
		for _, p := range r.pass(d, 10*time.Millisecond) {
			if len(p.pkt) == protocol.ResetLen {
				resets++
			}
		}
		return resets
	}
	if got := count(resetAgain - 10*time.Millisecond); got != n {
		t.Fatalf("%d RESETs at once, want %d", got, n)
	}
	for i := range back {
		r.edge(c, fmt.Sprint("e", i), i).join()
	}
	if got := count(time.Second); got != n-back {
		t.Errorf("%d RESETs later, want %d", got, n-back)
	}
}

func TestResetOfAnotherBoot(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	before := r.edge(testCommunity("c", "k"), "e", 1).join()
	r = r.restart(cfg)
	e := r.edge(testCommunity("c", "k"), "e", 1).join()
	packet := func(index uint32, kind protocol.Type, size int) []byte {
		pkt := junk(size)
		protocol.Header{Type: kind, XF: protocol.XFHop, KI: protocol.KINone, RX: index, CTR: 7}.Put(pkt)
		return e.hide(pkt)
	}
	boot := uint32(r.s.sessions.boot) << 24
	foreign := before.session.RemoteIndex()
	for _, test := range []struct {
		name string
		pkt  []byte
		want int
	}{
		{"DATA of another boot", packet(foreign, protocol.TypeData, 60), 1},
		{"RELAY of another boot", packet(foreign, protocol.TypeRelay, 90), 1},
		{"the shortest that is answered", packet(foreign, protocol.TypeData, 33), 1},
		{"as short as RESET", packet(foreign, protocol.TypeData, 32), 0},
		{"a boot that never was", packet(foreign-1<<24, protocol.TypeData, 60), 0},
		{"this boot", packet(boot|5, protocol.TypeData, 60), 0},
		{"a living session", packet(e.session.RemoteIndex(), protocol.TypeData, 60), 0},
	} {
		got := r.deliver(address(7), test.pkt)
		if len(got) != test.want {
			t.Errorf("%s: %d answers", test.name, len(got))
			continue
		}
		if test.want == 0 {
			continue
		}
		index, token := resetIndex(t, e, got[0])
		if index != foreign || token != before.ack.ResetToken || got[0].to != address(7) {
			t.Errorf("%s: index %08x", test.name, index)
		}
	}
	answers := 0
	for range 1000 {
		answers += len(r.deliver(address(9), packet(foreign, protocol.TypeData, 60)))
	}
	if answers != resetBurst {
		t.Errorf("%d RESETs in no time", answers)
	}
	answers = 0
	for i := range 1000 { // of one /48
		from := netip.AddrFrom16([16]byte{0x20, 1, 6: byte(i >> 8), 7: byte(i)})
		answers += len(r.deliver(netip.AddrPortFrom(from, 9), packet(foreign, protocol.TypeData, 60)))
	}
	if answers > 4*resetBurst {
		t.Errorf("%d RESETs to one network", answers)
	}
}

// gather returns the tokens that a stranger gets for an index of each boot that there
// may be, by the first byte of the index.
func gather(t *testing.T, r *rig, e *fakeEdge) map[uint8][16]byte {
	got := map[uint8][16]byte{}
	for boot := range 256 {
		pkt := junk(60)
		index := uint32(boot)<<24 | 5
		protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: index, CTR: 7}.Put(pkt)
		for _, answer := range r.deliver(address(boot*256), e.hide(pkt)) {
			if of, token := resetIndex(t, e, answer); of == index {
				got[uint8(boot)] = token
			}
		}
	}
	return got
}

// TestNoTokensOfBootsToCome: whoever gathers tokens for indexes that we shall give
// after the next restart could end sessions then. So they are of boots that have been
// only, and no boot has those of another one: not after 256 more, by when the first
// bytes of the indexes have gone round, and not after the state came from a backup.
func TestNoTokensOfBootsToCome(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{StateDir: dir}
	r := newRig(t, cfg)
	for range 3 {
		r = r.restart(cfg)
	}
	e := r.edge(testCommunity("c", "k"), "e", 1).join()
	backup := t.TempDir()
	r.s.store.write()
	r.s.store.close()
	for _, name := range []string{IdentityFile, journal.First, journal.Second, ResetKeysFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(backup, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	r = newRig(t, cfg)
	last := r.s.sessions.boot
	got := gather(t, r, e)
	if len(got) != int(last)-1 || got[last] != [16]byte{} {
		t.Errorf("boot %d gives tokens of %d others", last, len(got))
	}

	round := newRig(t, Config{StateDir: backup})
	if round.s.sessions.boot != last {
		t.Fatalf("boot %d after the backup, before it %d", round.s.sessions.boot, last)
	}
	own, _ := r.s.sessions.resetter.keys.token(uint32(last)<<24 | 5)
	if again, _ := round.s.sessions.resetter.keys.token(uint32(last)<<24 | 5); own == again {
		t.Error("a token of a boot that was forgotten is good for the next one")
	}

	r.s.store.write()
	if err := r.s.store.journal.Begin(256, nil); err != nil {
		t.Fatal(err)
	}
	r.s.store.close()
	r = newRig(t, cfg) // boot 257, as the first one
	if again, ok := r.s.sessions.resetter.keys.token(1<<24 | 5); !ok || r.s.sessions.boot != 1 || again == got[1] {
		t.Errorf("boot %d has a token of 256 boots ago", r.s.sessions.boot)
	}
}

// TestResetsAfterDamage: a damaged database does not take the RESETs with it.
func TestResetsAfterDamage(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	e := r.edge(testCommunity("c", "k"), "e", 1).join()
	r.s.store.close()
	for _, name := range []string{journal.First, journal.Second} {
		if err := os.WriteFile(filepath.Join(cfg.StateDir, name), junk(5000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Rand = rand.NewChaCha8([32]byte{1}) // the boot count was lost; this one draws another
	r = newRig(t, cfg)
	if r.s.sessions.boot == uint8(e.session.RemoteIndex()>>24) {
		t.Fatal("the first byte of the indexes is the same")
	}
	got := r.deliver(e.addr, e.seal(&protocol.Whoami{Pad: 100}))
	if len(got) != 1 {
		t.Fatalf("%d answers", len(got))
	}
	if _, token := resetIndex(t, e, got[0]); token != e.ack.ResetToken {
		t.Error("wrong token")
	}
}

func TestStoredRegistrations(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	for i, addr := range []netip.AddrPort{address(1), netip.MustParseAddrPort("[2001:db8::1]:1234")} {
		e := r.edge(c, fmt.Sprint("e", i), i)
		e.addr = addr
		e.join()
		reg := r.s.registry.byHandle[e.ack.Handle]
		got, err := parseRecord(reg.key(), reg.record())
		if err != nil {
			t.Fatal(err)
		}
		if got.nameHash != c.NameHash() || got.handle != e.ack.Handle || got.index != e.session.RemoteIndex() ||
			!got.expires.Equal(reg.until().Truncate(time.Second)) || got.lease != reg.lease || got.addr != addr ||
			got.statement.ID != reg.owner || string(got.signed) != string(reg.statement) {
			t.Errorf("%+v came back as %+v", reg, got)
		}
		// What does not belong there is refused: other keys, other lengths,
		// and any change of what is signed.
		whole := reg.record()
		for i := recordLen - protocol.StatementLen; i < recordLen; i++ {
			b := append([]byte(nil), whole...)
			b[i] ^= 1
			if _, err := parseRecord(reg.key(), b); err == nil {
				t.Errorf("byte %d was changed", i)
			}
		}
		for n := range whole {
			if _, err := parseRecord(reg.key(), whole[:n]); err == nil {
				t.Errorf("%d bytes were taken", n)
			}
		}
		key := reg.key()
		key[3] ^= 1
		if _, err := parseRecord(key, whole); err == nil {
			t.Error("taken for another community")
		}
	}
}

func TestDamagedRecordsAreLeftOut(t *testing.T) {
	cfg := Config{StateDir: t.TempDir()}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	good, bad := r.edge(c, "good", 1).join(), r.edge(c, "bad", 2).join()
	reg := r.s.registry.byHandle[bad.ack.Handle]
	r.s.store.put(reg.key(), reg.record()[:40])
	r.s.store.put(recordKey{1, 2, 3}, []byte("nonsense"))
	r = r.restart(cfg)
	if st := r.s.Status(); st.Leases != 1 || r.dropped(dropStored) != 2 {
		t.Errorf("%+v", st)
	}
	if r.s.registry.byHandle[good.ack.Handle] == nil {
		t.Error("the good one is gone")
	}
	r = r.restart(cfg)
	if r.dropped(dropStored) != 0 {
		t.Error("the damaged ones were kept")
	}
}
