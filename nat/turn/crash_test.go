package turn

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/stun"
)

// message makes a STUN message of a type with attributes of one each: type,
// length, value and padding as the bytes say.
func message(kind uint16, attributes ...[]byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	body := bytes.Join(attributes, nil)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, 0x21, 0x12, 0xA4, 0x42)
	b = append(b, "transactions"...)
	return append(b, body...)
}

func attribute(kind uint16, value ...byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, kind)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

const (
	xorPeer   = 0x0012
	data      = 0x0013
	xorMapped = 0x0020
)

// crashers are messages that stun v0.6.1 and turn v2.1.6 should not be given.
// Given to them, the empty addresses of 24 and 32 bytes are slices beyond the
// capacity: the first two stop a STUN client, data and connection a TURN client
// without an allocation, and the longer send a TURN server from a client with
// one. The parts of addresses are taken for whole ones.
var crashers = map[string][]byte{
	"empty mapped address":             message(0x0101, attribute(xorMapped)),
	"empty mapped address, draft type": message(0x0101, attribute(0x8020)),
	"data from nowhere, 24 bytes":      message(typeData, attribute(xorPeer)),
	"data from nowhere, 32 bytes":      message(typeData, attribute(data, 1, 2, 3, 4), attribute(xorPeer)),
	"connection from nowhere":          message(0x001C, attribute(xorPeer)),
	"send to nowhere, 24 bytes":        message(typeSend, attribute(xorPeer)),
	"send to nowhere, 32 bytes":        message(typeSend, attribute(data, 1, 2, 3, 4), attribute(xorPeer)),
	"1 byte of address":                message(typeSend, attribute(data), attribute(xorPeer, 0)),
	"5 bytes of address":               message(typeData, attribute(xorPeer, 0, 1, 2, 3, 4), attribute(data)),
	"6 bytes of address":               message(typeSend, attribute(xorPeer, 0, 1, 2, 3, 4, 5), attribute(data)),
	"7 bytes of address":               message(typeSend, attribute(xorPeer, 0, 1, 2, 3, 4, 5, 6), attribute(data)),
	"IPv6 in 8 bytes":                  message(typeData, attribute(xorPeer, 0, 2, 2, 3, 4, 5, 6, 7), attribute(data)),
	"a length that is wrong":           append(message(typeSend, attribute(xorPeer)), 0),
	"an attribute that is cut":         message(typeSend, []byte{0, 0x12, 0, 8, 0, 1}),
	"4 bytes of channel":               {0x40, 0, 0, 1},
	"nothing":                          {},
}

// What crashes pion reaches it neither by the client nor by the server, with an
// allocation and without, and both go on.
func TestCrashers(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, relayed := s.allocate(clientAt, "a")
		defer st.leave()
		if err := st.Permit(t.Context(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		s.converse(st, relayed, "before")
		stranger, _ := s.wire.listen(netip.MustParseAddrPort("192.0.2.66:6"))
		defer stranger.Close()
		synctest.Wait()
		admitted := s.server.Stats().Admitted
		for name, pkt := range crashers {
			if stun.Guard(pkt) == nil {
				t.Errorf("%s: the guard lets it pass", name)
			}
			st.Handle(serverAt, pkt)
			st.Handle(netip.MustParseAddrPort("192.0.2.66:6"), pkt)
			st.socket.send(serverAt, pkt)
			stranger.send(serverAt, pkt)
			s.peer.send(relayed, pkt) // to a peer's data, anything may be in it
			if got := st.read(); got != peerAt.String()+" "+string(pkt) {
				t.Errorf("%s as data: %q", name, got)
			}
		}
		if got := s.server.Stats().Admitted; got != admitted {
			t.Errorf("the server took %d of them", got-admitted)
		}
		s.converse(st, relayed, "after")
	})
}

// The fuzzer's signed requests are believed: this one deletes the allocation.
func TestSigned(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, _ := s.allocate(clientAt, "a")
		defer st.leave()
		st.socket.send(serverAt, s.signed(uint16(methodRefresh), st.credential.nonce, attribute(attrLifetime, 0, 0, 0, 0)))
		synctest.Wait()
		if n := s.server.Stats().Allocations; n != 0 {
			t.Errorf("%d allocations", n)
		}
	})
}

// Indications and channel data count from the server's address only, and only
// for peers that are permitted.
func TestHandleIgnores(t *testing.T) {
	inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
		st, relayed := s.allocate(clientAt, "a")
		defer st.leave()
		if err := st.Permit(t.Context(), peerAt.Addr()); err != nil {
			t.Fatal(err)
		}
		s.converse(st, relayed, "before")
		other, err := sendIndication(netip.MustParseAddrPort("192.0.2.10:1"), []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		other[1] = typeData
		mine, err := sendIndication(peerAt, []byte("y"))
		if err != nil {
			t.Fatal(err)
		}
		mine[1] = typeData
		st.Handle(serverAt, other)
		st.Handle(serverAt, channelData(firstChannel+7, []byte("z")))
		st.Handle(serverAt, message(0x0001))
		st.Handle(serverAt, message(0x0103))
		st.Handle(peerAt, mine)
		st.Handle(peerAt, channelData(firstChannel, []byte("z")))
		if got := st.read(); got != "" {
			t.Errorf("got %q", got)
		}
		st.Handle(serverAt, mine)
		if got := st.read(); got != peerAt.String()+" y" {
			t.Errorf("got %q", got)
		}
	})
}

// FuzzHandle gives any bytes to a client that has an allocation, as they are and
// behind a header that fits.
func FuzzHandle(f *testing.F) {
	for _, pkt := range crashers {
		f.Add(pkt, uint16(typeData))
	}
	f.Add(attribute(9, 0, 0, 4, 37), uint16(0x0113))
	f.Add(append(attribute(data, 1), attribute(xorPeer, 0, 1, 2, 3, 4, 5, 6, 7)...), uint16(typeData))
	received := 0
	c, err := NewClient(ClientConfig{
		Server: serverAt, User: "u", Password: "p", Send: func(netip.AddrPort, []byte) {},
		Receive: func(peer netip.AddrPort, pkt []byte) {
			if received++; peer.Addr() != peerAt.Addr() {
				panic(peer)
			}
		},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(c.Close)
	c.peers.permit(time.Now(), peerAt.Addr())
	c.peers.framing(time.Now(), peerAt)
	f.Fuzz(func(_ *testing.T, b []byte, kind uint16) {
		c.Handle(serverAt, b)
		if len(b) < 1<<16 {
			c.Handle(serverAt, message(kind&0x3FFF, b))
		}
	})
}

// FuzzAnswer gives any answer to a client's requests: the fuzzer's attributes in
// a response to what was asked. If signed is set, the server first asks for a
// credential and then signs its answers with the password, so that the client
// believes them.
func FuzzAnswer(f *testing.F) {
	const code, realmAndNonce = 9, "\x00\x14\x00\x01r\x00\x00\x00\x00\x15\x00\x01n\x00\x00\x00"
	unauthorized := append(attribute(code, 0, 0, 4, 1), realmAndNonce...)
	relayed, lifetime := attribute(0x16, 0, 1, 2, 3, 4, 5, 6, 7), attribute(attrLifetime, 0, 0, 0, 1)
	for _, signed := range []bool{false, true} {
		f.Add(unauthorized, true, signed)
		f.Add(append(unauthorized, attribute(8)...), true, signed)
		f.Add(attribute(code, 0, 0, 4, 37, 'x'), true, signed)
		f.Add(attribute(code), true, signed)
		f.Add(append(relayed, lifetime...), false, signed)
		f.Add(append(relayed, attribute(8)...), false, signed)
	}
	key := longTermKey("u", "r", "p")
	f.Fuzz(func(t *testing.T, b []byte, refused, signed bool) {
		if len(b) > maxDatagram {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			asked := make(chan []byte, 16)
			c, err := NewClient(ClientConfig{
				Server: serverAt, User: "u", Password: "p", Receive: func(netip.AddrPort, []byte) {},
				Send: func(_ netip.AddrPort, pkt []byte) {
					select {
					case asked <- bytes.Clone(pkt):
					default:
					}
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			answer := func(request []byte) (response []byte) {
				kind := messageType(request) | classSuccess
				if refused {
					kind |= classError
				}
				switch {
				case !signed:
					return answering(request, kind, b)
				case !bytes.Contains(request, []byte(realmAndNonce)):
					return answering(request, messageType(request)|classError, unauthorized)
				}
				return sign(answering(request, kind, b, attribute(integrity, make([]byte, sha1.Size)...)), key)
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				for request := range asked {
					c.Handle(serverAt, answer(request))
				}
			}()
			if relayed, err := c.Allocate(t.Context()); err == nil && !relayed.Addr().Is4() {
				t.Errorf("allocated %v", relayed)
			}
			_ = c.Permit(t.Context(), peerAt.Addr())
			time.Sleep(time.Minute)
			c.Close()
			close(asked)
			<-ended
		})
	})
}

// TestSignedAnswer holds that the fuzzer's signed answers are believed.
func TestSignedAnswer(t *testing.T) {
	r, c := request{method: methodAllocate}, credential{user: "u", password: "p", realm: "r", nonce: "n"}
	m, err := r.build(c)
	if err != nil {
		t.Fatal(err)
	}
	m.Raw = sign(answering(m.Raw, messageType(m.Raw)|classSuccess, attribute(0x16, 0, 1, 2, 3, 4, 5, 6, 7),
		attribute(integrity, make([]byte, sha1.Size)...)), longTermKey(c.user, c.realm, c.password))
	if err := m.Decode(); err != nil {
		t.Fatal(err)
	}
	for password, ok := range map[string]bool{"p": true, "q": false} {
		c.password = password
		if _, err := parseAnswer(r, c, m); (err == nil) != ok {
			t.Errorf("password %q: %v", password, err)
		}
	}
}

// integrity is MESSAGE-INTEGRITY.
const integrity = 8

// answering makes a response to a request.
func answering(request []byte, kind uint16, attributes ...[]byte) []byte {
	m := message(kind, attributes...)
	copy(m[8:20], request[8:20])
	return m
}

// longTermKey is the key of RFC 8489, section 9.2.2.
func longTermKey(user, realm, password string) []byte {
	key := md5.Sum([]byte(user + ":" + realm + ":" + password))
	return key[:]
}

// sign fills in the MESSAGE-INTEGRITY that is a message's last attribute.
func sign(m, key []byte) []byte {
	mac := hmac.New(sha1.New, key)
	covered := len(m) - attributeLen - sha1.Size
	mac.Write(m[:covered])
	return mac.Sum(m[:covered+attributeLen])
}

// signed makes a request of the identity "a" that the server believes, with the
// given attributes in front.
func (s *scene) signed(kind uint16, nonce string, b []byte) []byte {
	user, password := Credentials(secret, "a", time.Now().Add(time.Hour))
	attributes := [][]byte{b, attribute(6, []byte(user)...), attribute(0x14, []byte("turn")...), attribute(0x15, []byte(nonce)...)}
	m := message(kind, append(attributes, attribute(integrity, make([]byte, sha1.Size)...))...)
	return sign(m, longTermKey(user, "turn", password))
}

// FuzzServer gives any bytes to a server from a client that has an allocation,
// signed and not, and from a stranger.
func FuzzServer(f *testing.F) {
	for _, pkt := range crashers {
		f.Add(pkt, uint16(typeSend))
	}
	f.Add(append(attribute(8, make([]byte, 20)...), attribute(0x14)...), uint16(methodAllocate))
	f.Add(append(append(attribute(6, 'u'), attribute(8)...), attribute(8)...), uint16(methodCreatePermission))
	f.Add(append(attribute(0x0C, 0x40, 0, 0, 0), attribute(xorPeer, 0, 1, 2, 3, 4, 5, 6, 7)...), uint16(methodChannelBind))
	f.Fuzz(func(t *testing.T, b []byte, kind uint16) {
		inScene(t, ServerLimits{}, func(t *testing.T, s *scene) {
			st, relayed := s.allocate(clientAt, "a")
			defer st.leave()
			stranger, _ := s.wire.listen(netip.MustParseAddrPort("192.0.2.66:6"))
			defer stranger.Close()
			st.mu.Lock()
			nonce := st.credential.nonce
			st.mu.Unlock()
			for _, pkt := range [][]byte{b, message(kind&0x3FFF, b), s.signed(kind&0x3FFF, nonce, b)} {
				if len(pkt) <= maxDatagram {
					st.socket.send(serverAt, pkt)
					stranger.send(serverAt, pkt)
					s.peer.send(relayed, pkt)
				}
			}
			synctest.Wait()
		})
	})
}
