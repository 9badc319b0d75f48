package localapi

import (
	"context"
	"net"
)

// callerKey is the key of the caller in the context of a request.
type callerKey struct{}

// withCaller notes who has opened a connection.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	if uid, ok := userOf(c); ok {
		return context.WithValue(ctx, callerKey{}, uid)
	}
	return ctx
}

// Caller returns the user whose process has sent the request with a context. ok is false
// where the system does not tell.
func Caller(ctx context.Context) (uid int, ok bool) {
	uid, ok = ctx.Value(callerKey{}).(int)
	return uid, ok
}
