package edge

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
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
	return pinged{e, answer}, e.beginEcho(now, control.PingRequest{Peer: peer, Size: size}, answer)
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

// met returns a peer with a name, a session and a route by the supernode.
func (e *testEdge) met(n byte, name string) *peer {
	p := e.introduced(n)
	p.about.Name = name
	p.about.Prefixes = []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 64, 0, n}), 24)}
	entry := e.session(p, noon, uint32(n)*100, true)
	p.sessions.promote(entry)
	hop, err := crypto.NewHopSession(crypto.SessionConfig{
		Keys: crypto.SplitKeys{Send: [32]byte{n, 1}, Recv: [32]byte{n, 2}}, XF: uint8(protocol.XFHop), KI: protocol.KINone, Local: 7, Remote: 8, Created: noon,
	})
	if err != nil {
		e.tb.Fatal(err)
	}
	l := e.links[0]
	l.view.SetRoute(dataplane.HopRoute{Session: hop, Addr: l.addr(), Mask: crypto.NewMask([16]byte{n})})
	p.view.SetRoute(dataplane.Route{Session: entry.Crypto(), Supernode: l.view, Handle: uint32(n), Limit: dataplane.MaxDatagramIPv4})
	e.conn.take()
	return p
}

// A ping is answered by the way that its answer came, and only by its own.
func TestPingAnswered(t *testing.T) {
	e := newEdge(t, nil)
	p, other := e.met(2, "roof"), e.met(3, "cellar")
	l := e.links[0]
	far := netip.MustParseAddrPort("198.51.100.4:41641")
	for _, tt := range []struct {
		name  string
		ready func()
		from  dataplane.Origin
		want  control.Ping
	}{
		{"by relay", func() {}, dataplane.Origin{Supernode: l.view, Handle: 2}, control.Ping{PathStatus: control.PathStatus{Path: control.PathRelay, Kind: control.KindUDP, Via: "sn:7654"}}},
		{"by TLS", func() { l.stream.conn, l.stream.side, l.at = silentStream{}, destination(9), destination(9) },
			dataplane.Origin{Supernode: l.view, Handle: 2}, control.Ping{PathStatus: control.PathStatus{Path: control.PathRelay, Kind: control.KindTLS, Via: "sn:7654"}}},
		{"directly", func() {
			r := p.view.Route()
			r.Direct = far
			p.view.SetRoute(r)
		}, dataplane.Origin{Addr: far}, control.Ping{PathStatus: control.PathStatus{Path: control.PathDirect, Endpoint: far.String()}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.ready()
			ping, err := e.ping(noon, "roof", 0)
			if err != nil {
				t.Fatal(err)
			}
			e.send.Flush()
			if sent := e.conn.take(); len(sent) != 1 {
				t.Fatalf("%d datagrams were sent", len(sent))
			}
			nonce := e.echoes.list[0].nonce
			later := noon.Add(42 * time.Millisecond)
			wrong := nonce
			wrong[0]++
			for _, no := range []bool{e.takeEcho(later, p, wrong, tt.from), e.takeEcho(later, other, nonce, tt.from)} {
				if no {
					t.Error("it was answered by another")
				}
			}
			e.handlePong(later, p, protocol.Pong{Nonce: nonce}, tt.from)
			got, ok := ping.got()
			want := tt.want
			want.Name, want.ID, want.Answered, want.Size = "roof", crypto.ShortID(p.id.statement.ID[:]), true, defaultEcho
			want.Pieces = 1
			want.RTTms = got.ping.RTTms
			if !ok || got.err != nil || got.ping != want || *got.ping.RTTms != 42 {
				t.Errorf("%+v, want %+v", got, want)
			}
			if e.takeEcho(later, p, nonce, tt.from) || len(e.echoes.list) != 0 {
				t.Error("it counts twice")
			}
		})
	}
}

// silentStream is a stream that takes everything.
type silentStream struct{ Stream }

// A ping waits for a session, and its time is over five seconds after it was
// asked for.
func TestPingWaits(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	id := crypto.ShortID(p.id.statement.ID[:])
	ping, err := e.ping(noon, id, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !p.handshake.active {
		t.Error("it asked for no session")
	}
	second, err := e.ping(noon.Add(time.Second), strings.ReplaceAll(id, "-", "")[:leastPrefix], 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := e.echoes.deadline(); !d.Equal(noon.Add(echoWait)) {
		t.Errorf("looks again at %v", d)
	}
	e.tickEchoes(noon.Add(echoWait - 1))
	if _, ok := ping.got(); ok {
		t.Error("over too early")
	}
	e.tickEchoes(noon.Add(echoWait))
	got, ok := ping.got()
	if !ok || got.ping.Answered || got.ping.Path != control.PathNone || got.ping.Reason != "it has not answered our handshake yet" {
		t.Errorf("%+v", got)
	}
	e.met(2, "roof")
	e.tickEchoes(noon.Add(echoWait + time.Millisecond))
	if e.echoes.list[0].sent.IsZero() {
		t.Error("not sent when it could be")
	}
	e.tickEchoes(noon.Add(echoWait + time.Second))
	if got, ok = second.got(); !ok || got.ping.Answered || got.ping.Path != control.PathRelay || got.ping.Via != "sn:7654" || len(e.echoes.list) != 0 {
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
		e.send.Flush()
		sent := e.conn.take()
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
	l := e.links[0]
	r := p.view.Route()
	most := r.MaxInner() - 1
	for size, want := range map[int]int{most: 1, most + 1: 2, mostEcho: 7} {
		ping, err := e.ping(noon, "roof", size)
		if err != nil {
			t.Fatal(err)
		}
		e.send.Flush()
		sent := e.conn.take()
		if len(sent) != want {
			t.Errorf("%d bytes: %d datagrams, want %d", size, len(sent), want)
		}
		back := dataplane.PairMessages{Origin: dataplane.Origin{Supernode: l.view, Handle: 2}, InPieces: want > 1}
		e.pong(p, protocol.Ping{Nonce: [8]byte{1}, Pad: size - echoOverhead}, back)
		e.send.Flush()
		answer := e.conn.take()
		if len(answer) != want {
			t.Errorf("%d bytes: %d datagrams answer, want %d", size, len(answer), want)
		}
		for i, d := range answer {
			if len(d.pkt) > len(sent[0].pkt) {
				t.Errorf("%d bytes: packet %d of the answer has %d, of the ping %d", size, i, len(d.pkt), len(sent[0].pkt))
			}
		}
		e.handlePong(noon, p, protocol.Pong{Nonce: e.echoes.list[0].nonce}, back.Origin)
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
	if _, err := e.ping(noon, "roof", 0); err == nil || len(e.echoes.list) != maxEchoes {
		t.Errorf("%v, %d under way", err, len(e.echoes.list))
	}
}

// Whom a person means, and what they are told when nobody is meant.
func TestNamed(t *testing.T) {
	e := newEdge(t, nil)
	const nobody = `no other edge is known yet`
	if _, err := e.named("roof"); err == nil || err.Error() != nobody {
		t.Errorf("%v", err)
	}
	roof, one, two := e.met(2, "roof"), e.met(3, "twin"), e.met(4, "twin")
	id := func(p *peer) string { return crypto.ShortID(p.id.statement.ID[:]) }
	for _, text := range []string{"roof", roof.view.MAC().String(), "10.64.0.2", id(roof), strings.ToUpper(id(roof))[:6]} {
		if p, err := e.named(text); p != roof || err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	e.introduced(5)
	const unnamed = ". A name is known from the first traffic on; type an address or identity"
	if _, err := e.named("cellar"); err == nil || !strings.HasSuffix(err.Error(), unnamed) {
		t.Errorf("%v", err)
	}
	e.peers.byView[e.meet(noon, testIdentity(5).Static).view].about.Name = "zoo"
	twins := []string{fmt.Sprintf("twin (%s)", id(one)), fmt.Sprintf("twin (%s)", id(two))}
	if twins[0] > twins[1] {
		twins[0], twins[1] = twins[1], twins[0]
	}
	both := strings.Join(twins, ", ")
	for text, want := range map[string]string{
		"twin":      `"twin" may be each of ` + both + `: type its hardware address or identity`,
		"tested":    `"tested" is this edge itself`,
		"cellar":    `no edge is called "cellar". There are: roof, ` + both + ", zoo",
		id(one)[:3]: `no edge is called "` + id(one)[:3] + `". There are: roof, ` + both + ", zoo",
		"":          `no edge is called "". There are: roof, ` + both + ", zoo",
	} {
		if _, err := e.named(text); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// For how long a path is what it is, whatever else changes.
func TestSince(t *testing.T) {
	e := newEdge(t, nil)
	p := e.met(2, "roof")
	since := func(now time.Time) float64 {
		s := e.peerStatus(now, p)
		if s.SinceS == nil {
			return -1
		}
		return *s.SinceS
	}
	if got := since(noon); got != -1 {
		t.Errorf("%v s before anything was published", got)
	}
	p.since = noon
	e.links[0].turned = noon.Add(time.Minute) // over to TLS
	if got := since(noon.Add(2 * time.Minute)); got != 60 {
		t.Errorf("%v s since the supernode is reached otherwise", got)
	}
	a, b := p.view.Route(), p.view.Route()
	b.Handle, b.Limit, b.Dual = 99, 1300, true
	if a.NextHop() != b.NextHop() {
		t.Error("another handle is another next hop")
	}
	b.Direct = destination(1)
	c := b
	c.Supernode, c.Session = nil, nil
	if b.NextHop() == a.NextHop() || b.NextHop() != c.NextHop() || (&dataplane.Route{Supernode: a.Supernode}).NextHop() != (dataplane.NextHop{}) {
		t.Error("a direct next hop depends on the relay")
	}
}
