package edge

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"hedgerow/edge/control"
	"hedgerow/edge/underlay"
	"hedgerow/nat/address"
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

// status returns what is known of a supernode, and of the mapping towards it.
func (s *supernode) status(mapping *underlay.Lifetime) control.SupernodeStatus {
	st := control.SupernodeStatus{Name: s.cfg.Name, State: s.state(), Stream: s.streamText(), Obfuscated: len(s.cfg.ObfsKey) > 0}
	if a := s.shownAddr(); a.IsValid() {
		st.Addr = a.String()
	}
	if s.key != nil {
		st.ID = base64.RawURLEncoding.EncodeToString(s.key[:])
	}
	if s.keepalive.rtt > 0 {
		st.RTTms = milliseconds(s.keepalive.rtt)
	}
	if mapping.Short() && s.registered() && !s.streaming() {
		st.KeepaliveS = mapping.Keepalive().Seconds()
	}
	return st
}

// role names what a supernode does while another one has us registered, too.
func (l supernodes) role(s *supernode) control.SupernodeRole {
	first := slices.IndexFunc(l, (*supernode).registered)
	others := slices.ContainsFunc(l, func(other *supernode) bool { return other != s && other.registered() })
	switch {
	case !s.registered() || !others:
		return ""
	case s != l[first]:
		return control.RoleStandby
	case s.keepalive.late:
		return control.RoleLate
	}
	return control.RoleServing
}

// notes says for status which supernodes do not serve us, and why, which do so by a stream
// although the user did not ask for that, and whose name cannot be looked up. twin says that
// status has a note about another machine with our identity. policy says for want of
// which IP version some cannot be reached.
func (l supernodes) notes(streamOnly, twin bool, policy *address.Policy) (list []string) {
	var silent []string
	for _, s := range l {
		if s.where.pointer.host != "" {
			list = append(list, s.redirected())
		}
		if s.cfg.Key != nil && s.key != nil && *s.cfg.Key != *s.key && s.kin.first == nil {
			list = append(list, control.Rotated(s.cfg.Name, *s.key, true))
		}
		unnamed := !s.where.failed.IsZero() && !(s.registered() && s.streaming()) // else its proxy knows the name
		if unnamed {
			list = append(list, control.Unresolved(s.cfg.Name, s.where.fault, s.shownAddr()))
		}
		switch note := s.refusalNote(twin); {
		case note != "":
			list = append(list, note)
		case s.kin.first != nil: // the one that its name led to before says how that is
		case !s.registered() && s.missing(policy) != 0:
			list = append(list, control.NoFamily(s.cfg.Name, s.missing(policy)))
		case unnamed && !s.silent(): // that it has no name yet is all that there is to say
		case !s.registered() && !(twin && s.reported.refused == protocol.CodeOldStatement):
			silent = append(silent, s.cfg.Name+" "+s.silence())
		case s.registered() && s.streaming() && !streamOnly && s.isForbidden():
			list = append(list, control.ForbiddenSupernode(s.cfg.Name, s.streamText()))
		case s.registered() && s.streaming() && !streamOnly:
			list = append(list, fmt.Sprintf("no answer from %s over UDP%s: it looks blocked. %s serves, which is slower, and direct paths are off until UDP returns. [E08]", s.cfg.Name, s.triedPorts(), s.streamText()))
		case s.registered() && s.byFurther() && s.stream.further.uplink != "":
			list = append(list, fmt.Sprintf("%s answers by %s, and not by the interface of the preferred route to it: look at the network behind that. Frames are relayed by %[2]s until it is answered again.", s.cfg.Name, s.stream.further.uplink))
		case s.registered() && s.byFurther():
			list = append(list, fmt.Sprintf("%s answers another UDP port of this host, and not the edge's own: something on the way drops that one. Frames are relayed by the other until it is answered again; 'edge -p 0' takes a new one.", s.cfg.Name))
		}
	}
	switch {
	case len(silent) == 0:
	case l.registered():
		list = append(list, fmt.Sprintf("%s. Another supernode serves this edge, and members that only the silent one knows are not found.", strings.Join(silent, ", ")))
	default:
		list = append(list, fmt.Sprintf("no supernode is reached (%s): members that are not connected are not found, and nothing is relayed. 'edge netcheck' says what the network lets through.", strings.Join(silent, ", ")))
	}
	return list
}

// triedPorts says that other local ports were tried in vain, empty: none was.
func (s *supernode) triedPorts() string {
	switch n := s.stream.further.tries; n {
	case 0:
		return ""
	case 1:
		return ", by this edge's port or another"
	default:
		return fmt.Sprintf(", by this edge's port or %d others", n)
	}
}

// silent says that the user was told of a supernode which does not answer.
func (s *supernode) silent() bool {
	return s.reported.noAnswer || s.reported.lost || s.stream.failed != ""
}

// silence says why a supernode that does not have us registered does not answer.
func (s *supernode) silence() string {
	switch {
	case len(s.where.addrs) == 0 && !s.where.failed.IsZero():
		return "has a name that cannot be resolved"
	case len(s.where.addrs) == 0:
		return "has a name that is being resolved"
	case s.isForbidden():
		return "is not reached, since this host's own firewall lets nothing out to it [E58]"
	case s.reported.lost:
		return "no longer answers"
	case s.silent():
		return "does not answer" + s.triedPorts() + s.otherObfs() + " [E08]"
	}
	return "has not answered yet"
}

// otherObfs says that the obfuscation key may be why a supernode is silent, empty: there is
// none.
func (s *supernode) otherObfs() string {
	if len(s.cfg.ObfsKey) == 0 {
		return ""
	}
	return ", or not to this edge's obfuscation key"
}

// refusalNote says that a supernode answers and does not serve us, empty: it is not so.
func (s *supernode) refusalNote(twin bool) string {
	switch {
	case s.registered():
	case s.reported.otherKey != "":
		return s.reported.otherKey
	case s.hello.older:
		return control.OlderSupernode(s.cfg.Name)
	case s.reported.refused == protocol.CodeOldStatement && twin: // the note about the other machine says it
	case s.reported.refused == protocol.CodeIPTaken && !s.grant.holder.IsZero():
		return fmt.Sprintf("%s refuses this edge: its address is used by %s. Choose another one with -a static:IP/LEN, or leave -a out. [E11]", s.cfg.Name, s.grant.holder)
	case s.reported.refusal != "":
		return s.reported.refusal
	case s.reported.refused != 0:
		return fmt.Sprintf("%s refuses this edge: %s.", s.cfg.Name, protocol.CodeString(s.reported.refused))
	case s.kin.first != nil && !s.dormant() && !s.kin.first.where.pointer.active():
		return control.NameMoved(s.cfg.Name, s.addr(), s.kin.first.shownAddr())
	}
	return ""
}
