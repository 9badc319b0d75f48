package protocol

import (
	"net/netip"
	"testing"
)

// TestPingLengths checks the exported lengths against messages.
func TestPingLengths(t *testing.T) {
	ping := Ping{Pad: MinPingPad}
	value := ping.Append(nil)
	if len(value) != PingLen+MinPingPad || PingDatagramLen != 49 || MinPingPad != 26 {
		t.Errorf("a PING of %d bytes, PingDatagramLen %d, MinPingPad %d", len(value), PingDatagramLen, MinPingPad)
	}
	for seen, room := range map[netip.AddrPort]int{addr6: 0, addr4: 12, {}: 18} {
		pong := Pong{Seen: seen, Pad: PongRoom(ping, seen)}
		if got := PongRoom(ping, seen); got != room || len(pong.Append(nil)) != len(value) {
			t.Errorf("a PONG that names %v has room for %d bytes, want %d, and %d bytes in all", seen, got, room, len(pong.Append(nil)))
		}
	}
}
