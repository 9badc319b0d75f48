package underlay

import (
	"context"
	"log/slog"
	"net/netip"
)

// Refusal says why something that came in, or was asked for, went no further. Each
// has a counter of its own, and a line in the log at debug level that says who.
type Refusal uint8

// The reasons. What LANPackets refuses is counted by LANPackets.
const (
	// RefusedSTUNAnswer: a STUN message that answers none of our requests.
	RefusedSTUNAnswer Refusal = iota
	// RefusedAnnouncementLong: longer than any packet of ours.
	RefusedAnnouncementLong
	// RefusedAnnouncementSource: one source announces more often than members do.
	RefusedAnnouncementSource
	// RefusedAnnouncementStranger: more packets that are no member's come by the LAN
	// than are tried to be opened.
	RefusedAnnouncementStranger
	// RefusedAnnouncementRate: all members together announce more than signatures
	// can be verified.
	RefusedAnnouncementRate
	// RefusedAnnouncementForm: opened, but not an ANNOUNCE.
	RefusedAnnouncementForm
	// RefusedAnnouncementAddress: it names an address that is not probed.
	RefusedAnnouncementAddress
	// RefusedSocket: the system gives no further socket.
	RefusedSocket
	// RefusedTURNServer: more TURN servers than are used.
	RefusedTURNServer
	// RefusedTURNPeer: more addresses need an allocation than one edge asks for.
	RefusedTURNPeer
	// Refusals is how many reasons there are.
	Refusals
)

var refusalNames = [Refusals]string{
	"stun-not-asked", "announcement-long", "announcement-source-rate", "announcement-stranger-rate", "announcement-rate",
	"announcement-form", "announcement-address", "socket-not-opened",
	"turn-server-full", "turn-peer-full",
}

// String returns the name of the counter.
func (r Refusal) String() string { return refusalNames[r] }

// refuse counts a refusal and says who was refused and why. Strangers may be the
// cause, so that nothing is built for a line that nobody reads.
func (c *Config) refuse(r Refusal, who netip.AddrPort, err error) {
	if !c.Refused(r) || !c.Log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	if err != nil {
		c.Log.Debug("refused", "reason", r.String(), "who", who, "err", err)
	} else {
		c.Log.Debug("refused", "reason", r.String(), "who", who)
	}
}

// debugFrom logs what another part has counted.
func (c *Config) debugFrom(text string, from netip.AddrPort, err error) {
	if c.Log.Enabled(context.Background(), slog.LevelDebug) {
		c.Log.Debug(text, "from", from, "err", err)
	}
}
