package edge

import (
	"encoding/base64"

	"hedgerow/edge/control"
)

// transportKind names what a supernode is reached by.
func (s *supernode) transportKind() string {
	if s.streaming() {
		return control.KindTLS
	}
	return control.KindUDP
}

// state names what a registration is waiting for.
func (s *supernode) state() control.SupernodeState {
	switch {
	case s.registered():
		return control.StateRegistered
	case len(s.where.addrs) == 0:
		return control.StateResolving
	case s.reported.lost:
		return control.StateLost
	case s.hello.older:
		return control.StateOlder
	case s.reported.refused != 0:
		return control.StateRefused
	}
	return control.StateConnecting
}

// status returns what is known of a supernode.
func (s *supernode) status() control.SupernodeStatus {
	st := control.SupernodeStatus{Name: s.cfg.Name, State: s.state(), Stream: s.streamText()}
	if a := s.shownAddr(); a.IsValid() {
		st.Addr = a.String()
	}
	if s.key != nil {
		st.ID = base64.RawURLEncoding.EncodeToString(s.key[:])
	}
	if s.keepalive.rtt > 0 {
		st.RTTms = milliseconds(s.keepalive.rtt)
	}
	return st
}
