package edge

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/internal/bucket"
)

// refusal says why the control loop did not act on something that it was sent, or
// could not do something that it had to. Each has a counter of its name, beside
// the drops of the data plane; those of handshakes are named by package handshake.
type refusal string

const (
	refusedMACInvalid     refusal = "mac-invalid"       // a statement names our own, a group or no hardware address
	refusedMACPinned      refusal = "mac-pinned"        // a hardware address is pinned to another identity
	refusedMACHeld        refusal = "mac-held"          // a hardware address is another peer's
	refusedOtherIdentity  refusal = "statement-other"   // an identity claims the static key of a peer that has proved to be another one
	refusedDisputed       refusal = "statement-dispute" // two identities claim a static key whose holder has named none yet
	refusedSeqJump        refusal = "statement-seq"     // a statement's number is too far ahead to be believed outside a session
	refusedStatementRate  refusal = "statement-rate"    // more statements than are verified
	refusedBookFull       refusal = "book-full"         // one more peer than are kept
	refusedSession        refusal = "session"           // no session could be made of a handshake
	refusedStatement      refusal = "statement"         // a statement is not signed by whom it names, or not of its packet
	refusedCommunity      refusal = "statement-foreign" // a statement is of another community
	refusedPairMessage    refusal = "pair-message"      // a message of a peer does not parse
	refusedHopMessage     refusal = "hop-message"       // a message of a supernode does not parse
	refusedOldSession     refusal = "hop-message-old"   // an ACK or NAK in a session that is no longer used
	refusedHopTransform   refusal = "hop-transform"     // a hop packet under another transform
	refusedHopSession     refusal = "hop-session"       // a hop packet of no session
	refusedHopOpen        refusal = "hop-open"          // a hop packet did not authenticate, or is a replay
	refusedHopInner       refusal = "hop-inner"         // a hop packet is malformed inside
	refusedHopPong        refusal = "hop-pong"          // a supernode's PONG that answers no ping
	refusedNak            refusal = "nak"               // a NAK that answers no REGISTER
	refusedRedirect       refusal = "redirect"          // a supernode says that it is where it cannot be, or does so too often
	refusedRotate         refusal = "rotate"            // a supernode says that it has another key, and does not show it
	refusedTURNAddress    refusal = "turn-address"      // a supernode hands out a TURN server where none can be
	refusedWelcome        refusal = "welcome"           // a WELCOME that answers no HELLO
	refusedReset          refusal = "reset"             // a RESET of another session, or with a wrong token
	refusedResetRate      refusal = "reset-rate"        // one more RESET within a second
	refusedQueryRate      refusal = "query-rate"        // more was to be asked of supernodes than may be
	refusedPathPong       refusal = "pong"              // a PONG that answers no ping of the path
	refusedInitAddress    refusal = "init-address"      // an INIT would go to an address that no peer can have
	refusedInitBudget     refusal = "init-budget"       // more INITs would go to addresses that have not answered than may
	refusedPingMany       refusal = "ping-many"         // one more PING of a packet, which has one answer
	refusedPingShort      refusal = "ping-short"        // a PING that is shorter than its answer would be
	refusedPingUnproven   refusal = "ping-unproven"     // a PING in pieces from an address that has not answered
	refusedRelayPong      refusal = "relay-pong"        // a relayed PONG that answers no ping
	refusedPunch          refusal = "punch"             // a PUNCH for a peer without a session
	refusedCallUseless    refusal = "call-useless"      // a CALL without a session, or where no socket can be opened
	refusedCallRate       refusal = "call-rate"         // more CALLs of a peer than are answered
	refusedCallsRate      refusal = "calls-rate"        // more CALLs of all peers than are answered
	refusedCallAck        refusal = "callack"           // a CALLACK that answers no CALL
	refusedGo             refusal = "go"                // a GO without a CALL
	refusedForwardUnknown refusal = "forward-unknown"   // a FORWARD to an edge that we do not know
	refusedForwardPath    refusal = "forward-path"      // a FORWARD to an edge that we cannot reach directly
	refusedForwardRate    refusal = "forward-rate"      // more FORWARDs of a peer than are forwarded
	refusedForwardsRate   refusal = "forwards-rate"     // more FORWARDs of all peers than are forwarded
	refusedForwardedRate  refusal = "forwarded-rate"    // more FORWARDED packets than an introducer may bring
	refusedForwarded      refusal = "forwarded"         // a FORWARDED through two introducers, or from ourselves
	refusedIntroducedFull refusal = "introduced-full"   // one more peer behind introducers than are kept
	refusedNoIntroducer   refusal = "no-introducer"     // the introducer that a packet was for is gone
	refusedAnnouncement   refusal = "announcement"      // an announcement on the LAN that is no member's
	refusedLANShort       refusal = "lan-short"         // a packet on the LAN that is too short
	refusedLANTag         refusal = "lan-tag"           // a packet on the LAN that is no GROUP packet of our community
	refusedLANOpen        refusal = "lan-open"          // a packet on the LAN that does not open, or came before
	refusedLANInner       refusal = "lan-inner"         // a packet on the LAN that is malformed inside
	refusedHeader         refusal = "answer-header"     // an answer whose header does not parse
	refusedRelay          refusal = "relay-limited"     // packets that a supernode did not relay for its budgets, as it says
	refusedAnswer         refusal = "answer"            // an answer of a kind that its sender does not give
	refusedLinkHeld       refusal = "link-held"         // a second identity begins as that of a link's peer does
	refusedProbe          refusal = "probe"             // a probe on our segment whose signature or sender does not hold
	refusedSegmentPlain   refusal = "segment-plain"     // a SEGMENT of an edge that is no bridge
	refusedSegmentOld     refusal = "segment-old"       // a SEGMENT that is older than one before
	refusedSegmentHeir    refusal = "segment-heir"      // a bridge says that it has succeeded one that did not name it
	refusedSegmentAlive   refusal = "segment-alive"     // a bridge says that it has succeeded one that goes on
	refusedSegmentRate    refusal = "segment-rate"      // more questions for our SEGMENT than are answered
	refusedIsolated       refusal = "isolated-session"  // of an isolated community: a session, or a message about frames, of whoever frames are not exchanged with
	refusedUnlisted       refusal = "unlisted-session"  // a session, or a message, of somebody who is not in the list of members, or has not said who it is
	refusedListSigned     refusal = "list-signature"    // a list of members or a key that the community's authority has not signed
	refusedListOld        refusal = "list-old"          // a list of members that is older than one which was here
	refusedListPiece      refusal = "list-piece"        // a piece that is not of the list which its sender named
	refusedListLiar       refusal = "list-liar"         // a list of somebody who sent such a piece
	refusedListRate       refusal = "list-rate"         // more messages about lists than are read or answered
	refusedRoutesPlain    refusal = "routes-plain"      // a ROUTES of an edge that did not say that networks are behind it, or not who it is
	refusedRoutesOld      refusal = "routes-old"        // a ROUTES that is older than one before
	refusedRoutesFull     refusal = "routes-full"       // more networks behind others than are kept
	refusedRoutesRate     refusal = "routes-rate"       // more ROUTES of a peer than are answered or read
	refusedPeerGone       refusal = "peer-gone"         // an event of a peer that was forgotten meanwhile
)

// Debug lines about refusals that anybody can cause: a flood of junk is a few lines
// for each reason. A refusal that only a peer with a session can cause has a line each
// time.
const (
	strangerLinesRate  = 1.0 / 30 // a second
	strangerLinesBurst = 2
)

// anybody reports whether senders without a session can be refused for a reason.
func (r refusal) anybody() bool {
	switch r {
	case refusedHopTransform, refusedHopSession, refusedHopOpen, refusedWelcome, refusedReset, refusedResetRate,
		refusedHeader, refusedAnswer, refusedBookFull, refusedAnnouncement:
		return true
	}
	return strings.HasPrefix(string(r), "handshake-") || strings.HasPrefix(string(r), "lan-")
}

// refusals counts what was refused, by reason, and tells who and why at debug
// level. The counters may be read at any time.
type refusals struct {
	log   *slog.Logger
	mu    sync.Mutex
	n     map[refusal]uint64
	lines map[refusal]*bucket.Bucket

	olders bucket.Bucket // lines about edges of an older protocol
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log: log, n: make(map[refusal]uint64), lines: make(map[refusal]*bucket.Bucket)}
}

// olderLines is how often, in a second, the log says that edges speak an older
// protocol: once in ten minutes.
const olderLines = 1.0 / 600

// older says in the log, now and then, that an edge which greeted us has to be updated.
func (r *refusals) older(now time.Time, from dataplane.Origin) {
	if r.olders.Take(now, 1, olderLines, 1) {
		r.log.Warn("an edge speaks the protocol as it was before version 1 was final: update that edge [E22]", "from", from)
	}
}

// note counts a refusal. who is the peer or the supernode that is refused, nil for
// a stranger; args are further attributes of the debug line.
func (r *refusals) note(why refusal, who slog.LogValuer, args ...any) {
	r.count(why)
	if !r.log.Enabled(context.Background(), slog.LevelDebug) || !r.hasLine(why) {
		return
	}
	if who == nil {
		r.log.Debug("refused", append([]any{"reason", string(why)}, args...)...)
		return
	}
	r.log.Debug("refused", append([]any{"reason", string(why), "who", who}, args...)...)
}

// hasLine reports whether there may be another line about a reason.
func (r *refusals) hasLine(why refusal) bool {
	return !why.anybody() || r.hasStrangerLine(why)
}

// counted counts a refusal that the underlay tells of, and reports whether it may
// have a line.
func (r *refusals) counted(why refusal) (line bool) {
	r.count(why)
	return r.hasStrangerLine(why)
}

// hasStrangerLine is hasLine for a reason for which anybody can be refused.
func (r *refusals) hasStrangerLine(why refusal) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.lines[why]
	if b == nil {
		b = new(bucket.Bucket)
		r.lines[why] = b
	}
	return b.Take(time.Now(), 1, strangerLinesRate, strangerLinesBurst)
}

// count counts a refusal without a line: package underlay has written its own.
func (r *refusals) count(why refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n[why]++
}

// add counts what somebody else has refused of ours.
func (r *refusals) add(why refusal, n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n[why] += n
}

// addTo adds the counters to m.
func (r *refusals) addTo(m map[string]uint64) map[string]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for why, n := range r.n {
		m[string(why)] += n
	}
	return m
}
