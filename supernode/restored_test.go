package supernode

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hedgerow/internal/network"
	"hedgerow/protocol"
)

// restoredState returns a copy of a state directory as a restore leaves it.
func restoredState(t *testing.T, dir string, made time.Time) string {
	t.Helper()
	dir = copyState(t, dir)
	if err := os.WriteFile(filepath.Join(dir, RestoredFile), []byte(RestoredText(made)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRestoredKeepsWhatEdgesHold: an address changed hands after the backup was made. The
// edge that has it keeps it, the one that had it gets another, and a newcomer waits until
// all that were here are back. Once they are, the state is one like any other.
func TestRestoredKeepsWhatEdgesHold(t *testing.T) {
	dir, edges := stateWith(t, 3)
	dir = restoredState(t, dir, epoch)
	cfg := Config{StateDir: dir, Limits: Limits{InitRate: 1e6}}
	r := newRig(t, cfg)
	if r.s.Key() != edges[0].r.s.Key() || r.s.Status().Leases != 3 {
		t.Fatalf("%+v", r.s.Status())
	}
	ask := func(e *fakeEdge, want func(*protocol.Register)) (*protocol.Ack, *protocol.Nak) {
		e.connect()
		m := e.request()
		want(m)
		return e.register(m)
	}
	moved := edges[0].ack.Lease
	holder := r.edge(storedCommunity(), "holder", 77)
	if network.Of(holder.addr.Addr())[0] == network.Of(edges[0].addr.Addr())[0] {
		t.Fatal("an edge from the same network gets the address without a backup")
	}
	if ack, nak := ask(holder, func(m *protocol.Register) { m.Prefix = moved }); ack == nil || ack.Lease != moved {
		t.Errorf("whoever has %v got %+v, %+v", moved, ack, nak)
	}
	newcomer := r.edge(storedCommunity(), "newcomer", 78)
	if ack, nak := ask(newcomer, func(*protocol.Register) {}); ack != nil || nak.Code != protocol.CodeRate {
		t.Errorf("a newcomer got %+v, %+v", ack, nak)
	}
	for _, e := range edges[1:] {
		e := *e
		e.r = r
		if ack, nak := ask(&e, func(m *protocol.Register) { m.Prefix = e.ack.Lease }); ack == nil || ack.Lease != edges[1].ack.Lease && ack.Lease != edges[2].ack.Lease {
			t.Errorf("whoever was here got %+v, %+v", ack, nak)
		}
	}
	r.now = r.now.Add(returnTime)
	if ack, nak := ask(newcomer, func(*protocol.Register) {}); ack == nil || ack.Lease == moved {
		t.Errorf("a newcomer got %+v, %+v afterwards", ack, nak)
	}
	former := *edges[0]
	former.r = r
	if ack, nak := ask(&former, func(m *protocol.Register) { m.Prefix = moved }); ack == nil || ack.Lease == moved {
		t.Errorf("whoever had %v got %+v, %+v", moved, ack, nak)
	}
	r.s.store.write()
	if _, err := os.Stat(filepath.Join(dir, RestoredFile)); !os.IsNotExist(err) {
		t.Errorf("the next start would restore again: %v", err)
	}
}

// TestRestoredBoot: the boots since the backup are not known, so none of theirs is used for
// sessions that would look like those.
func TestRestoredBoot(t *testing.T) {
	dir, _ := stateWith(t, 1)
	boots := map[uint8]bool{}
	for range 8 {
		r := newRig(t, Config{StateDir: restoredState(t, dir, epoch)})
		boots[r.s.sessions.boot] = true
		r.s.store.close()
	}
	if len(boots) < 5 {
		t.Errorf("the boots are %v", boots)
	}
}

// TestUnfinishedRestore: a state directory that has half of a backup is not served.
func TestUnfinishedRestore(t *testing.T) {
	dir, _ := stateWith(t, 1)
	dir = restoredState(t, dir, epoch)
	path := filepath.Join(dir, RestoredFile)
	for text, is := range map[string]error{RestoredUnfinished: errUnfinished, "": nil, "soon": nil} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := New(Config{Conn: newRecorder(), StateDir: dir})
		if err == nil || is != nil && !errors.Is(err, is) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
