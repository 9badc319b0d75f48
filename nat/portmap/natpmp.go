package portmap

import (
	"context"
	"net"
	"net/netip"
	"time"
)

// natpmp speaks NAT-PMP.
type natpmp struct {
	dial func(r router) (net.Conn, error)
}

func (p natpmp) protocol() Protocol { return NATPMP }

// find asks for the public address.
func (p natpmp) find(ctx context.Context, r router) (service, error) {
	s := &pmpService{natpmp: p, router: r}
	if _, err := s.address(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// pmpService is a router with NAT-PMP.
type pmpService struct {
	natpmp
	router
	internal uint16     // the port that is mapped
	public   netip.Addr // as last heard
	epoch    epoch
}

func (s *pmpService) request(ctx context.Context, w want) (grant, error) {
	// The answer to a request for a mapping does not have the address.
	if _, err := s.address(ctx); err != nil {
		return grant{}, err
	}
	if !public(s.public) {
		return grant{}, behindNAT(s.public)
	}
	s.internal = w.port
	a, err := s.ask(ctx, appendPMPMap(nil, w.port, w.suggestion(), w.seconds()), s.isMapping)
	if err != nil {
		return grant{}, err
	}
	s.epoch.consistent(time.Now(), a.epoch) // its epoch is of before this mapping
	return newGrant(netip.AddrPortFrom(s.public, a.external), a.lifetime)
}

func (s *pmpService) check(ctx context.Context) error {
	before := s.public
	consistent, err := s.address(ctx)
	if err == nil && (!consistent || s.public != before) {
		return errLost
	}
	return err
}

func (s *pmpService) release(ctx context.Context) error {
	_, err := s.ask(ctx, appendPMPMap(nil, s.internal, 0, 0), s.isMapping)
	return err
}

func (s *pmpService) isMapping(a *pmpAnswer) bool {
	return a.opcode == pmpMapUDP && (a.result != 0 || a.internal == s.internal)
}

// address asks for the public address, and reports whether the router's tables
// are those of before.
func (s *pmpService) address(ctx context.Context) (consistent bool, err error) {
	a, err := s.ask(ctx, appendPMPAddress(nil), func(a *pmpAnswer) bool { return a.opcode == pmpAddress })
	if err != nil {
		return false, err
	}
	s.public = a.address
	return s.epoch.consistent(time.Now(), a.epoch), nil
}

// ask returns the answer to a request, which is ours if match says so. The
// refusal of a server that speaks PCP only is always an answer.
func (s *pmpService) ask(ctx context.Context, request []byte, match func(*pmpAnswer) bool) (answer pmpAnswer, err error) {
	conn, err := s.dial(s.router)
	if err != nil {
		return answer, err
	}
	defer conn.Close()
	err = exchange(ctx, conn, request, func(b []byte) (ok bool) {
		answer, ok = parsePMP(b)
		return ok && (b[0] != pmpVersion || match(&answer))
	})
	if err == nil {
		err = answer.fault()
	}
	return answer, err
}
