// Package handshake runs both ends of the handshakes that make sessions: between
// two edges (a pair handshake) and between an edge and a supernode (a hop
// handshake). The cryptography is Noise_IKpsk1+psk2 and belongs to package crypto;
// this package decides what is sent when, what is believed, and what is refused.
// The bytes are those of docs/PROTOCOL.md, section 4.
//
// An Initiator makes INITs and reads what answers them: RESP, COOKIE and NOTICE.
// A Responder reads INITs and makes the answers. Neither has a socket, a clock, a
// goroutine or a log: the caller passes the time, sends the packets that it is
// given (unmasked), and counts the errors. Every way in which a handshake can
// fail is an Error of its own, whose Reason is the name of a counter.
//
// Pair and hop handshakes differ in four things only: a pair handshake has
// epochs and so a NOTICE; it gives up after 90 s, while an edge without its
// supernode has nothing else to do; its timed attempts slow down to one in 5 s,
// those to a supernode to one in 2 s, since the traffic of all relayed peers
// waits for it; and only two edges can open towards each other at once.
//
// Everything else is one behaviour, chosen as follows.
//
// Timed attempts and repeats. An attempt is made by the timer: 1, 2 and 4 s after
// the one before, then every 5 s (2 s), and from there on up to 1 s later by
// chance, so that edges that lost the same peer do not ask in step. An answer that
// asks for another INIT (COOKIE, NOTICE, challenge) is obeyed at once, without
// waiting for the timer, but at most three times between two timed attempts: an
// honest responder asks for each of the three once. What more is asked for is noted
// and obeyed by the next timed attempt. So an answer that comes again and again
// makes no loop, and never locks the initiator out either. The next timed attempt
// counts from the last INIT, repeats included; repeats are not attempts.
//
// Late answers. A supernode to which a crowd comes answers an INIT after the next attempt was
// made, so the answer to the attempt before the last is taken as well, in whatever it asks
// for. Before, nobody of a crowd was answered in time once it was large enough. Peers answer
// at once or not at all, and have one session for the last INIT.
//
// Cookies. A cookie proves the address that the responder saw, so the repeat should
// go where the COOKIE came from. The last cookie is kept for 120 s, as long as a
// responder is sure to accept it, across attempts, handshakes and addresses: a wrong
// one does no harm, since the responder then sends the right one and that is
// obeyed at once.
//
// Challenges. The newest challenge replaces the one held. Refusing it once a few
// attempts were made, as was done before, left an initiator whose first echo was
// lost with a challenge that had expired, for ever.
//
// Freshness. The responder looks at the stamp and at the challenge, both, and
// records both, whichever of them made the INIT fresh. With either alone, an INIT
// that was fresh by both could be replayed once: its copy was fresh by the other. A stamp is
// the wall clock, but always greater than the last of the same Initiator, so a
// clock that was set back under a running program costs no challenge.
//
// Load. A responder demands cookies when more INITs with a right mac1 came in this
// or the last whole second than its limit. A token bucket in its place would let a
// steady flood have its whole rate without a cookie.
//
// Order at the responder: length, header, mac1, cookie under load, rate of the
// source, room for a session, epoch, Noise, payload and version, our own key,
// simultaneous open, freshness. Each step costs more than the one before or needs
// it; nothing but the bounded tables of crypto.Guard changes before Noise.
//
// Order at the initiator: length, header, transform, the index that waits, key
// index, mac of the packet, then whatever the packet holds.
//
// Simultaneous open. When two INITs cross, that of the lower static key stands: its
// sender ignores the other's for a second after its own.
//
// Neither an Initiator nor a Responder is safe for concurrent use.
package handshake
