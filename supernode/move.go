package supernode

import (
	"errors"
	"fmt"

	"hedgerow/internal/handover"
	"hedgerow/internal/invite"
	"hedgerow/protocol"
)

// Move tells all edges that this supernode is found at another host and port from now on, by
// the same key, or with an empty host that it is where it was. It goes on to serve those
// that are here. Edges that come later are told as well, also after a restart. The error says
// why nothing was changed.
func (s *Server) Move(host string, port uint16) error {
	if host != "" {
		if err := invite.CheckHost(host); err != nil {
			return err
		}
		if port == 0 {
			return errors.New("a supernode has a port from 1 to 65535")
		}
	}
	if !s.sockets.gate.Enter() {
		return handover.ErrHandedOver
	}
	defer s.sockets.gate.Leave()
	d := s.controls.redirects
	d.moving.Lock()
	defer d.moving.Unlock()
	s.mu.Lock()
	m := protocol.Redirect{Serial: max(uint64(max(s.cfg.Now().UnixMilli(), 1)), d.now.Serial+1), Host: host, Port: port}
	s.mu.Unlock()
	if err := d.keep(&m); err != nil {
		return fmt.Errorf("edges are told nothing, since it cannot be kept: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d.set(s.cfg.Now(), m)
	s.cfg.Log.Info("edges are told where this supernode is found from now on", "host", host, "port", port)
	return nil
}
