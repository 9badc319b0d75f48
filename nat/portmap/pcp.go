package portmap

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"net/netip"
	"time"
)

// pcp speaks PCP.
type pcp struct {
	dial   func(r router) (net.Conn, error)
	secret [32]byte // that nonces are made of
}

// nonce returns the proof that a mapping is ours when it is renewed or deleted,
// so that it must not be guessed (RFC 6887, section 11.2). It differs for each
// router and port, and is always the same for one: a router that still has the
// mapping of a process that was killed would refuse another.
func (p pcp) nonce(r router, port uint16) (n [pcpNonceLen]byte) {
	mac := hmac.New(sha256.New, p.secret[:])
	mac.Write(r.gateway.AsSlice())
	mac.Write(r.local.AsSlice())
	mac.Write(binary.BigEndian.AppendUint16(nil, port))
	copy(n[:], mac.Sum(nil))
	return n
}

func (p pcp) protocol() Protocol { return PCP }

// find asks for the server's state (RFC 6887, section 14.1). A server that does
// not support this question but says so in version 2 is a PCP server, too.
func (p pcp) find(ctx context.Context, r router) (service, error) {
	s := &pcpService{pcp: p, router: r}
	if _, err := s.announce(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// pcpService is a router with PCP.
type pcpService struct {
	pcp
	router
	mapping pcpMapping
	epoch   epoch
}

func (s *pcpService) request(ctx context.Context, w want) (grant, error) {
	m := pcpMapping{
		nonce:    s.nonce(s.router, w.port),
		internal: w.port,
		external: netip.AddrPortFrom(w.external.Addr(), w.suggestion()),
		lifetime: w.seconds(),
	}
	s.mapping = m // for release, if the answer is lost
	a, err := s.exchangeMap(ctx, m)
	if err != nil {
		return grant{}, err
	}
	s.epoch.consistent(time.Now(), a.epoch) // its epoch is of before this mapping
	s.mapping = a.mapping
	return newGrant(a.mapping.external, a.mapping.lifetime)
}

func (s *pcpService) check(ctx context.Context) error {
	consistent, err := s.announce(ctx)
	if err == nil && !consistent {
		return errLost
	}
	return err
}

func (s *pcpService) release(ctx context.Context) error {
	m := s.mapping
	m.lifetime = 0
	m.external = netip.AddrPort{} // RFC 6887, section 15: of a deletion, any
	_, err := s.exchangeMap(ctx, m)
	return err
}

// announce asks how the server is, and reports whether its tables are those of
// before.
func (s *pcpService) announce(ctx context.Context) (consistent bool, err error) {
	a, err := s.ask(ctx, appendPCPAnnounce(nil, s.local), func(a *pcpAnswer) bool {
		return a.opcode == pcpAnnounce
	})
	if err != nil {
		return false, err
	}
	const unknown = 4
	if err := a.fault(); err != nil && a.result != unknown {
		return false, err
	}
	return s.epoch.consistent(time.Now(), a.epoch), nil
}

// exchangeMap asks for a mapping.
func (s *pcpService) exchangeMap(ctx context.Context, m pcpMapping) (pcpAnswer, error) {
	a, err := s.ask(ctx, appendPCPMap(nil, s.local, m), func(a *pcpAnswer) bool {
		return a.opcode == pcpMap && a.mapping.nonce == m.nonce && a.mapping.internal == m.internal
	})
	if err == nil {
		err = a.fault()
	}
	return a, err
}

// ask returns the answer to a request, which is ours if match says so. The
// refusal of a server that does not speak version 2 is always an answer.
func (s *pcpService) ask(ctx context.Context, request []byte, match func(*pcpAnswer) bool) (answer pcpAnswer, err error) {
	conn, err := s.dial(s.router)
	if err != nil {
		return answer, err
	}
	defer conn.Close()
	err = exchange(ctx, conn, request, func(b []byte) (ok bool) {
		answer, ok = parsePCP(b)
		return ok && (b[0] != pcpVersion || match(&answer))
	})
	return answer, err
}
