package render

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"strings"
	"syscall"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// Message is an event in words. Names in it may come from strangers: who writes it to
// a terminal passes it through format.Printable.
type Message struct {
	// Level is slog.LevelWarn where the user has to act, slog.LevelError where
	// something asked for was not done, and otherwise slog.LevelInfo.
	Level slog.Level
	// Label says what it is about, "supernode" or "path"; empty for a whole
	// sentence.
	Label string
	// Text is the rest of the line, or a sentence: what happened, why, and what to
	// type.
	Text string
	// Err is the cause where the sentence does not name it.
	Err error
}

// Messages puts the events of one edge into words.
type Messages struct {
	// Community is the name of the edge's community.
	Community string
	// IdentityFile is the path of the edge's identity.
	IdentityFile string
	// Static says that the user insists on an IPv4 address, Preferred is one that
	// the user asked for; invalid: none.
	Static    bool
	Preferred netip.Prefix
}

// Of returns an event in words.
func (m *Messages) Of(ev control.Event) Message {
	switch ev.Kind {
	case control.EventRegistered:
		return Message{Label: "supernode", Text: registered(ev)}
	case control.EventLease:
		return Message{Label: "address", Text: m.address(ev)}
	case control.EventMapping:
		return Message{Label: "nat", Text: ev.Text}
	case control.EventReady:
		return Message{Text: fmt.Sprintf("ready in %s. 'edge peers' shows paths; Ctrl-C leaves the network.", format.Elapsed(ev.Elapsed))}
	case control.EventPeerPath:
		return Message{Label: "path", Text: peerPath(ev.Peer)}
	case control.EventSegment:
		return Message{Label: "segment", Text: ev.Text}
	case control.EventRotated:
		return Message{Text: ev.Text}
	case control.EventPeerGone:
		return Message{Label: "path", Text: fmt.Sprintf("%-14s gone", peerName(ev.Peer))}
	case control.EventAlone:
		return Message{Text: fmt.Sprintf("no other edge is registered as %q on %s yet. [E06b]", m.Community, hostOf(ev.Supernode))}
	case control.EventReloaded:
		if ev.Err != nil {
			return Message{Level: slog.LevelError, Text: "the keys could not be read anew; the old ones stay", Err: ev.Err}
		}
		return Message{Text: "the keys were read anew"}
	}
	return Message{Level: slog.LevelWarn, Text: m.warning(ev)}
}

// warning returns the sentence for an event that the user should act on.
func (m *Messages) warning(ev control.Event) string {
	switch ev.Kind {
	case control.EventResolveFailed:
		return control.Unresolved(ev.Supernode, ev.Err, ev.Addr)
	case control.EventNoAnswer:
		return noAnswer(ev)
	case control.EventPinned:
		return fmt.Sprintf("trusting %[1]s at first sight, with key %[2]s. Compare it with what 'supernode id' prints there; to pin it yourself type -l %[1]s#%[2]s.",
			ev.Supernode, supernodeKey(ev.Key))
	case control.EventStream:
		if errors.Is(ev.Err, fs.ErrPermission) {
			return control.ForbiddenSupernode(ev.Supernode, ev.Text)
		}
		return fmt.Sprintf("no answer from %s over UDP: it looks blocked. Using %s; direct paths are off until UDP returns. [E08]", ev.Supernode, ev.Text)
	case control.EventOlder:
		return control.OlderSupernode(ev.Supernode)
	case control.EventRecursion, control.EventNameMoved, control.EventKeyChanged, control.EventRedirected, control.EventViolation, control.EventLimited, control.EventAddressTwice, control.EventNoLease:
		return ev.Text // the note of status
	case control.EventStreamFailed:
		return fmt.Sprintf("no stream to %s either: %v", ev.Supernode, ev.Err)
	case control.EventAddressReplaced:
		who := ev.MAC.String()
		if name := peerName(ev.Peer); name != "" {
			who = name
		}
		return fmt.Sprintf("%s is already used by %s. Got %s instead. [E11]", ev.Wanted.Addr(), who, ev.Prefix.Addr())
	case control.EventAddressRefused:
		return fmt.Sprintf("%s is already used by %s. Choose another address with -a static:IP/LEN, or leave -a out to be given a free one.",
			ev.Wanted.Addr(), ev.MAC)
	case control.EventLeaseRefused:
		return control.LeaseRefusal(ev.Supernode, ev.Prefix, ev.Text)
	case control.EventIdentityTwice:
		return control.IdentityTwice(ev.Text, m.Community)
	case control.EventMACTaken:
		return fmt.Sprintf("another edge uses mac %s (cloned machine image?). Stop this edge and type 'edge identity new -c %s', or use -m random. [E57]", ev.MAC, m.Community)
	case control.EventRefused:
		return cmp.Or(ev.Text, fmt.Sprintf("%s refused this edge: %v.", ev.Supernode, ev.Err))
	case control.EventWrongKey:
		return fmt.Sprintf("the name %q is in use on %s with another key, or another authority in its file: check -k. [E06]", m.Community, hostOf(ev.Supernode))
	case control.EventSupernodeLost:
		return fmt.Sprintf("%s no longer answers; trying on. Direct paths stay.", ev.Supernode)
	case control.EventScheduleEnds:
		return fmt.Sprintf("the key schedule ends in %s: make new keys with 'edge keygen' and give them to every member.", format.Remaining(ev.Elapsed))
	}
	return ""
}

// supernodeKey writes a supernode's key as "supernode id" prints it.
func supernodeKey(key [32]byte) string { return base64.RawURLEncoding.EncodeToString(key[:]) }

// registered is the line of a supernode that registered us.
func registered(ev control.Event) string {
	s := fmt.Sprintf("%s -> %s over UDP", ev.Supernode, ev.Addr.Addr())
	if ev.Text != "" {
		s = fmt.Sprintf("%s -> %s", ev.Supernode, ev.Text)
	}
	if ev.RTT > 0 {
		s += ", " + format.RTT(ev.RTT)
	}
	return s + fmt.Sprintf(", key index %d", ev.KeyIndex)
}

// address is the line of an address that the device got.
func (m *Messages) address(ev control.Event) string {
	from := "from the supernode"
	switch {
	case ev.Prefix.Addr().Is6():
		from = "from the identity"
	case m.Static:
		from = "static"
	case ev.Prefix == m.Preferred:
		from = "as asked for, from the supernode"
	}
	return ev.Prefix.String() + " " + from
}

// noAnswer is E08, or E09 when the host said that nobody listens, or E58 when this host
// let nothing out.
func noAnswer(ev control.Event) string {
	switch {
	case ev.Text != "":
		return ev.Text
	case errors.Is(ev.Err, fs.ErrPermission):
		return control.ForbiddenSupernode(ev.Supernode, "")
	case errors.Is(ev.Err, syscall.ECONNREFUSED):
		return fmt.Sprintf("%s refused: no supernode is listening on that port. [E09]", ev.Addr)
	}
	return control.NoAnswer(ev.Supernode, ev.Count, ev.Elapsed, false)
}

// peerPath is the line of a peer whose path changed.
func peerPath(p control.Peer) string {
	rtt := ""
	if p.RTTms != nil {
		rtt = rttText(*p.RTTms)
	}
	where := p.Endpoint
	if p.Path != control.PathDirect {
		where = ""
		if p.Via != "" {
			where = "via " + hostOf(p.Via)
		}
	}
	s := fmt.Sprintf("%-14s %-7s %-21s %s", peerName(p), pathWord(p.PathStatus), where, rtt)
	if p.Reason != "" {
		s += "  (" + p.Reason + ")"
	}
	return strings.TrimRight(s, " ")
}
