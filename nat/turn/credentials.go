package turn

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// MaxUser is the size in bytes of the longest user name that a Server accepts.
const MaxUser = 64

// Credentials returns the user name and password by which identity may use a
// Server with that secret until expiry. They follow the scheme that coturn and
// others call the TURN REST API (draft-uberti-behave-turn-rest-00, section 2.2):
// the user name is the expiry in seconds of the unix clock, a colon and the
// identity; the password is the base64 form of HMAC-SHA-1(secret, user name).
// The identity is printable ASCII of at most 48 bytes.
func Credentials(secret []byte, identity string, expiry time.Time) (user, password string) {
	user = strconv.FormatInt(expiry.Unix(), 10) + ":" + identity
	return user, passwordOf(secret, user)
}

func passwordOf(secret []byte, user string) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write([]byte(user))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// identityOf returns the identity in a user name that has not expired. Whether
// the name is ours shows when the password that belongs to it fits.
func identityOf(user string, now time.Time) (identity string, ok bool) {
	expiry, identity, ok := strings.Cut(user, ":")
	if !ok || len(user) > MaxUser || identity == "" {
		return "", false
	}
	seconds, err := strconv.ParseInt(expiry, 10, 64)
	if err != nil || now.Unix() >= seconds {
		return "", false
	}
	return identity, true
}
