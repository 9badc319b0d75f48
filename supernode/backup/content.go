package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/supernode"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/invites"
	"hedgerow/supernode/journal"
	"hedgerow/supernode/quota"
)

// version is that of the files that are written, and the highest that is read.
const version = 1

// MaxFile bounds a file, in bytes: more than as many registrations and invites as there may
// be take.
const MaxFile = 256 << 20

// RulesFile is the name of the rules that commands have made, in the state directory.
const RulesFile = "rules"

// Errors of Decode.
var (
	// ErrDamaged says that the file is not what was written.
	ErrDamaged = errors.New("it is damaged, or no backup of a supernode")
	// ErrNewer says that a newer program has written the file.
	ErrNewer = fmt.Errorf("a newer supernode has written it: this program reads version %d", version)
	// ErrSealed says that the file is sealed, and no passphrase was given.
	ErrSealed = errors.New("it is sealed")
	// ErrPassphrase says that a sealed file cannot be opened.
	ErrPassphrase = errors.New("it is damaged, or the passphrase is another one")
)

// Content is what a supernode keeps. The small files are as they are in the state directory.
type Content struct {
	Made      time.Time              // when the copy was made
	Release   string                 // of the program that has made it
	Identity  [32]byte               // the seed, which is the private key
	Rotation  []byte                 // the key before, while that answers as well; nil: there was none
	Records   map[journal.Key][]byte // the registrations
	ResetKeys []byte                 // by which edges are told of a restart; nil: none
	Invites   []byte                 // nil: none
	Rules     []byte                 // that commands have made; nil: none
	Quota     []byte                 // what was relayed in the month; nil: nothing is known
}

// Summary says what a Content holds.
type Summary struct {
	Made          time.Time `json:"made"`          // when the copy was made
	Release       string    `json:"release"`       // of the program that has made it
	Key           string    `json:"key"`           // by which edges know the supernode
	Registrations int       `json:"registrations"` // edges with their addresses
	Invites       int       `json:"invites"`       // also those that are used up
	Rules         int       `json:"rules"`         // that commands have made
	Sealed        bool      `json:"sealed"`        // the file, with a passphrase
}

// stored is the JSON of a Content.
type stored struct {
	Made          int64  `json:"made"` // unix seconds
	Release       string `json:"release"`
	Identity      []byte `json:"identity"`
	Rotation      []byte `json:"rotation,omitempty"`
	Registrations []byte `json:"registrations"` // key 22 | length u16 | record, one behind the other
	ResetKeys     []byte `json:"reset_keys,omitempty"`
	Invites       []byte `json:"invites,omitempty"`
	Rules         []byte `json:"rules,omitempty"`
	Quota         []byte `json:"quota,omitempty"`
}

// marshal returns the content as it stands in a file.
func (c *Content) marshal() ([]byte, error) {
	s := stored{Made: c.Made.Unix(), Release: c.Release, Identity: c.Identity[:], Rotation: c.Rotation, ResetKeys: c.ResetKeys, Invites: c.Invites, Rules: c.Rules, Quota: c.Quota}
	for _, key := range slices.SortedFunc(maps.Keys(c.Records), func(a, b journal.Key) int { return bytes.Compare(a[:], b[:]) }) {
		record := c.Records[key]
		s.Registrations = append(s.Registrations, key[:]...)
		s.Registrations = binary.BigEndian.AppendUint16(s.Registrations, uint16(len(record)))
		s.Registrations = append(s.Registrations, record...)
	}
	return json.Marshal(&s)
}

// unmarshal reads what marshal wrote. It looks at everything.
func unmarshal(b []byte) (*Content, error) {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil || len(s.Identity) != 32 {
		return nil, ErrDamaged
	}
	c := &Content{
		Made: time.Unix(s.Made, 0).UTC(), Release: s.Release, Identity: [32]byte(s.Identity), Records: make(map[journal.Key][]byte),
		Rotation: s.Rotation, ResetKeys: s.ResetKeys, Invites: s.Invites, Rules: s.Rules, Quota: s.Quota,
	}
	for rest := s.Registrations; len(rest) > 0; {
		const head = len(journal.Key{}) + 2
		if len(rest) < head {
			return nil, ErrDamaged
		}
		key, n := journal.Key(rest[:head-2]), int(binary.BigEndian.Uint16(rest[head-2:]))
		if rest = rest[head:]; len(rest) < n {
			return nil, ErrDamaged
		}
		c.Records[key], rest = rest[:n:n], rest[n:]
	}
	_, err := c.Summary()
	return c, err
}

// Summary looks at everything in a content, and says how much there is. The error says what
// cannot be used.
func (c *Content) Summary() (s Summary, err error) {
	if c.Identity == ([32]byte{}) {
		return s, fmt.Errorf("%w: the key is zeros", ErrDamaged)
	}
	if err := supernode.CheckRotation(c.Rotation); err != nil {
		return s, fmt.Errorf("%w: the former key: %w", ErrDamaged, err)
	}
	id := crypto.NewIdentity(c.Identity)
	s = Summary{Made: c.Made, Release: c.Release, Key: supernode.KeyText(id.Static), Registrations: len(c.Records)}
	for key, record := range c.Records {
		if err := supernode.CheckRecord(key, record); err != nil {
			return s, fmt.Errorf("%w: a registration: %w", ErrDamaged, err)
		}
	}
	if s.Invites, err = invites.Check(c.Invites); err != nil {
		return s, fmt.Errorf("%w: the invites: %w", ErrDamaged, err)
	}
	rules, err := admission.Parse(c.Rules)
	if err != nil {
		return s, fmt.Errorf("%w: the rules: %w", ErrDamaged, err)
	}
	s.Rules = len(rules.Rules)
	if err := quota.Check(c.Quota); err != nil {
		return s, fmt.Errorf("%w: what was relayed this month: %w", ErrDamaged, err)
	}
	return s, nil
}

const (
	lineBegin = "hedgerow supernode backup "
	plain     = "plain"
	sealed    = "sealed"
	maxLine   = 64 // bytes of the first line
)

// line returns the first line of a file.
func line(kind string) []byte { return fmt.Appendf(nil, "%s%d %s\n", lineBegin, version, kind) }

// Encode returns the file of a content, sealed unless the passphrase is empty.
func (c *Content) Encode(passphrase []byte) ([]byte, error) {
	b, err := c.marshal()
	if err != nil {
		return nil, err
	}
	if len(passphrase) > 0 {
		return seal(line(sealed), b, passphrase, usual)
	}
	head := line(plain)
	sum := sha256.Sum256(append(bytes.Clone(head), b...))
	return append(append(head, sum[:]...), b...), nil
}

// Decode reads a file and looks at all that is in it. The errors wrap those of this package.
func Decode(file, passphrase []byte) (*Content, error) {
	end := bytes.IndexByte(file[:min(len(file), maxLine)], '\n') + 1
	head, body := file[:end:end], file[end:]
	var written int
	var kind string
	if _, err := fmt.Sscanf(string(head), lineBegin+"%d %s\n", &written, &kind); err != nil {
		return nil, ErrDamaged
	}
	switch {
	case written > version:
		return nil, ErrNewer
	case written != version || !bytes.Equal(head, line(kind)):
		return nil, ErrDamaged
	case kind == sealed && len(passphrase) == 0:
		return nil, ErrSealed
	case kind == sealed:
		b, err := open(head, body, passphrase)
		if err != nil {
			return nil, err
		}
		return unmarshal(b)
	case kind != plain || len(body) < sha256.Size:
		return nil, ErrDamaged
	}
	sum := sha256.Sum256(append(bytes.Clone(head), body[sha256.Size:]...))
	if !bytes.Equal(sum[:], body[:sha256.Size]) {
		return nil, ErrDamaged
	}
	return unmarshal(body[sha256.Size:])
}

// IsSealed reports whether a file says that it is sealed.
func IsSealed(file []byte) bool { return bytes.HasPrefix(file, line(sealed)) }
