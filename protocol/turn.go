package protocol

import "net/netip"

// MaxTURNUser and MaxTURNPassword are the sizes in bytes of the longest user
// name and password of a TURN server.
const MaxTURNUser, MaxTURNPassword = 64, 64

// TURNServer is a relay of RFC 8656, over UDP, that an edge may use where no
// direct path comes about.
type TURNServer struct {
	// Addr is the server's address, not valid if there is no server.
	Addr netip.AddrPort
	// User and Password are a credential for this edge, 1 to 64 bytes of UTF-8
	// each. It ends by time; a newer one comes with each ACK.
	User, Password string
}

// appendTURN appends the member, or nothing for a server that could not be read
// back.
func appendTURN(dst []byte, s TURNServer) []byte {
	if !s.Addr.IsValid() || s.User == "" || s.Password == "" || len(s.User) > MaxTURNUser || len(s.Password) > MaxTURNPassword {
		return dst
	}
	dst, at := beginTLV(dst, memberTURN)
	dst = append(appendAddr(dst, s.Addr), byte(len(s.User)))
	return endTLV(append(append(dst, s.User...), s.Password...), at)
}

// turnServer reads the address, the user name's length, the name, and the rest
// of the value as the password.
func (r *reader) turnServer() TURNServer {
	s := TURNServer{Addr: r.addr()}
	name := reader{b: r.next(int(r.u8()))}
	s.User = name.text(MaxTURNUser)
	s.Password = r.text(MaxTURNPassword)
	if name.err != nil {
		r.fail(name.err)
	}
	if r.err != nil {
		return TURNServer{}
	}
	return s
}
