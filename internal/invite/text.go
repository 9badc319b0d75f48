package invite

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// The parts of the string.
const (
	scheme      = "edge"
	prefix      = scheme + "://"
	partPin     = "pin"   // the key of the first supernode
	partAlso    = "also"  // a further supernode: HOST:PORT~KEY
	partToken   = "token" // one for each supernode in order, empty for none
	partObfs    = "obfs"  // one for each supernode in order, empty for none
	partKeys    = "keys"  // the community file, compressed
	pinMark     = "~"     // between a further supernode and its key
	none        = ""
	textPadding = base64.NoPadding
)

// encoding is base64url without padding (RFC 4648, section 5): its letters stand in a URL
// as they are.
var encoding = base64.URLEncoding.WithPadding(textPadding).Strict()

// String names the community and shows no secret, so that no verb of package fmt prints
// one. Text returns the invite.
func (v *Invite) String() string { return fmt.Sprintf("invite to %q", v.Name) }

// GoString is String.
func (v *Invite) GoString() string { return v.String() }

// String shows nothing, so that no verb of package fmt prints a token.
func (t Token) String() string { return "token" }

// GoString is String.
func (t Token) GoString() string { return t.String() }

// String shows nothing, as that of Token.
func (k ObfsKey) String() string { return "obfuscation key" }

// GoString is String.
func (k ObfsKey) GoString() string { return k.String() }

// IsInvite reports whether a text begins as an invite does.
func IsInvite(text string) bool {
	text = strings.TrimLeftFunc(text, unicode.IsSpace)
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}

// Text returns the string that Parse reads.
func (v *Invite) Text() (string, error) {
	if err := v.check(); err != nil {
		return "", err
	}
	open, secret := url.Values{}, url.Values{}
	first := v.Supernodes[0]
	open.Set(partPin, encoding.EncodeToString(first.Key[:]))
	for _, s := range v.Supernodes[1:] {
		open.Add(partAlso, s.Place()+pinMark+encoding.EncodeToString(s.Key[:]))
	}
	for i, s := range v.Supernodes {
		if s.Token != (Token{}) {
			addAt(secret, partToken, i, s.Token[:])
		}
		if len(s.Obfs) > 0 {
			addAt(secret, partObfs, i, s.Obfs)
		}
	}
	if v.Keys != nil {
		keys, err := encodeKeys(v.Keys)
		if err != nil {
			return "", err
		}
		secret.Set(partKeys, keys)
	}
	u := url.URL{Scheme: scheme, User: url.User(v.Name), Host: first.Place(), Path: "/", RawQuery: open.Encode()}
	text := u.String()
	if len(secret) > 0 {
		text += "#" + secret.Encode()
	}
	if len(text) > MaxText {
		return "", errLong
	}
	return text, nil
}

// addAt adds the value of a part that belongs to the supernode at a place.
func addAt(parts url.Values, name string, place int, value []byte) {
	for len(parts[name]) < place {
		parts.Add(name, none)
	}
	parts.Add(name, encoding.EncodeToString(value))
}

// Parse reads an invite. White space anywhere in it is left out, as a mail program puts it
// there: no part of an invite holds any. The errors are sentences for a user.
func Parse(text string) (*Invite, error) {
	if len(text) > MaxText {
		return nil, errLong
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, text)
	if !IsInvite(text) {
		return nil, errNoInvite
	}
	front, fragment, _ := strings.Cut(text, "#")
	u, err := url.Parse(front) // the error would repeat what may be secret
	if err != nil || u.User == nil || u.Path != "" && u.Path != "/" {
		return nil, errCut
	}
	if _, typed := u.User.Password(); typed {
		return nil, errCut
	}
	v := &Invite{Name: u.User.Username()}
	first, err := parsePlace(u.Host)
	if err != nil {
		return nil, err
	}
	v.Supernodes = []Supernode{first}
	if err := v.parseOpen(u.RawQuery); err != nil {
		return nil, err
	}
	if err := v.parseSecret(fragment); err != nil {
		return nil, err
	}
	if err := v.check(); err != nil {
		return nil, err
	}
	return v, nil
}

// parseOpen reads the part before the #, behind the first supernode.
func (v *Invite) parseOpen(text string) error {
	parts, err := parseParts(text, partPin, partAlso)
	if err != nil {
		return err
	}
	if len(parts[partPin]) != 1 {
		return errCut
	}
	if err := decode(v.Supernodes[0].Key[:], parts.Get(partPin)); err != nil {
		return errPin
	}
	if len(parts[partAlso]) >= protocol.MaxEdgeSupernodes {
		return errMany
	}
	for _, also := range parts[partAlso] {
		place, key, _ := strings.Cut(also, pinMark)
		s, err := parsePlace(place)
		if err != nil {
			return err
		}
		if err := decode(s.Key[:], key); err != nil {
			return errPin
		}
		v.Supernodes = append(v.Supernodes, s)
	}
	return nil
}

// parseSecret reads the part behind the #.
func (v *Invite) parseSecret(text string) error {
	parts, err := parseParts(text, partToken, partObfs, partKeys)
	if err != nil {
		return err
	}
	if max(len(parts[partToken]), len(parts[partObfs])) > len(v.Supernodes) || len(parts[partKeys]) > 1 {
		return errCut
	}
	for i, token := range parts[partToken] {
		if token == none {
			continue
		}
		if err := decode(v.Supernodes[i].Token[:], token); err != nil {
			return errToken
		}
	}
	for i, key := range parts[partObfs] {
		if key == none {
			continue
		}
		if v.Supernodes[i].Obfs, err = DecodeObfs(key); err != nil {
			return err
		}
	}
	if len(parts[partKeys]) > 0 {
		v.Keys, err = decodeKeys(parts.Get(partKeys))
	}
	return err
}

// parseParts reads NAME=VALUE&NAME=VALUE, and refuses a name that is not known: what is
// skipped in silence may be what its writer relied on.
func parseParts(text string, known ...string) (url.Values, error) {
	parts, err := url.ParseQuery(text)
	if err != nil {
		return nil, errCut
	}
	found := 0
	for _, name := range known {
		if _, ok := parts[name]; ok {
			found++
		}
	}
	if found < len(parts) {
		return nil, errors.New("the invite has a part that is not known here: copy it again, whole, or use a newer hedgerow")
	}
	return parts, nil
}

// parsePlace reads HOST or HOST:PORT.
func parsePlace(text string) (s Supernode, err error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), strconv.Itoa(DefaultPort)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return s, errors.New("the port of a supernode in the invite is not a number from 1 to 65535: copy the invite again, whole")
	}
	return Supernode{Host: host, Port: uint16(n)}, CheckHost(host)
}

// ParsePlace reads where a supernode is, HOST or HOST:PORT. Without a port it is
// DefaultPort.
func ParsePlace(text string) (host string, port uint16, err error) {
	s, err := parsePlace(text)
	return s.Host, s.Port, err
}

// decode reads exactly as many bytes as there is room for.
func decode(dst []byte, text string) error {
	b, err := encoding.DecodeString(text)
	if err != nil || len(b) != len(dst) {
		return errCut
	}
	copy(dst, b)
	return nil
}

// EncodeToken writes a token as it stands in an invite.
func EncodeToken(t Token) string { return encoding.EncodeToString(t[:]) }

// DecodeToken reads what EncodeToken wrote.
func DecodeToken(text string) (t Token, err error) {
	if decode(t[:], text) != nil {
		return Token{}, errToken
	}
	return t, nil
}

// EncodeObfs writes an obfuscation key as it stands in an invite.
func EncodeObfs(k ObfsKey) string { return encoding.EncodeToString(k) }

// DecodeObfs reads what EncodeObfs wrote.
func DecodeObfs(text string) (ObfsKey, error) {
	b, err := encoding.DecodeString(text)
	if err != nil || len(b) == 0 || len(b) > crypto.MaxObfsKey {
		return nil, errObfs
	}
	return b, nil
}

// encodeKeys writes a community file in few letters.
func encodeKeys(c *crypto.Community) (string, error) {
	text, err := c.AppendText(nil)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(text); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	return encoding.EncodeToString(b.Bytes()), nil
}

// decodeKeys reads what encodeKeys wrote. A few bytes may stand for many, so the file has
// its bound before it is read.
func decodeKeys(text string) (*crypto.Community, error) {
	b, err := encoding.DecodeString(text)
	if err != nil {
		return nil, errCut
	}
	packed := bytes.NewReader(b)
	file, err := io.ReadAll(io.LimitReader(flate.NewReader(packed), crypto.MaxKeyFile+1))
	if len(file) <= crypto.MaxKeyFile && (err != nil || packed.Len() > 0) {
		return nil, errCut
	}
	c, err := crypto.ParseCommunity(file)
	if err != nil {
		return nil, fmt.Errorf("the keys in the invite: %w", err)
	}
	return c, nil
}
