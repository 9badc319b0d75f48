package turn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"hedgerow/nat/stun"
)

// MaxPayload is the size in bytes of the longest datagram that Client.Write
// accepts. The path may carry less, as without a relay.
const MaxPayload = maxDatagram - sendOverhead

// ClientConfig is the configuration of a Client.
type ClientConfig struct {
	// Server is the address of the TURN server, over UDP. Required.
	Server netip.AddrPort
	// User and Password are the long-term credential of RFC 8489, section 9.2.
	// The realm is the one that the server names.
	User, Password string
	// Send sends a datagram to the server by the edge's data socket. It must
	// neither block nor call Handle, and it must not keep pkt. Required.
	Send func(to netip.AddrPort, pkt []byte)
	// Receive is called with a datagram that a permitted peer sent to the
	// relayed address, from within Handle; it borrows pkt until it returns.
	// Required.
	Receive func(peer netip.AddrPort, pkt []byte)
	// Log gets a line when an allocation begins and ends. Default: discarded.
	Log *slog.Logger
}

func (c *ClientConfig) validate() error {
	var faults []error
	if !c.Server.IsValid() || c.Server.Port() == 0 {
		faults = append(faults, errors.New("no address of a TURN server"))
	}
	if c.User == "" || c.Password == "" {
		faults = append(faults, errors.New("no user or no password for the TURN server"))
	}
	if c.Send == nil || c.Receive == nil {
		faults = append(faults, errors.New("no function that sends, or none that receives"))
	}
	return errors.Join(faults...)
}

// Client holds one allocation on a TURN server (RFC 8656) over UDP: an address
// there at which permitted peers reach this edge. It owns no socket: it sends
// through ClientConfig.Send and receives through Handle, so that the server's
// answers come to the data socket and pass the NATs that it has open. Its
// methods may be called from several goroutines.
//
// A lost allocation stays lost: Done is closed, and a new Client has to make
// another one.
type Client struct {
	cfg          ClientConfig
	transactions *transactions
	life         context.Context // ends with Close or the loss of the allocation
	end          context.CancelFunc
	wake         chan struct{} // the keeper has channels to bind
	keeper       sync.WaitGroup

	mu         sync.Mutex // guards all that follows; never held across I/O
	credential credential
	relayed    netip.AddrPort // not valid before Allocate has succeeded
	asking     bool           // a call of Allocate runs
	closed     bool
	err        error // why the allocation was lost
	peers      peers
}

// NewClient returns a client without an allocation. It starts nothing and sends
// nothing. The error names every fault of cfg.
func NewClient(cfg ClientConfig) (*Client, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	cfg.Server = unmap(cfg.Server)
	t, err := newTransactions(cfg.Server, cfg.Send)
	if err != nil {
		return nil, fmt.Errorf("make a TURN client: %w", err)
	}
	life, end := context.WithCancel(context.Background())
	return &Client{
		cfg: cfg, transactions: t, life: life, end: end,
		wake:       make(chan struct{}, 1),
		credential: credential{user: cfg.User, password: cfg.Password},
		peers:      newPeers(),
	}, nil
}

// Handle handles a datagram that came to the data socket from the server's
// address; it ignores those from any other. It calls ClientConfig.Receive with a
// peer's data. Malformed datagrams, and data of peers without permission, are
// dropped.
func (c *Client) Handle(from netip.AddrPort, pkt []byte) {
	if unmap(from) != c.cfg.Server {
		return
	}
	if number, data, ok := parseChannelData(pkt); ok {
		c.mu.Lock()
		peer, ok := c.peers.ofChannel(time.Now(), number)
		c.mu.Unlock()
		if ok {
			c.cfg.Receive(peer, data)
		}
		return
	}
	if stun.Guard(pkt) != nil {
		return
	}
	switch t := messageType(pkt); {
	case t == typeData:
		c.handleData(pkt)
	case t&classMask == classSuccess || t&classMask == classError:
		c.transactions.handle(pkt)
	}
}

// handleData handles a Data indication. Indications are not authenticated, so it
// counts for permitted addresses only (RFC 8656, section 11.4), as ChannelData
// does for bound ones.
func (c *Client) handleData(pkt []byte) {
	peer, data, ok := parseData(pkt)
	if !ok {
		return
	}
	c.mu.Lock()
	ok = c.peers.touch(time.Now(), peer.Addr())
	c.mu.Unlock()
	if ok {
		c.cfg.Receive(peer, data)
	}
}

// Write sends pkt from the relayed address to a peer that Permit was called for.
// It does not block: the first datagrams to a peer travel with 39 bytes of
// framing, and those after the server has bound a channel with 4. pkt is not
// kept. Errors are ErrNoAllocation, ErrNoPermission, ErrLong, ErrClosed, and why
// the allocation was lost.
func (c *Client) Write(peer netip.AddrPort, pkt []byte) error {
	if len(pkt) > MaxPayload {
		return ErrLong
	}
	peer = unmap(peer)
	c.mu.Lock()
	if err := c.state(); err != nil {
		c.mu.Unlock()
		return err
	}
	number, wanted, ok := c.peers.framing(time.Now(), peer)
	c.mu.Unlock()
	if !ok {
		return ErrNoPermission
	}
	if wanted {
		c.wakeKeeper()
	}
	if number != 0 {
		c.cfg.Send(c.cfg.Server, channelData(number, pkt))
		return nil
	}
	indication, err := sendIndication(peer, pkt)
	if err != nil {
		return err
	}
	c.cfg.Send(c.cfg.Server, indication)
	return nil
}

func (c *Client) wakeKeeper() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// state returns why there is no allocation, or nil. The caller holds mu.
func (c *Client) state() error {
	switch {
	case c.err != nil:
		return c.err
	case c.closed:
		return ErrClosed
	case !c.relayed.IsValid():
		return ErrNoAllocation
	}
	return nil
}

// Done is closed when the allocation is lost, and by Close. The client notices a
// server that no longer has the allocation within 25 s, and a silent one, as
// ours is after a restart, within 50 s.
func (c *Client) Done() <-chan struct{} { return c.life.Done() }

// Err returns why the allocation was lost: a *ServerError, or a sentence about
// silence. It is nil while there is an allocation, and after Close.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// lose ends the allocation for the reason err.
func (c *Client) lose(err error) {
	c.mu.Lock()
	first := !c.closed && c.err == nil
	if first {
		c.err = fmt.Errorf("the allocation on TURN server %v is lost: %w", c.cfg.Server, err)
	}
	c.mu.Unlock()
	if first {
		c.end()
		c.cfg.Log.Info("the allocation on the TURN server is lost", "server", c.cfg.Server, "err", err)
	}
}

// closeWait is how long Close waits for the server to confirm.
const closeWait = time.Second

// Close releases the allocation at the server, for which it waits at most 1 s,
// and returns when no goroutine of the client runs any more. It may be called
// twice.
func (c *Client) Close() {
	c.mu.Lock()
	held := c.relayed.IsValid() && c.err == nil
	first := !c.closed
	c.closed = true
	c.mu.Unlock()
	c.end()
	c.keeper.Wait()
	if first && held {
		ctx, cancel := context.WithTimeout(context.Background(), closeWait)
		_, _ = c.do(ctx, request{method: methodRefresh}) // otherwise it expires
		cancel()
	}
	c.transactions.close()
}
