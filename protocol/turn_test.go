package protocol

import (
	"strings"
	"testing"
)

// A TURN server that a receiver would refuse is left out, and an ACK without one
// is as before there were any.
func TestTURNServerLeftOut(t *testing.T) {
	plain := string((&Ack{Handle: 1}).Append(nil))
	for _, s := range []TURNServer{
		{},
		{User: "u", Password: "p"},
		{Addr: addr4, Password: "p"},
		{Addr: addr4, User: "u"},
		{Addr: addr4, User: strings.Repeat("u", MaxTURNUser+1), Password: "p"},
		{Addr: addr4, User: "u", Password: strings.Repeat("p", MaxTURNPassword+1)},
	} {
		if got := string((&Ack{Handle: 1, TURN: s}).Append(nil)); got != plain {
			t.Errorf("%+v: %x", s, got)
		}
	}
}
