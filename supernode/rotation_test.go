package supernode

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/supernode/journal"
)

// rotationsTo returns the rotations among the messages to an edge.
func rotationsTo(t *testing.T, e *fakeEdge, packets []sent) (list []protocol.Rotate) {
	t.Helper()
	for _, m := range e.open(packets) {
		if m.typ == protocol.MsgRotate {
			got, err := protocol.ParseRotate(m.value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, got)
		}
	}
	return list
}

// copied returns packets that others read as well.
func copied(packets []sent) (all []sent) {
	for _, p := range packets {
		all = append(all, sent{p.to, bytes.Clone(p.pkt)})
	}
	return all
}

// knowsBy has an edge know the supernode by a key from now on.
func (e *fakeEdge) knowsBy(key [32]byte) {
	e.knows, e.mask = key, crypto.NewMask(crypto.SupernodeMaskKey(key, nil))
}

// relays checks that a packet of one edge is relayed to another.
func relays(t *testing.T, from, to *fakeEdge) {
	t.Helper()
	handle := to.r.s.registry.communities[to.community.ID()].byMAC[to.mac].handle
	if _, got := to.unwrap(from.r.deliver(from.addr, from.wrap(handle, 0, junk(90)))); len(got) != 1 || !bytes.Equal(got[0], junk(90)) {
		t.Errorf("%d packets are relayed; drops %v", len(got), from.r.s.refused.drops.nonzero())
	}
	if _, got := to.unwrap(from.r.deliver(from.addr, from.wrap(protocol.HandleAll, 0, junk(80)))); len(got) != 1 || !bytes.Equal(got[0], junk(80)) {
		t.Errorf("%d floods are relayed; drops %v", len(got), from.r.s.refused.drops.nonzero())
	}
}

// TestRotation: edges that know the supernode by the key before are told of the new one, with
// a proof for each, until they have noted it, and with each ACK. Packets under either key are
// relayed to edges under either, also after the supernode was handed over or has restarted.
// The key before ends when nobody uses it, or when it has to, and is on the disk no more.
func TestRotation(t *testing.T) {
	cfg := Config{StateDir: t.TempDir(), Limits: Limits{InitRate: 1e6}}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	goes, stays := r.edge(c, "goes", 1).join(), r.edge(c, "stays", 2).join()
	before := r.s.Key()
	seed, _ := r.s.Secrets()
	if err := r.s.EndRotation(true); !errors.Is(err, ErrNotRotated) {
		t.Errorf("ended before it began: %v", err)
	}
	if err := r.s.Rotate(); err != nil {
		t.Fatal(err)
	}
	if err := r.s.Rotate(); !errors.Is(err, ErrRotated) || r.s.Key() == before {
		t.Errorf("rotated once more: %v", err)
	}
	first := r.pass(50*time.Millisecond, pace)
	for _, e := range []*fakeEdge{goes, stays} {
		got := rotationsTo(t, e, copied(first))
		if len(got) != 1 || got[0].Key != r.s.Key() || got[0].Serial != uint64(epoch.UnixMilli()) {
			t.Fatalf("told %+v", got)
		}
		said := crypto.Rotation{Old: before, New: got[0].Key, Serial: got[0].Serial}
		if !said.Proven(e.id, got[0].Proof) {
			t.Error("the proof is none")
		}
	}
	relays(t, goes, stays)
	relays(t, stays, goes)
	goes.ask(&protocol.Rotate{Serial: uint64(epoch.UnixMilli()) - 1})
	goes.ask(&protocol.Rotate{Serial: uint64(epoch.UnixMilli())})
	rest := r.pass(100*time.Second, 100*time.Millisecond)
	if n, m := len(rotationsTo(t, goes, copied(rest))), len(rotationsTo(t, stays, copied(rest))); n != 0 || m != roundsMost-1 {
		t.Errorf("told %d and %d times more", n, m)
	}
	late := goes.wrap(stays.ack.Handle, 0, junk(70)) // under the old session, and still on its way
	goes.knowsBy(r.s.Key())
	goes.connect()
	if answer := goes.ask(goes.request()); len(answer) == 0 || answer[0].typ != protocol.MsgAck || len(answer) > 1 && answer[1].typ == protocol.MsgRotate {
		t.Errorf("who has gone over hears %v", answer)
	}
	if _, got := stays.unwrap(r.deliver(goes.addr, late)); len(got) != 1 {
		t.Errorf("what was on its way is not relayed: %v", r.s.refused.drops.nonzero())
	}
	relays(t, goes, stays)
	relays(t, stays, goes)
	if st := r.s.Status(); st.Totals.Rotation == nil || st.Totals.Rotation.Edges != 2 || st.Totals.Rotation.Old != 1 || st.Totals.Rotation.Former != KeyText(before) || st.Key != KeyText(r.s.Key()) {
		t.Errorf("status %+v", st.Totals.Rotation)
	}
	if err := r.s.EndRotation(false); !errors.Is(err, ErrFormerUsed) || !strings.Contains(err.Error(), "1 edge: "+stays.id.ShortID()) {
		t.Errorf("ended while it is used: %v", err)
	}
	r.s.store.write()
	r.s.store.close()
	r = r.handOver(cfg, goes, stays)
	if !r.s.store.openLater() {
		t.Fatal("the state directory is not given back")
	}
	relays(t, goes, stays)
	relays(t, stays, goes)
	endRotation(t, r, cfg, before, seed, goes, stays)
}

// TestOtherMaskOnTheWay: who stands between and knows both keys of a supernode can take an
// edge's packet out of one mask and put it into the other. The edge does not count as one that
// has gone over by that, and what it is sent later has the mask that it knows.
func TestOtherMaskOnTheWay(t *testing.T) {
	r := newRig(t, Config{StateDir: t.TempDir(), Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	if err := r.s.Rotate(); err != nil {
		t.Fatal(err)
	}
	sc, keys := new(crypto.Scratch), &r.s.sockets.keys
	for _, from := range []netip.AddrPort{a.addr, netip.AddrPortFrom(a.addr.Addr(), a.addr.Port()+1)} {
		pkt := a.wrap(b.ack.Handle, 0, junk(90))
		keys.former.mask.Show(sc, pkt)
		keys.own.mask.Hide(sc, pkt)
		r.deliver(from, pkt)
	}
	if st := r.s.Status().Totals.Rotation; st.Old != 2 {
		t.Errorf("%d of 2 edges count as those that use the key before", st.Old)
	}
	if _, got := a.unwrap(r.deliver(b.addr, b.wrap(a.ack.Handle, 0, junk(90)))); len(got) != 1 {
		t.Error("what is relayed to it has a mask that it does not know")
	}
}

// endRotation is the second half of TestRotation.
func endRotation(t *testing.T, r *rig, cfg Config, before, seed [32]byte, goes, stays *fakeEdge) {
	r = r.restart(cfg)
	goes.r, stays.r = r, r
	told := map[*fakeEdge]bool{}
	for _, p := range r.pass(50*time.Millisecond, pace) {
		for _, e := range []*fakeEdge{goes, stays} {
			pkt := bytes.Clone(p.pkt)
			e.mask.Show(e.sc, pkt)
			if _, _, err := protocol.ParseReset(pkt); err == nil && p.to == e.addr {
				told[e] = true
			}
		}
	}
	if len(told) != 2 {
		t.Errorf("%d edges are told of the restart in a way that they understand", len(told))
	}
	stays.connect()
	if answer := stays.ask(stays.request()); len(answer) < 2 || answer[0].typ != protocol.MsgAck || answer[1].typ != protocol.MsgRotate {
		t.Errorf("who comes back by the key before hears %v", answer)
	}
	goes.join()
	relays(t, goes, stays)
	relays(t, stays, goes)
	if err := r.s.EndRotation(true); err != nil {
		t.Fatal(err)
	}
	r.pass(2*sweepPause, sweepPause)
	if st := r.s.Status(); st.Totals.Rotation != nil || st.Edges != 1 {
		t.Errorf("ended, there are %d edges, and %+v", st.Edges, st.Totals.Rotation)
	}
	if _, pkt := stays.initiate(nil); len(r.deliver(stays.addr, pkt)) != 0 {
		t.Error("the key before still answers")
	}
	if at := holding(t, cfg.StateDir, seed[:]); len(at) != 0 {
		t.Errorf("the seed before is in %v", at)
	}
	serial := r.s.controls.rotation.file.serial
	r = r.restart(cfg)
	r.now = epoch.Add(-time.Hour)
	if r.s.Key() == before || r.s.sockets.keys.former != nil {
		t.Error("it has not ended for good")
	}
	if err := r.s.Rotate(); err != nil || r.s.controls.rotation.file.serial <= serial {
		t.Errorf("%v: the next serial is %d, behind %d", err, r.s.controls.rotation.file.serial, serial)
	}
}

// holding returns the files of a directory with some bytes in them.
func holding(t *testing.T, dir string, bs []byte) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, bs) {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestRotationWithoutDirectory: nothing is kept, so there is no other key.
func TestRotationWithoutDirectory(t *testing.T) {
	r := newRig(t, Config{})
	if err := r.s.Rotate(); err == nil || r.s.Key() != identity("supernode").Static {
		t.Errorf("rotated: %v", err)
	}
}

// TestShowsByEitherKey: a datagram under either key is shown without an allocation, one under
// none is our own's, and with one key there is one try: what is under another stays as that
// one makes it.
func TestShowsByEitherKey(t *testing.T) {
	r := newRig(t, Config{StateDir: t.TempDir()})
	keys, sc := &r.s.sockets.keys, crypto.NewScratch()
	other := r.s.strangers.handshakes.newKey(identity("another"))
	plain := startControl(nil)
	protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: 7}.Put(plain)
	plain = append(plain, junk(60)...)
	masked := func(by *serverKey) []byte {
		b := bytes.Clone(plain)
		by.mask.Hide(sc, b)
		return b
	}
	once := masked(other)
	keys.own.mask.Show(sc, once)
	b := masked(other)
	if by := keys.show(sc, b); by != keys.own || !bytes.Equal(b, once) {
		t.Error("with one key there is a second try")
	}
	was := keys.own
	keys.rotate(other, 1)
	for _, want := range []*serverKey{was, other} {
		b := masked(want)
		if by := keys.show(sc, b); by != want || !bytes.Equal(b, plain) {
			t.Errorf("%x, by our own %v", b, by == keys.own)
		}
		if n := testing.AllocsPerRun(100, func() { want.mask.Hide(sc, b); keys.show(sc, b) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
	for range 1000 {
		b := junk(200)
		if by := keys.show(sc, b); by != keys.own && !isHopPacket(b) {
			t.Fatal("noise is for the key before")
		}
	}
}

// TestRotationCutShort kills the supernode at each step to the disk of a rotation and of its
// end, and has each step fail alone: it says whether it was done, goes on so, and the next
// start has the key that edges were given, by which every edge finds it.
func TestRotationCutShort(t *testing.T) {
	for _, once := range []bool{false, true} {
		for end := range 2 {
			for at := 1; ; at++ {
				if !cutShort(t, at, once, end == 1) {
					if at < 8 {
						t.Errorf("only %d steps", at)
					}
					break
				}
			}
		}
	}
}

// cutShort is TestRotationCutShort for one step. It reports whether there was such a step.
func cutShort(t *testing.T, at int, once, end bool) bool {
	t.Helper()
	dir, disk := t.TempDir(), &faultyDisk{Disk: forgetful{journal.System}}
	r := newRigOn(t, disk, Config{StateDir: dir})
	first := r.s.Key()
	if end {
		if err := r.s.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	was, former := r.s.Key(), r.s.sockets.keys.former
	disk.steps = 0
	disk.fail = func(step int, _ bool) bool { return step == at || step > at && !once }
	change := r.s.Rotate
	if end {
		change = func() error { return r.s.EndRotation(false) }
	}
	err := change()
	failed := disk.failed > 0
	is, now := r.s.Key(), r.s.sockets.keys.former
	if err != nil && (is != was || now != former) {
		t.Errorf("step %d: %v, and it has changed", at, err)
	}
	disk.fail = nil
	var log bytes.Buffer
	next := newRig(t, Config{StateDir: copyState(t, dir), Log: slog.New(slog.NewTextHandler(&log, nil))})
	keys := &next.s.sockets.keys
	switch {
	case strings.Contains(log.String(), "another identity"):
		t.Errorf("step %d: the next start says %s", at, &log)
	case err == nil && (next.s.Key() != is || (keys.former == nil) != (now == nil)):
		t.Errorf("step %d: it was done, and the next start has another key", at)
	case err != nil && !end && next.s.Key() != first && (keys.former == nil || keys.former.identity.Static != first):
		t.Errorf("step %d: %v, and the next start does not know the key before", at, err)
	case err != nil && end && next.s.Key() != was:
		t.Errorf("step %d: %v, and the next start has another key", at, err)
	}
	if err = change(); failed && err != nil && !errors.Is(err, ErrRotated) && !errors.Is(err, ErrNotRotated) {
		t.Errorf("step %d: when there is room again: %v", at, err)
	}
	return failed
}

// TestRotationFileDamaged: with one of the two files damaged in any way, or removed, both
// keys answer after a start, which says what is damaged, and the start after that is a clean
// one.
func TestRotationFileDamaged(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, Config{StateDir: dir})
	before := r.s.Key()
	if err := r.s.Rotate(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{RotationFile, RotationCopy} {
		whole, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for damage, content := range damages(whole) {
			at := copyState(t, dir)
			if err := os.WriteFile(filepath.Join(at, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
			startsDamaged(t, at, name+", "+damage, before, 1)
		}
		at := copyState(t, dir)
		if err := os.Remove(filepath.Join(at, name)); err != nil {
			t.Fatal(err)
		}
		startsDamaged(t, at, name+", removed", before, 0)
	}
}

// TestRotationEndsAside: with the end of a rotation the former key is in no file any more,
// whatever was set aside meanwhile, and what else was set aside stays.
func TestRotationEndsAside(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	disk := &faultyDisk{Disk: forgetful{journal.System}}
	r := newRigOn(t, disk, Config{StateDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
	seed := r.s.sockets.keys.own.identity.Seed
	damaged := append([]byte("damage"), seed[:9]...)
	has := map[string]bool{ // what was set aside, and whether it has the key
		RotationFile + ".damaged-1": true, IdentityFile + ".damaged-1": true, IdentityCopy + ".replaced-1": true,
		IdentityFile + ".damaged-2": false, IdentityCopy + ".replaced-2": false,
	}
	for name, has := range has {
		content := damaged
		if !has {
			content = junk(36)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.s.Rotate(); err != nil {
		t.Fatal(err)
	}
	if err := r.s.EndRotation(false); err != nil {
		t.Fatal(err)
	}
	for name, has := range has {
		if _, err := os.Lstat(filepath.Join(dir, name)); (err == nil) == has {
			t.Errorf("%s, with the key %v: %v", name, has, err)
		}
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			b, _ := os.ReadFile(path)
			if hasPart(b, seed) {
				t.Errorf("%s has the key", path)
			}
		}
		return err
	})
	if err != nil || strings.Contains(log.String(), "cannot be removed") {
		t.Errorf("%v, log %s", err, &log)
	}
}

// startsDamaged starts a supernode twice.
func startsDamaged(t *testing.T, dir, what string, before [32]byte, warnings int) {
	t.Helper()
	for _, want := range []int{warnings, 0} {
		var log bytes.Buffer
		r := newRig(t, Config{StateDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if k := r.s.sockets.keys.former; k == nil || k.identity.Static != before || r.s.Key() == before {
			t.Errorf("%s: a key is missing; log %s", what, &log)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != want {
			t.Errorf("%s: %d warnings, want %d: %s", what, n, want, &log)
		}
		r.s.store.close()
	}
}
