package turn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/logging"
	pionstun "github.com/pion/stun"
	"github.com/pion/transport/v2"
	pionturn "github.com/pion/turn/v2"
)

// transactions sends requests to a server. A request is sent 7 times within 6.2
// s, and given up after 7.8 s.
type transactions struct {
	pion   *pionturn.Client
	outlet *outlet

	mu      sync.Mutex
	closed  bool
	running sync.WaitGroup
}

// quiet is pion's log. It would write a line per bad datagram.
func quiet() *logging.DefaultLoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}

// unused replaces the interfaces that pion would list to resolve names; it gets
// no names.
type unused struct{ transport.Net }

func newTransactions(server netip.AddrPort, send func(to netip.AddrPort, pkt []byte)) (*transactions, error) {
	o := newOutlet(server, send)
	c, err := pionturn.NewClient(&pionturn.ClientConfig{Conn: o, Net: unused{}, LoggerFactory: quiet()})
	if err != nil {
		return nil, err
	}
	return &transactions{pion: c, outlet: o}, nil
}

// errSilent is that of a request that was never answered.
var errSilent = errors.New("no answer from the TURN server within 7.8 s")

// ask sends a request and waits for its answer. A refusal is an answer, not an
// error; errors are errSilent, net.ErrClosed, that of ctx, and the fault of an
// answer that cannot be trusted.
func (t *transactions) ask(ctx context.Context, r request, c credential) (answer, error) {
	m, err := r.build(c)
	if err != nil {
		return answer{}, err
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return answer{}, net.ErrClosed
	}
	t.running.Add(1)
	t.mu.Unlock()
	type result struct {
		m   *pionstun.Message
		err error
	}
	ended := make(chan result, 1)
	go func() {
		defer t.running.Done()
		got, err := t.pion.PerformTransaction(m, net.UDPAddrFromAddrPort(t.outlet.server), false)
		ended <- result{got.Msg, err}
	}()
	select {
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case got := <-ended:
		if got.err != nil {
			return answer{}, t.failure()
		}
		return parseAnswer(r, c, got.m)
	}
}

// failure distinguishes the two errors with which pion gives up.
func (t *transactions) failure() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return net.ErrClosed
	}
	return errSilent
}

// handle handles a response that has passed the guard.
func (t *transactions) handle(pkt []byte) {
	_, _ = t.pion.HandleInbound(pkt, net.UDPAddrFromAddrPort(t.outlet.server))
}

// close ends all that is asked and waits for it.
func (t *transactions) close() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	_ = t.outlet.Close() // first, so that nothing new gets into pion's table
	t.pion.Close()
	t.running.Wait()
}

// filling is a SOFTWARE that makes a request without a nonce as long as the longest
// refusal with one, 244 bytes with a realm of 127, since a server sends a stranger no
// more than it got. It may have 127 characters of any length (RFC 8489, section 14.14).
// It names no product: it travels in clear.
var filling = strings.Repeat("\u00b7", 120)

// build makes the message of a request, signed if c has a nonce.
func (r request) build(c credential) (*pionstun.Message, error) {
	setters := []pionstun.Setter{
		pionstun.TransactionID,
		pionstun.NewType(pionstun.Method(r.method), pionstun.ClassRequest),
	}
	switch r.method {
	case methodAllocate:
		setters = append(setters, pionstun.RawAttribute{Type: pionstun.AttrRequestedTransport, Value: []byte{protocolUDP, 0, 0, 0}})
	case methodRefresh:
		seconds := binary.BigEndian.AppendUint32(nil, uint32(r.lifetime/time.Second))
		setters = append(setters, pionstun.RawAttribute{Type: pionstun.AttrLifetime, Value: seconds})
	case methodCreatePermission:
		setters = append(setters, peerAddress(r.peer))
	case methodChannelBind:
		number := []byte{byte(r.channel >> 8), byte(r.channel), 0, 0}
		setters = append(setters, pionstun.RawAttribute{Type: pionstun.AttrChannelNumber, Value: number}, peerAddress(r.peer))
	}
	if c.nonce == "" {
		setters = append(setters, pionstun.NewSoftware(filling))
	} else {
		setters = append(setters, pionstun.NewUsername(c.user), pionstun.NewRealm(c.realm), pionstun.NewNonce(c.nonce),
			pionstun.NewLongTermIntegrity(c.user, c.realm, c.password))
	}
	m, err := pionstun.Build(append(setters, pionstun.Fingerprint)...)
	if err != nil {
		return nil, fmt.Errorf("make a %s request: %w", r.method, err)
	}
	return m, nil
}

// peerAddress is an XOR-PEER-ADDRESS (RFC 8656, section 18.3).
type peerAddress netip.AddrPort

func (p peerAddress) AddTo(m *pionstun.Message) error {
	a := netip.AddrPort(p)
	x := pionstun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}
	return x.AddToAs(m, pionstun.AttrXORPeerAddress)
}

// parseAnswer reads the answer to r. A success must be signed with the password
// if the request was.
func parseAnswer(r request, c credential, m *pionstun.Message) (answer, error) {
	if uint16(m.Type.Method) != uint16(r.method) {
		return answer{}, fmt.Errorf("the TURN server answered a %s request with %s", r.method, m.Type)
	}
	var a answer
	if m.Type.Class == pionstun.ClassErrorResponse {
		a.code = codeNone
		var e pionstun.ErrorCodeAttribute
		if e.GetFrom(m) == nil && e.Code != 0 {
			a.code, a.reason = int(e.Code), printable(e.Reason)
		}
		a.realm, a.nonce = text(m, pionstun.AttrRealm), text(m, pionstun.AttrNonce)
		return a, nil
	}
	if c.nonce != "" && pionstun.NewLongTermIntegrity(c.user, c.realm, c.password).Check(m) != nil {
		return answer{}, fmt.Errorf("the TURN server's answer to a %s request is not signed with the password", r.method)
	}
	if b, err := m.Get(pionstun.AttrLifetime); err == nil && len(b) == 4 {
		a.lifetime = time.Duration(binary.BigEndian.Uint32(b)) * time.Second
	}
	a.relayed = address(m, pionstun.AttrXORRelayedAddress)
	return a, nil
}

// text returns the value of an attribute of text, "" if it is not there or too
// long to be one (RFC 8489, section 14.9: 763 bytes).
func text(m *pionstun.Message, kind pionstun.AttrType) string {
	b, err := m.Get(kind)
	if err != nil || len(b) > maxText {
		return ""
	}
	return string(b)
}

// address returns the value of an address attribute, which the guard has
// measured, or the zero AddrPort.
func address(m *pionstun.Message, kind pionstun.AttrType) netip.AddrPort {
	var x pionstun.XORMappedAddress
	if x.GetFromAs(m, kind) != nil {
		return netip.AddrPort{}
	}
	a, ok := netip.AddrFromSlice(x.IP)
	if !ok || x.Port == 0 || a.IsUnspecified() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(x.Port))
}

// sendIndication returns the datagram that has a server send data to a peer
// (RFC 8656, section 11.1).
func sendIndication(peer netip.AddrPort, data []byte) ([]byte, error) {
	m, err := pionstun.Build(
		pionstun.TransactionID,
		pionstun.NewType(pionstun.MethodSend, pionstun.ClassIndication),
		peerAddress(peer),
		pionstun.RawAttribute{Type: pionstun.AttrData, Value: data},
	)
	if err != nil {
		return nil, fmt.Errorf("make a Send indication: %w", err)
	}
	return m.Raw, nil
}

// parseData reads a Data indication (RFC 8656, section 11.4) that has passed
// the guard. data aliases pkt.
func parseData(pkt []byte) (peer netip.AddrPort, data []byte, ok bool) {
	m := &pionstun.Message{Raw: pkt}
	if m.Decode() != nil {
		return netip.AddrPort{}, nil, false
	}
	peer = address(m, pionstun.AttrXORPeerAddress)
	data, err := m.Get(pionstun.AttrData)
	return peer, data, err == nil && peer.IsValid()
}

// lookups are the questions of pion's server to ours. It asks them from the one
// goroutine that reads the socket.
type lookups interface {
	// authenticate returns the password of a user.
	authenticate(user, realm string, client netip.AddrPort) (password string, ok bool)
	// permits says whether a client may talk to a peer.
	permits(client netip.AddrPort, peer netip.Addr) bool
	// open opens a relay for the client that was authenticated last.
	open() (net.PacketConn, net.Addr, error)
}

// servePion starts pion's server on conn; closing it closes conn.
func servePion(realm string, conn net.PacketConn, l lookups) (io.Closer, error) {
	return pionturn.NewServer(pionturn.ServerConfig{
		Realm:         realm,
		LoggerFactory: quiet(),
		InboundMTU:    maxDatagram + 1, // pion drops datagrams that fill its buffer
		AuthHandler: func(user, theirRealm string, client net.Addr) ([]byte, bool) {
			password, ok := l.authenticate(user, theirRealm, addrPort(client))
			return pionturn.GenerateAuthKey(user, theirRealm, password), ok
		},
		PacketConnConfigs: []pionturn.PacketConnConfig{{
			PacketConn:            conn,
			RelayAddressGenerator: generator{l},
			PermissionHandler: func(client net.Addr, peer net.IP) bool {
				a, ok := netip.AddrFromSlice(peer)
				return ok && l.permits(addrPort(client), a.Unmap())
			},
		}},
	})
}

// generator is pionturn.RelayAddressGenerator. The port that pion may ask for
// is that of an EVEN-PORT, which the gate keeps out.
type generator struct{ lookups }

func (generator) Validate() error { return nil }

func (g generator) AllocatePacketConn(string, int) (net.PacketConn, net.Addr, error) { return g.open() }

func (generator) AllocateConn(string, int) (net.Conn, net.Addr, error) {
	return nil, nil, errors.ErrUnsupported
}
