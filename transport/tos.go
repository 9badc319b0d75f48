package transport

// TellsTOS reports whether the ReadBatch of a connection sets Datagram.TOS.
func TellsTOS(conn any) bool {
	c, ok := conn.(interface{ TellsTOS() bool })
	return ok && c.TellsTOS()
}
