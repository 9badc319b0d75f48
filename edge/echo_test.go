package edge

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// pinged is a ping that a test asked for.
type pinged struct {
	*testEdge
	answer chan echoed
}

// ping asks for one, as Ping does.
func (e *testEdge) ping(now time.Time, peer string, size int) (pinged, error) {
	answer := make(chan echoed, 1)
	err := e.beginPing(now, control.PingRequest{Peer: peer, Size: size}, answer)
	e.settle(now)
	return pinged{e, answer}, err
}

// got returns what became of it; false: nothing yet.
func (p pinged) got() (echoed, bool) {
	select {
	case got := <-p.answer:
		return got, true
	default:
		return echoed{}, false
	}
}

// A ping is answered by the path on which its answer came, and only by its own.
func TestPingAnswered(t *testing.T) {
	e := newEdge(t, nil)
	p, other := e.met(2, "roof"), e.met(3, "cellar")
	s := e.servers.list[0]
	far := netip.MustParseAddrPort("198.51.100.4:41641")
	for _, tt := range []struct {
		name  string
		ready func()
		from  dataplane.Origin
		want  control.Ping
	}{
		{"by relay", func() {}, dataplane.Origin{Supernode: s.view, Handle: 2}, control.Ping{PathStatus: control.PathStatus{Path: control.PathRelay, Kind: control.KindUDP, Via: "sn:7654"}}},
		{"by TLS", func() { s.stream.conn, s.stream.side, s.hop.at = silentStream{}, destination(9), destination(9) },
			dataplane.Origin{Supernode: s.view, Handle: 2}, control.Ping{PathStatus: control.PathStatus{Path: control.PathRelay, Kind: control.KindTLS, Via: "sn:7654"}}},
		{"directly", func() {
			e.paths.routing.start(noon, p)
			e.settle(noon)
			e.direct(p, far)
		}, dataplane.Origin{Addr: far}, control.Ping{PathStatus: control.PathStatus{
			Path: control.PathDirect, Kind: address.KindPeerReflexive.String(), Endpoint: far.String(),
		}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.ready()
			ping, err := e.ping(noon, "roof", 0)
			if err != nil {
				t.Fatal(err)
			}
			if sent := e.sentNow(); len(sent) != 1 {
				t.Fatalf("%d datagrams were sent", len(sent))
			}
			nonce := e.user.echoes.list[0].nonce
			later := noon.Add(42 * time.Millisecond)
			wrong := nonce
			wrong[0]++
			for _, no := range []bool{e.user.echoes.answered(later, p, wrong, tt.from), e.user.echoes.answered(later, other, nonce, tt.from)} {
				if no {
					t.Error("it was answered by another")
				}
			}
			e.pongs(later, p, nonce, tt.from)
			got, ok := ping.got()
			want := tt.want
			want.Name, want.ID, want.Answered, want.Size = "roof", crypto.ShortID(p.identity.statement.ID[:]), true, defaultEcho
			want.Pieces = 1
			want.RTTms = got.ping.RTTms
			if !ok || got.err != nil || got.ping != want || *got.ping.RTTms != 42 {
				t.Errorf("%+v, want %+v", got, want)
			}
			if e.user.echoes.answered(later, p, nonce, tt.from) || len(e.user.echoes.list) != 0 {
				t.Error("it counts twice")
			}
		})
	}
}

// pongs has a PONG of a peer come.
func (e *testEdge) pongs(now time.Time, p *peer, nonce [8]byte, from dataplane.Origin) {
	e.tb.Helper()
	m := protocol.Pong{Nonce: nonce, Seen: elsewhere}
	e.handle(now, dataplane.PairMessages{Peer: p.view, Session: p.sessions.current.Crypto(), Origin: from, Messages: m.Append(nil)})
}

// silentStream is a stream that takes everything.
type silentStream struct{ underlay.Stream }

// A ping waits for a session, and its time is over five seconds after it was
// asked for.
func TestPingWaits(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	id := crypto.ShortID(p.identity.statement.ID[:])
	ping, err := e.ping(noon, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !p.sessions.init.active() {
		t.Error("it asked for no session")
	}
	second, err := e.ping(noon.Add(time.Second), strings.ReplaceAll(id, "-", "")[:leastPrefix], 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := e.user.echoes.deadline(); !d.Equal(noon.Add(echoWait)) {
		t.Errorf("looks again at %v", d)
	}
	e.pass(noon.Add(echoWait - 1))
	if _, ok := ping.got(); ok {
		t.Error("over too early")
	}
	e.pass(noon.Add(echoWait))
	got, ok := ping.got()
	if !ok || got.ping.Answered || got.ping.Path != control.PathNone || got.ping.Reason != "it has not answered our handshake yet" {
		t.Errorf("%+v", got)
	}
	e.met(2, "roof")
	e.pass(noon.Add(echoWait + time.Millisecond))
	if e.user.echoes.list[0].sent.IsZero() {
		t.Error("not sent when it could be")
	}
	e.pass(noon.Add(echoWait + time.Second))
	if got, ok = second.got(); !ok || got.ping.Answered || got.ping.Path != control.PathRelay || got.ping.Via != "sn:7654" || len(e.user.echoes.list) != 0 {
		t.Errorf("%+v", got)
	}
}

// The packet of a ping is as long as that of the frame whose size was asked for,
// up to what fits.
func TestPingSize(t *testing.T) {
	e := newEdge(t, nil)
	p := e.met(2, "roof")
	r := p.view.Route()
	most := r.MaxInner() - 1
	for _, size := range []int{leastEcho, 1000, most} {
		if _, err := e.ping(noon, "roof", size); err != nil {
			t.Fatal(err)
		}
		sent := e.sentNow()
		if want := protocol.RelayOverhead + protocol.HeaderLen + 1 + size + protocol.TagLen; len(sent) != 1 || len(sent[0].pkt) != want {
			t.Errorf("%d bytes: %d datagrams, want one of %d", size, len(sent), want)
		}
	}
	for size, want := range map[int]string{
		leastEcho - 1: "a ping is as long as a frame of 42 bytes at least, not of 41",
		mostEcho + 1:  "a ping is as long as a frame of 9018 bytes at most, not of 9019",
	} {
		if _, err := e.ping(noon, "roof", size); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A ping that is longer than the path takes whole goes in pieces, and its answer
// as well, in no larger ones.
func TestPingInPieces(t *testing.T) {
	e := newEdge(t, nil)
	p := e.met(2, "roof")
	s := e.servers.list[0]
	r := p.view.Route()
	most := r.MaxInner() - 1
	for size, want := range map[int]int{most: 1, most + 1: 2, mostEcho: 7} {
		ping, err := e.ping(noon, "roof", size)
		if err != nil {
			t.Fatal(err)
		}
		sent := e.sentNow()
		if len(sent) != want {
			t.Errorf("%d bytes: %d datagrams, want %d", size, len(sent), want)
		}
		back := dataplane.PairMessages{Origin: dataplane.Origin{Supernode: s.view, Handle: 2}, InPieces: want > 1}
		e.paths.routing.pong(noon, p, protocol.Ping{Nonce: [8]byte{1}, Pad: size - protocol.PingLen}, back)
		answer := e.sentNow()
		if len(answer) != want {
			t.Errorf("%d bytes: %d datagrams answer, want %d", size, len(answer), want)
		}
		for i, d := range answer {
			if len(d.pkt) > len(sent[0].pkt) {
				t.Errorf("%d bytes: packet %d of the answer has %d, of the ping %d", size, i, len(d.pkt), len(sent[0].pkt))
			}
		}
		e.pongs(noon, p, e.user.echoes.list[0].nonce, back.Origin)
		if got, ok := ping.got(); !ok || !got.ping.Answered || got.ping.Pieces != want {
			t.Errorf("%d bytes: %+v", size, got)
		}
	}
}

// There is room for so many.
func TestPingBound(t *testing.T) {
	e := newEdge(t, nil)
	e.met(2, "roof")
	for range maxEchoes {
		if _, err := e.ping(noon, "roof", 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.ping(noon, "roof", 0); err == nil || len(e.user.echoes.list) != maxEchoes {
		t.Errorf("%v, %d under way", err, len(e.user.echoes.list))
	}
}
