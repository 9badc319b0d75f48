package supernode

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/crypto/blake2s"

	"hedgerow/protocol"
)

// TestOlderEdges says in the log, once in ten minutes, that edges have to be updated
// which speak the protocol as it was before version 1 was final, by INIT or by HELLO;
// an INIT of theirs gets no answer.
func TestOlderEdges(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, Config{Log: slog.New(slog.NewTextHandler(&log, nil))})
	e := r.edge(testCommunity("c", "k"), "a", 1)
	for i := range 3 {
		_, pkt := e.initiate(nil)
		e.show(pkt)
		clear(pkt[8:protocol.HeaderLen])
		mac1(r.s.Key(), pkt)
		if got := r.deliver(e.addr, e.hide(pkt)); len(got) != 0 {
			t.Fatalf("INIT %d was answered", i)
		}
	}
	if n := strings.Count(log.String(), "[E22]"); n != 1 || r.s.refused.reasons()["handshake-older"] != 3 {
		t.Errorf("%d lines, drops %v, log:\n%s", n, r.s.refused.reasons(), log.String())
	}
	r.now = r.now.Add(olderEvery)
	hello := protocol.AppendHello(nil, [16]byte{1})
	clear(hello[8:protocol.HeaderLen])
	r.s.strangers.greeter.mask.Hide(e.sc, hello)
	if got := r.deliver(e.addr, hello); len(got) != 1 {
		t.Errorf("%d answers to a HELLO", len(got))
	}
	if n := strings.Count(log.String(), "[E22]"); n != 2 {
		t.Errorf("%d lines after a HELLO:\n%s", n, log.String())
	}
}

// mac1 makes mac1 of an INIT anew, after its header was changed.
func mac1(static [32]byte, init []byte) {
	const at = protocol.InitLen - 2*protocol.TagLen
	key := blake2s.Sum256(append([]byte("hedgerow/1 mac1"), static[:]...))
	h, err := blake2s.New128(key[:])
	if err != nil {
		panic(err)
	}
	h.Write(init[:at])
	h.Sum(init[at:at])
}
