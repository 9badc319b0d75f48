package edge

import (
	"encoding/base64"
	"fmt"
	"slices"

	"hedgerow/edge/control"
	"hedgerow/protocol"
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

// notes says for status which supernodes do not serve us although they answer, and that
// none is reached once the user was told of one that is not.
func (l supernodes) notes() (list []string) {
	for _, s := range l {
		switch {
		case s.registered():
		case s.hello.older:
			list = append(list, control.OlderSupernode(s.cfg.Name))
		case s.reported.refused == protocol.CodeOldStatement: // the note about the other machine says it
		case s.reported.refused != 0:
			list = append(list, fmt.Sprintf("%s refuses this edge: %s.", s.cfg.Name, protocol.CodeString(s.reported.refused)))
		}
	}
	silent := func(s *supernode) bool {
		return s.reported.noAnswer || s.reported.lost || s.stream.failed != "" || !s.where.failed.IsZero()
	}
	if len(list) == 0 && !l.registered() && slices.ContainsFunc(l, silent) {
		list = append(list, "no supernode is reached: members that are not connected are not found, and nothing is relayed. 'edge netcheck' says what the network lets through.")
	}
	return list
}
