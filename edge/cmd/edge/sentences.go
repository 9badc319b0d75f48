package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/control"
)

// show prints one event.
func (r *reporter) show(ev edge.Event) {
	switch ev.Kind {
	case edge.EventRegistered:
		r.lineOrNews(ev, "supernode", registered(ev))
	case edge.EventLease:
		r.lineOrNews(ev, "address", r.address(ev))
	case edge.EventMapping:
		r.lineOrNews(ev, "nat", ev.Text)
	case edge.EventReady:
		r.line("", fmt.Sprintf("ready in %s. 'edge status' shows links; Ctrl-C leaves the network.", readyText(ev.Elapsed)))
		r.ready = true
	case edge.EventLink:
		r.news(ev, "link "+linkText(ev.Peer))
	case edge.EventLinkDown:
		r.news(ev, fmt.Sprintf("link %-14s gone", peerName(ev.Peer)))
	case edge.EventAlone:
		r.log.Info(fmt.Sprintf("no other edge is registered as %q on %s yet. [E06b]", r.name, hostOf(ev.Supernode)))
	case edge.EventReloaded:
		r.reloaded(ev)
	case edge.EventAddressRefused:
		// It ends the process, which prints the sentence at last.
	default:
		if s := r.warning(ev); s != "" {
			r.log.Warn(s)
		}
	}
}

// warning returns the sentence for an event that a person should act on.
func (r *reporter) warning(ev edge.Event) string {
	switch ev.Kind {
	case edge.EventResolveFailed:
		return resolveFailed(ev)
	case edge.EventNoAnswer:
		return noAnswer(ev)
	case edge.EventPinned:
		return fmt.Sprintf("trusting %[1]s at first sight, with key %[2]s. Compare it with what 'supernode id' prints there; to pin it yourself type -l %[1]s#%[2]s.",
			ev.Supernode, supernodeKey(ev.Key))
	case edge.EventKeyChanged:
		return fmt.Sprintf("%[1]s shows another key (%[2]s) than the one trusted so far: not registering there. If the supernode was set up anew, type -l %[1]s#%[2]s; otherwise somebody stands between.",
			ev.Supernode, supernodeKey(ev.Key))
	case edge.EventStream:
		return fmt.Sprintf("no answer from %s over UDP: it looks blocked. Using %s; direct links are off until UDP returns. [E08]", ev.Supernode, ev.Text)
	case edge.EventStreamFailed:
		return fmt.Sprintf("no stream to %s either: %v", ev.Supernode, ev.Err)
	case edge.EventAddressReplaced:
		return fmt.Sprintf("%s is already used by %s. Got %s instead. [E11]", ev.Wanted.Addr(), macText(ev.MAC), ev.Prefix.Addr())
	case edge.EventMACTaken:
		return fmt.Sprintf("another edge uses mac %s (cloned machine image?). Delete %s or use -m random. [E13]",
			macText(ev.MAC), filepath.Join(r.state, identityFile))
	case edge.EventRefused:
		return fmt.Sprintf("%s refused this edge: %v.", ev.Supernode, ev.Err)
	case edge.EventWrongKey:
		return wrongKey(r.name, ev)
	case edge.EventSupernodeLost:
		return fmt.Sprintf("%s no longer answers; trying on. Direct links stay.", ev.Supernode)
	case edge.EventScheduleEnds:
		return fmt.Sprintf("the key schedule ends in %s: make new keys with 'edge keygen' and give them to every member.", longSpan(ev.Elapsed))
	}
	return ""
}

func (r *reporter) reloaded(ev edge.Event) {
	if ev.Err != nil {
		r.log.Error("the keys could not be read anew; the old ones stay", "err", ev.Err)
		return
	}
	r.log.Info("the keys were read anew")
}

// supernodeKey writes a supernode's key as "supernode id" prints it.
func supernodeKey(key [32]byte) string { return base64.RawURLEncoding.EncodeToString(key[:]) }

// registered is the line of a supernode that took us in.
func registered(ev edge.Event) string {
	s := fmt.Sprintf("%s -> %s over UDP", ev.Supernode, ev.Addr.Addr())
	if ev.Text != "" {
		s = fmt.Sprintf("%s -> %s", ev.Supernode, ev.Text)
	}
	if ev.RTT > 0 {
		s += ", " + rttText(ev.RTT)
	}
	return s + fmt.Sprintf(", key index %d", ev.KeyIndex)
}

// address is the line of an address that the device got.
func (r *reporter) address(ev edge.Event) string {
	from := "from the supernode"
	switch {
	case ev.Prefix.Addr().Is6():
		from = "from the identity"
	case r.options.Address.Mode == edge.AddressStatic:
		from = "static"
	case r.options.Address.Mode == edge.AddressPrefer && ev.Prefix == r.options.Address.Prefix:
		from = "as asked for, from the supernode"
	}
	return ev.Prefix.String() + " " + from
}

// resolveFailed is E10.
func resolveFailed(ev edge.Event) string {
	host := hostOf(ev.Supernode)
	s := fmt.Sprintf("cannot resolve %s: %s. Will retry every 30 s", host, resolveReason(ev.Err))
	if ev.Addr.IsValid() {
		s += fmt.Sprintf("; last good address %s is being tried", ev.Addr.Addr())
	}
	return s + ". [E10]"
}

func resolveReason(err error) string {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		if err == nil {
			return "no answer"
		}
		return err.Error()
	}
	reason := dns.Err
	switch {
	case dns.IsNotFound:
		reason = "NXDOMAIN"
	case dns.IsTimeout:
		reason = "no answer"
	}
	if dns.Server != "" {
		reason += " from " + hostOf(dns.Server)
	}
	return reason
}

// noAnswer is E08, or E09 when the host said that nobody listens.
func noAnswer(ev edge.Event) string {
	if errors.Is(ev.Err, syscall.ECONNREFUSED) {
		return fmt.Sprintf("%s refused: no supernode is listening on that port. [E09]", ev.Addr)
	}
	return fmt.Sprintf("no answer from %s over UDP (%d tries, %.0f s): check the address, the server's firewall, or that the supernode runs. [E08]",
		ev.Supernode, ev.Count, ev.Elapsed.Seconds())
}

// wrongKey is E06.
func wrongKey(community string, ev edge.Event) string {
	edges, verb := "edges", "use"
	if ev.Count == 1 {
		edges, verb = "edge", "uses"
	}
	return fmt.Sprintf("%d %s %s the name %q on %s with another key: check -k. [E06]", ev.Count, edges, verb, community, hostOf(ev.Supernode))
}

// addressRefused is E11 for a static address.
func addressRefused(ev edge.Event) string {
	return fmt.Sprintf("%s is already used by %s. Choose another address with -a static:IP/LEN, or leave -a out to be given a free one.",
		ev.Wanted.Addr(), macText(ev.MAC))
}

// linkText is the rest of a link's line.
func linkText(p control.Peer) string {
	rtt := ""
	if p.RTTms != nil {
		rtt = rttText(time.Duration(*p.RTTms * float64(time.Millisecond)))
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

// peerName returns the peer's name, or its identity as long as it has not told
// its name.
func peerName(p control.Peer) string {
	if p.Name != "" {
		return p.Name
	}
	return p.ID
}

// hostOf returns the host of HOST:PORT, and anything else as it is.
func hostOf(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return s
}
