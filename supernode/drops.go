package supernode

import "sync/atomic"

// dropReason says why a datagram or a message went no further. Each has one
// counter. Of what is dropped from the packets that are relayed nothing is logged;
// everything else says at debug level who and why (refusals.go).
type dropReason uint8

const (
	// Datagrams, before it is known whose they are.

	dropShort          dropReason = iota // too short for any packet
	dropLong                             // over protocol.MaxDatagram
	dropHeader                           // unknown version, type or flag: most junk ends here
	dropTransform                        // not the transform of a hop
	dropLength                           // not the length of its type
	dropUnexpected                       // a type that no edge sends to a supernode
	dropMAC1                             // an INIT for another key
	dropCookie                           // an INIT under load without a cookie: one was sent
	dropInitRate                         // more INITs than a source may send
	dropGuests                           // an INIT when handshakes have cost as much as they may, or one that waited for too long
	dropDisplaced                        // a session without registration that made room for another
	dropStamp                            // an INIT that must answer a challenge: one was sent
	dropUnknownSession                   // an index of no session
	dropExpiredSession                   // a session past its life
	dropResetRate                        // an index of another boot, and its source was told with as many RESETs as it may
	dropResetTotal                       // RESETs have cost as much as they may
	dropHello                            // a HELLO over the rate of its source
	dropHelloTotal                       // HELLOs have cost as much as they may
	dropHelloOff                         // a HELLO, and edges must know the key beforehand
	dropRepeated                         // an INIT or a HELLO that came before, and there is an obfuscation key
	dropSTUN                             // a STUN message that is malformed
	dropSTUNRate                         // STUN over the rate of one source
	dropSTUNTotal                        // STUN has cost as much as it may
	dropSTUNShort                        // a STUN request that is shorter than its answer
	dropSTUNStream                       // STUN over a stream, whose address is of no use
	dropSTUNTrain                        // STUN requests behind one another: nobody asks so in good faith
	dropSTUNPort                         // an answer from the other port was asked for, and there is none

	// Control packets of an edge with a session.

	dropOpen           // did not authenticate
	dropReplay         // was seen before, or is too old to tell
	dropInner          // authenticated, but malformed inside
	dropControl        // messages that do not parse, so that the whole body is dropped
	dropControlLong    // an answer over protocol.MaxDatagram
	dropControlRate    // more messages than an edge may send
	dropUnproved       // an answer that an unproved address has not paid for
	dropSessionWorn    // the counter of a session is used up
	dropUnregistered   // an edge without registration asked for a member's service
	dropPing           // a malformed PING
	dropPong           // a malformed PONG
	dropPongUnexpected // a PONG that nobody waits for, from there or any more
	dropWhoami         // a malformed WHOAMI
	dropDirect         // a malformed DIRECT
	dropQuery          // a malformed QUERY
	dropQueryUnknown   // a QUERY about nobody who is here: it is not answered
	dropListRate       // more QUERYs for a list than an edge may send
	dropPunch          // a malformed PUNCH
	dropPunchRate      // more PUNCHes than an edge may send
	dropPunchTarget    // a PUNCH with nobody here, of another community, or itself
	dropPunchStream    // a PUNCH with one of the two seen over a stream only
	dropListPart       // a piece of a list of members that nobody asked for or that is not of the list, or a malformed LISTWANT
	dropPushes         // the queue of notices about restarted edges is full

	// Registrations that are refused, or not kept.

	dropRegister           // a malformed REGISTER
	dropRegisterRetired    // a REGISTER over a session that a newer one replaced
	dropRegisterMAC        // for a hardware address that no host has
	dropRegisterCommunity  // the community is not that of the name and key it names
	dropRegisterMembership // the proof of membership does not hold
	dropRegisterStatement  // the statement is not signed by its identity
	dropRegisterMismatch   // the statement is about another key, community or MAC
	dropRegisterOther      // the session is another edge's, or of another community
	dropRegisterListing    // what it says of a list of members is not so
	dropRegisterOld        // the statement is older than the one that is known
	dropMACTaken           // somebody else has the hardware address
	dropIPTaken            // somebody else has the address, and no other is wanted
	dropPool               // there is no address to lease; the edge is registered without one, or wants one that no host can have
	dropCommunities        // the table of communities is full
	dropEdges              // the table of registrations is full
	dropCommunityEdges     // the community has as many registrations as it may, and all are here
	dropNewcomerRate       // more edges that were never seen than may come from one place
	dropNotServed          // of a community that is not served here
	dropRemoved            // of an edge that the operator has removed
	dropToken              // with a token that is unknown, used up or expired
	dropUser               // with a user that there is not, or a wrong password
	dropPasswordRate       // with a password while too many were wrong, or wait to be looked at
	dropTokenUnsaved       // with a token whose use cannot be written to the disk
	dropNotListed          // of an edge that is no member by the list of its community
	dropListWanted         // the list of members has to come first
	dropListFull           // there is no room for the list of members
	dropReturning          // of lost registrations not all are back, and this edge asks for no address that it had
	dropStored             // a stored registration that does not parse
	dropStoredFull         // a stored registration that there is no room for any more
	dropStoreWrite         // registrations that could not be written to disk, for now
	dropTURNIdentity       // a TURN permission for nobody who is registered here
	dropTURNPeer           // a TURN permission for an address of no edge of the community

	// Relayed packets, and what is sent.

	dropRelayTag    // a relayed packet whose hop tag is wrong or was seen before
	dropRelayTarget // a handle of nobody here, of another community, or its own
	dropRelayBudget // over the budget of the edge or of its community
	dropRelayLine   // the line is full, and the edge or its community sends more than its equal part
	dropRelayLoad   // the processor is full, and the edge or its community sends more than its equal part
	dropRelayMonth  // the edge, its community, its source or all have used up their bytes of this month
	dropMarked      // it was marked for congestion, and goes by a stream: losing it tells the same
	dropSend        // the socket refused it
	dropStreamEnded // for an edge whose stream has ended
	dropAnswer      // an answer to a stranger was too much, or the socket refused it
	dropReasons     // how many there are

	// answered is no reason: what was asked for is done.
	answered = dropReasons
)

var dropNames = [dropReasons]string{
	dropShort: "short", dropLong: "long", dropHeader: "header", dropTransform: "transform", dropLength: "length",
	dropUnexpected: "unexpected", dropMAC1: "mac1", dropCookie: "cookie", dropInitRate: "init-rate",
	dropGuests: "guests", dropDisplaced: "displaced", dropStamp: "stamp", dropUnknownSession: "unknown-session",
	dropExpiredSession: "expired-session", dropResetRate: "reset-rate", dropResetTotal: "reset-total", dropHello: "hello", dropHelloTotal: "hello-total", dropHelloOff: "hello-off", dropRepeated: "repeated",
	dropSTUN: "stun", dropSTUNRate: "stun-rate", dropSTUNTotal: "stun-total", dropSTUNShort: "stun-short", dropSTUNStream: "stun-stream",
	dropSTUNTrain: "stun-train", dropSTUNPort: "stun-port",

	dropOpen: "open", dropReplay: "replay", dropInner: "inner", dropControl: "control", dropControlLong: "control-long",
	dropControlRate: "control-rate", dropUnproved: "unproved", dropSessionWorn: "session-worn",
	dropUnregistered: "unregistered", dropPing: "ping-malformed", dropPong: "pong-malformed", dropPongUnexpected: "pong-unexpected",
	dropWhoami: "whoami-malformed", dropDirect: "direct-malformed", dropQuery: "query-malformed", dropQueryUnknown: "query-unknown",
	dropListRate: "list-rate", dropPunch: "punch-malformed", dropPunchRate: "punch-rate", dropPunchTarget: "punch-target",
	dropPunchStream: "punch-stream", dropPushes: "pushes", dropListPart: "list-part",

	dropRegister: "register-malformed", dropRegisterRetired: "register-retired", dropRegisterMAC: "register-mac",
	dropRegisterCommunity: "register-community", dropRegisterMembership: "register-membership",
	dropRegisterStatement: "register-statement", dropRegisterMismatch: "register-mismatch",
	dropRegisterOther: "register-other", dropRegisterListing: "register-listing", dropNotListed: "register-not-listed",
	dropListWanted: "register-list-wanted", dropListFull: "register-list-full", dropRegisterOld: "register-old", dropMACTaken: "register-mac-taken",
	dropIPTaken: "register-ip-taken", dropPool: "register-pool", dropCommunities: "register-communities",
	dropEdges: "register-edges", dropCommunityEdges: "register-community-edges", dropNewcomerRate: "register-newcomers",
	dropNotServed: "register-not-served", dropRemoved: "register-removed", dropToken: "register-token",
	dropUser: "register-user", dropPasswordRate: "register-password-rate", dropTokenUnsaved: "register-token-unsaved", dropReturning: "register-returning", dropStored: "stored",
	dropStoredFull: "stored-full", dropStoreWrite: "store-write", dropTURNIdentity: "turn-identity",
	dropTURNPeer: "turn-peer",

	dropRelayTag: "relay-tag", dropRelayTarget: "relay-target", dropRelayBudget: "relay-budget", dropRelayLine: "relay-line", dropRelayLoad: "relay-load", dropRelayMonth: "relay-month", dropMarked: "relay-marked", dropSend: "send", dropStreamEnded: "stream-ended", dropAnswer: "answer",
}

func (r dropReason) String() string { return dropNames[r] }

// drops counts what was dropped, by reason.
type drops [dropReasons]atomic.Uint64

func (d *drops) drop(r dropReason) { d[r].Add(1) }

// nonzero returns the counters that have counted, by name.
func (d *drops) nonzero() map[string]uint64 {
	m := make(map[string]uint64)
	for r := range d {
		if n := d[r].Load(); n != 0 {
			m[dropReason(r).String()] = n
		}
	}
	return m
}
