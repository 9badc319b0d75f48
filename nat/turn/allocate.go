package turn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	lifetime = 600 * time.Second // of an allocation, asked for (RFC 8656, section 7.2)

	// maxNonces is how many nonces of the server one request uses before it
	// counts as refused: one is normal, and the second may have been under way.
	maxNonces = 3
)

// Allocate asks the server for a relayed address and starts the goroutine that
// keeps it until Close. It is called once, or again after a failure. Errors are
// a *ServerError (401 or 400: wrong user or password, 486 or 508: quota), no
// answer after 7.8 s, ErrClosed, and that of ctx. An allocation that an earlier
// run left at our address and port is deleted first.
func (c *Client) Allocate(ctx context.Context) (relayed netip.AddrPort, err error) {
	c.mu.Lock()
	switch {
	case c.closed:
		err = ErrClosed
	case c.err != nil:
		err = c.err
	case c.asking || c.relayed.IsValid():
		err = errors.New("turn: Allocate was called twice")
	default:
		c.asking = true
	}
	c.mu.Unlock()
	if err != nil {
		return netip.AddrPort{}, err
	}
	a, err := c.allocate(ctx)
	if err == nil && (!a.relayed.IsValid() || !a.relayed.Addr().Is4() || a.lifetime <= 0) {
		err = errors.New("the TURN server names no IPv4 address in its answer")
	}
	c.mu.Lock()
	c.asking = false
	if err == nil && c.closed {
		err = ErrClosed
	}
	if err != nil {
		c.mu.Unlock()
		return netip.AddrPort{}, fmt.Errorf("allocate on TURN server %v: %w", c.cfg.Server, err)
	}
	c.relayed = a.relayed
	c.keeper.Go(func() { c.keep(a.lifetime) })
	c.mu.Unlock()
	c.cfg.Log.Info("allocated on the TURN server", "server", c.cfg.Server, "relayed", a.relayed)
	return a.relayed, nil
}

// allocate asks once, and a second time if there is an old allocation to delete.
func (c *Client) allocate(ctx context.Context) (answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	a, err := c.do(ctx, request{method: methodAllocate})
	var refused *ServerError
	if !errors.As(err, &refused) || refused.Code != codeMismatch {
		return a, err
	}
	if _, err := c.do(ctx, request{method: methodRefresh}); err != nil {
		return answer{}, refused
	}
	return c.do(ctx, request{method: methodAllocate})
}

// do asks the server with the known credential, and again when the server wants
// another one (RFC 8489, section 9.2.5). A refusal is a *ServerError.
func (c *Client) do(ctx context.Context, r request) (answer, error) {
	var last *ServerError
	for range maxNonces {
		c.mu.Lock()
		cred := c.credential
		c.mu.Unlock()
		a, err := c.transactions.ask(ctx, r, cred)
		if errors.Is(err, net.ErrClosed) {
			err = ErrClosed
		}
		if err != nil {
			return answer{}, err
		}
		if a.code == 0 {
			return a, nil
		}
		last = &ServerError{Request: r.method.String(), Code: a.code, Reason: a.reason}
		first := a.code == codeUnauthorized && cred.nonce == ""
		if a.nonce == "" || !first && a.code != codeStaleNonce {
			break
		}
		c.renew(a)
	}
	return answer{}, last
}

// renew stores the realm and the nonce of a refusal.
func (c *Client) renew(a answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.realm != "" {
		c.credential.realm = a.realm
	}
	c.credential.nonce = a.nonce
}

// Permit asks the server to relay the peers' datagrams to the relayed address,
// from any port, and lets Write send to them. Permissions are renewed until
// Close; of more than 256, the one that was used least recently ends. A peer
// that is permitted already costs nothing. Permit waits for the server. Its
// errors name the peers that are not permitted; the others are: a *ServerError,
// ErrFamily, ErrNoAllocation, ErrClosed, that of ctx, or a silent server, which
// ends the call.
func (c *Client) Permit(ctx context.Context, peers ...netip.Addr) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.life, cancel)()
	var faults []error
	for _, peer := range peers {
		peer = peer.Unmap()
		err := c.permit(ctx, peer)
		if err == nil {
			continue
		}
		faults = append(faults, fmt.Errorf("permit %v: %w", peer, err))
		if refused := (*ServerError)(nil); !errors.As(err, &refused) && !errors.Is(err, ErrFamily) {
			break
		}
	}
	return errors.Join(faults...)
}

func (c *Client) permit(ctx context.Context, peer netip.Addr) error {
	if !peer.Is4() {
		return ErrFamily
	}
	c.mu.Lock()
	err := c.state()
	known := c.peers.touch(time.Now(), peer)
	c.mu.Unlock()
	if err != nil || known {
		return err
	}
	return c.askPermission(ctx, peer)
}

// askPermission asks for one address, since a server refuses all of a request
// when it refuses one (RFC 8656, section 10.2), and stores the answer.
func (c *Client) askPermission(ctx context.Context, peer netip.Addr) error {
	now := time.Now()
	_, err := c.do(ctx, request{method: methodCreatePermission, peer: netip.AddrPortFrom(peer, 0)})
	var refused *ServerError
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.peers.permit(now, peer)
	case errors.As(err, &refused) && !refused.transient():
		c.peers.forbid(peer)
	}
	return err
}
