package supernode

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/protocol"
)

// redirectsTo returns the redirects among the messages to an edge.
func redirectsTo(t *testing.T, e *fakeEdge, packets []sent) (list []protocol.Redirect) {
	t.Helper()
	for _, m := range e.open(packets) {
		if m.typ == protocol.MsgRedirect {
			got, err := protocol.ParseRedirect(m.value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, got)
		}
	}
	return list
}

// TestMoveIsTold: who is here is told of a move in four rounds until it has noted it, who
// comes later with its ACK, and whoever comes after a restart, too. An edge that has noted it
// is told no more, and a guest can note nothing.
func TestMoveIsTold(t *testing.T) {
	cfg := Config{StateDir: t.TempDir(), Limits: Limits{InitRate: 1e6}}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	quick, deaf := r.edge(c, "quick", 1).join(), r.edge(c, "deaf", 2).join()
	for host, port := range map[string]uint16{"new.example": 0, "a b": 7654, "[::1]": 1} {
		if err := r.s.Move(host, port); err == nil {
			t.Errorf("%q:%d is a place", host, port)
		}
	}
	if err := r.s.Move("new.example", 7655); err != nil {
		t.Fatal(err)
	}
	first := r.pass(50*time.Millisecond, pace)
	got := redirectsTo(t, quick, first)
	if len(got) != 1 || got[0].Host != "new.example" || got[0].Port != 7655 || got[0].Key != r.s.Key() || got[0].Serial != uint64(epoch.UnixMilli()) {
		t.Fatalf("told %+v", got)
	}
	if n := len(redirectsTo(t, deaf, first)); n != 1 {
		t.Fatalf("the other is told %d times", n)
	}
	quick.ask(&protocol.Redirect{Serial: got[0].Serial - 1})
	quick.ask(&protocol.Redirect{Serial: got[0].Serial})
	if st := r.s.Status().Totals.Redirect; st == nil || st.Place != "new.example:7655" || st.Edges != 2 || st.Noted != 1 {
		t.Errorf("status %+v", st)
	}
	rest := r.pass(100*time.Second, 100*time.Millisecond)
	if n, m := len(redirectsTo(t, quick, rest)), len(redirectsTo(t, deaf, rest)); n != 0 || m != roundsMost-1 {
		t.Errorf("told %d and %d times more", n, m)
	}
	guest := r.edge(c, "guest", 3)
	guest.connect()
	before := r.dropped(dropUnregistered)
	guest.ask(&protocol.Redirect{Serial: got[0].Serial})
	if r.dropped(dropUnregistered) != before+1 {
		t.Error("a guest has noted it")
	}
	r = r.restart(cfg)
	later := r.edge(c, "later", 4)
	later.connect()
	if answer := later.ask(later.request()); len(answer) < 2 || answer[0].typ != protocol.MsgAck || answer[1].typ != protocol.MsgRedirect {
		t.Errorf("who comes later hears %v", answer)
	}
	if err := r.s.Move("", 0); err != nil {
		t.Fatal(err)
	}
	back := redirectsTo(t, later, r.pass(50*time.Millisecond, pace))
	if len(back) != 1 || back[0].Host != "" || back[0].Serial <= got[0].Serial || r.s.Status().Totals.Redirect != nil {
		t.Errorf("that it stays is told as %+v", back)
	}
}

// TestRedirectFileDamaged: a supernode starts without it, says so, and tells nothing.
func TestRedirectFileDamaged(t *testing.T) {
	for _, text := range []string{"", "x", "0 a 1\n", "5 a\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, RedirectFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		log := new(bytes.Buffer)
		r := newRig(t, Config{StateDir: dir, Log: slog.New(slog.NewTextHandler(log, nil))})
		if r.s.controls.redirects.now.Serial != 0 || !strings.Contains(log.String(), "supernode move PLACE") {
			t.Errorf("%q: %+v, %s", text, r.s.controls.redirects.now, log)
		}
	}
}

// TestMoveIsPaced: a redirect to many leaves no faster than other notices.
func TestMoveIsPaced(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	for i := range 3 * packetsAPace {
		r.edge(testCommunity("c", "k"), string(rune('a'+i)), i+1).join()
	}
	if err := r.s.Move("new.example", 7654); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n := len(r.pass(pace, pace)); n > packetsAPace {
			t.Errorf("%d packets in %v", n, pace)
		}
	}
}
