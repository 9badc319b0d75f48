package supernode

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"hedgerow/nat/turn"
	"hedgerow/protocol"
)

// TURN says where a supernode is a TURN server, too (RFC 8656): edges that find no
// path between themselves reach each other over its relayed transport addresses.
// Only edges that are registered here get credentials, by their ACK, and they reach
// no other addresses than those of the edges of their community.
type TURN struct {
	// Conn is a UDP socket for IPv4, apart from Config.Conn. Run closes it.
	Conn net.PacketConn
	// Address is the IPv4 address of this host that edges are told, for the
	// server and for relayed transport addresses. The port is that of Conn.
	Address netip.Addr
	// Bind is the local IPv4 address of relayed transport addresses. Default: all.
	Bind netip.Addr
	// Ports are the first and the last port of relayed transport addresses. Default:
	// 49152 to 65535.
	Ports [2]uint16
	// Limits bound what edges may use. Default: those of turn.ServerLimits.
	Limits turn.ServerLimits
	// Listen opens the socket of a relayed transport address. Default: net.ListenUDP.
	Listen func(local netip.AddrPort) (net.PacketConn, error)
}

// turnTime is how long a credential lasts. An edge registers again after half of
// its lease, and gets another one then.
const turnTime = leaseTime

// at returns the address that edges are told.
func (t *TURN) at() netip.AddrPort {
	udp, ok := t.Conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(t.Address, udp.AddrPort().Port())
}

func (t *TURN) validate() error {
	switch {
	case t == nil:
		return nil
	case t.Conn == nil:
		return errors.New("no socket for the TURN server")
	case !t.at().IsValid() || !t.Address.Is4() || t.Address.IsUnspecified():
		return errors.New("no IPv4 address and UDP port that edges may be told for the TURN server")
	case t.Bind.IsValid() && !t.Bind.Is4():
		return errors.New("the relays of the TURN server have no IPv4 address")
	case t.Ports[0] > t.Ports[1] || t.Ports[0] == 0 && t.Ports[1] != 0:
		return errors.New("the ports of TURN relays are not a range")
	}
	return nil
}

// turnSecret is the secret that credentials are made from. It follows from the
// identity, so credentials that edges hold outlive a restart.
func turnSecret(seed [32]byte) []byte {
	secret, err := hkdf.Key(sha256.New, seed[:], nil, "hedgerow/1 turn secret", 32)
	if err != nil {
		panic("supernode: derive the TURN secret: " + err.Error()) // constant lengths: it cannot fail
	}
	return secret
}

// offerTURN returns the TURN server with a credential for r, and the zero value if
// there is no server. The identity in the credential is the handle, which names one
// edge in one community.
func (s *Server) offerTURN(now time.Time, r *registration) protocol.TURNServer {
	if s.cfg.TURN == nil {
		return protocol.TURNServer{}
	}
	identity := strconv.FormatUint(uint64(r.handle), 16)
	user, password := turn.Credentials(turnSecret(s.identity.Seed), identity, now.Add(turnTime))
	return protocol.TURNServer{Addr: s.cfg.TURN.at(), User: user, Password: password}
}

// turnAllowed reports whether the edge that an identity names may reach an address:
// one at which we see an edge of its community by UDP now. Addresses that edges claim
// do not count, since the server would send to whichever host they name.
func (s *Server) turnAllowed(identity string, peer netip.Addr) bool {
	handle, err := strconv.ParseUint(identity, 16, 32)
	if err != nil {
		s.refusePermission(dropTURNIdentity, identity, peer)
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.registry.byHandle[uint32(handle)]
	if r == nil || r.ended(s.cfg.Now()) {
		s.refusePermission(dropTURNIdentity, identity, peer)
		return false
	}
	for _, other := range r.community.online {
		if seen := underlayAddr(other.hop.addr); other != r && seen.IsValid() && seen.Addr().Unmap() == peer {
			return true
		}
	}
	s.refusePermission(dropTURNPeer, identity, peer)
	return false
}

// refusePermission counts why the TURN server may not reach an address for the
// edge that an identity names, and says it at debug level.
func (s *Server) refusePermission(reason dropReason, identity string, peer netip.Addr) {
	s.refused.count(reason, true, func() []any { return []any{"handle", identity, "peer", peer} })
}

// serveTURN serves TURN until ctx ends. Only edges that use it lose by its failure.
func (s *Server) serveTURN(ctx context.Context) {
	t := s.cfg.TURN
	server, err := turn.NewServer(turn.ServerConfig{
		Conn: t.Conn, Address: t.Address, Bind: t.Bind, Ports: t.Ports, Limits: t.Limits, Listen: t.Listen,
		Secret: turnSecret(s.identity.Seed), Allowed: s.turnAllowed, Log: s.cfg.Log,
	})
	if err != nil {
		s.cfg.Log.Error("there is no TURN server", "err", err)
		return
	}
	s.turn.Store(server)
	<-ctx.Done()
	if err := server.Close(); err != nil {
		s.cfg.Log.Error("the TURN server did not end well", "err", err)
	}
}
